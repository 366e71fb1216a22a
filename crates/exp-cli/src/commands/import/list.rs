//! `data list`, `data list-url`, `data du`.

use exp_engine::core::RelPath;
use exp_engine::{
    ListRequest, ListUrlRequest, RepoEntry, Summarize, UrlEntry, UrlListing, directory_size,
    url_tree,
};

use super::words::{Asked, apart};
use super::{Outcome, repo};
use crate::args::import::{ListArgs, ListUrlArgs, UsageArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::json;
use crate::view::list::{self, Row, Show};

pub(super) fn list(session: &mut Session<'_, '_>, args: &ListArgs) -> Outcome {
    tree_or_json(session, args.depth.tree, args.depth.json)?;
    let request = ListRequest {
        repo: repo(session, &args.url, &args.repo),
        cwd: session.cwd().to_path_buf(),
        path: args.path.clone().unwrap_or_default(),
        recursive: args.depth.recursive,
        depth: args.depth.level,
        data_only: args.dvc_only,
    };
    let what = Asked::List { url: &args.url };
    let show = Show { size: args.depth.size, hash: args.show_hash, colour: session.io.colour };
    let options = session.project_options();
    let text = if args.depth.tree {
        let tree = session.look(|ctx| exp_engine::list_tree(ctx, &options, &request));
        let tree = tree.map_err(|error| apart(session, (what, error)))?;
        let row =
            |entry: &RepoEntry| Row::of_repo(entry.path.file_name().unwrap_or_default(), entry);
        let name = if request.path.is_empty() { "." } else { &request.path };
        let root = Row::of_repo(name, &tree.entry);
        list::lines(&list::tree((root, &tree.children), &row), show)
    } else {
        let entries = session.look(|ctx| exp_engine::list(ctx, &options, &request));
        let entries = entries.map_err(|error| apart(session, (what, error)))?;
        if args.depth.json {
            json::line(&list::repo_json(&entries))
        } else {
            let rows =
                entries.iter().map(|(name, entry)| (String::new(), Row::of_repo(name, entry)));
            list::lines(&rows.collect::<Vec<_>>(), show)
        }
    };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

pub(super) fn list_url(session: &mut Session<'_, '_>, args: &ListUrlArgs) -> Outcome {
    tree_or_json(session, args.depth.tree, args.depth.json)?;
    let request = ListUrlRequest {
        url: args.url.clone(),
        cwd: session.cwd().to_path_buf(),
        fs_config: args.storage.fs_config.iter().cloned().collect(),
        recursive: args.depth.recursive || args.depth.tree,
        depth: if args.depth.tree { None } else { args.depth.level },
    };
    let show = Show { size: args.depth.size, hash: false, colour: session.io.colour };
    let (options, config) = (session.project_options(), session.config_files().load()?);
    let listing = session.look(|ctx| exp_engine::list_url(ctx, &options, &config, &request));
    let listing = listing.map_err(|error| apart(session, (Asked::Plain, error)))?;
    let full = session.cwd().join(&args.url);
    let size_of = |path: &RelPath| directory_size(&path.under(&full));
    let entries = match listing {
        UrlListing::File(size) if args.depth.json => {
            let path = RelPath::root();
            vec![UrlEntry { path, is_dir: false, size }]
        }
        UrlListing::File(_) => {
            let name = if args.url.contains("://") {
                args.url.clone()
            } else {
                full.display().to_string()
            };
            let rows = [(String::new(), Row::of_address(&name))];
            session.print(&list::lines(&rows, show))?;
            return Ok(ExitStatus::DONE);
        }
        UrlListing::Dir(entries) => entries,
    };
    let text = if args.depth.json {
        json::line(&list::url_json(&entries))
    } else if args.depth.tree {
        let nodes = url_tree(&entries, args.depth.level);
        let top = UrlEntry { path: RelPath::root(), is_dir: true, size: None };
        let root = Row::of_url(&args.url, &top, size_of(&top.path));
        let row = |entry: &UrlEntry| {
            let name = entry.path.file_name().unwrap_or_default();
            Row::of_url(name, entry, size_of(&entry.path))
        };
        list::lines(&list::tree((root, &nodes), &row), show)
    } else {
        let rows = entries.iter().map(|entry| {
            let row = Row::of_url(entry.path.as_str(), entry, size_of(&entry.path));
            (String::new(), row)
        });
        list::lines(&rows.collect::<Vec<_>>(), show)
    };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

pub(super) fn usage(session: &mut Session<'_, '_>, args: &UsageArgs) -> Outcome {
    let request = ListRequest {
        repo: repo(session, &args.url, &args.repo),
        cwd: session.cwd().to_path_buf(),
        path: args.path.clone().unwrap_or_default(),
        ..ListRequest::default()
    };
    let summarize = if args.summarize { Summarize::Yes } else { Summarize::No };
    let options = session.project_options();
    let usage = session.look(|ctx| exp_engine::disk_usage(ctx, &options, (&request, summarize)));
    let usage = usage.map_err(|error| apart(session, (Asked::Plain, error)))?;
    session.print(&list::usage(&usage))?;
    Ok(ExitStatus::DONE)
}

fn tree_or_json(session: &Session<'_, '_>, tree: bool, json: bool) -> Result<(), Failure> {
    if !(tree && json) {
        return Ok(());
    }
    let text = "Cannot use --tree and --json options together.";
    Err(if session.is_dvc() {
        Failure::Dvc { message: text.to_owned(), code: 255 }
    } else {
        Failure::text_usage("`--tree` and `--json` do not go together")
    })
}
