//! Plots of revisions: what their pipelines define, and the files that the definitions name.
//!
//! Names of files are relative to the directory of whoever asks, as in DVC, whose rules these are. What is drawn of it is
//! [`exp_plots::plots`]'s business.

use std::num::NonZero;
use std::thread;

use exp_core::{Ctx, OutKind, RelPath, Value};
use exp_plots::{
    Definitions, PlotData, PlotFault, PlotProps, RevisionPlots, extension, is_image, parse_table,
};
use exp_refs::Untracked;
use indexmap::IndexMap;
use regex::Regex;

use crate::collect::problem;
use crate::difference::Side;
use crate::error::Error;
use crate::project::Project;
use crate::revision::Problem;
use crate::source::{Source, TreeSource};
use crate::view::{Broken, View};

mod files;
mod modify;
mod output;
mod template;

pub use modify::{PlotModifyError, PlotModifyRequest};
pub use output::{image_file_name, save_plot_file};
pub use template::find_template;

use files::RevisionFiles;

/// What is asked of plots.
#[derive(Debug, Clone)]
pub struct PlotsRequest<'r> {
    /// The revisions, with what they are called; the workspace comes first wherever it stands.
    pub revisions: &'r [(String, Side)],
    /// Files, directories and ids, each a regular expression that an id begins with; none for every plot.
    pub targets: &'r [String],
    /// Properties that count more than those of the definitions.
    pub props: &'r PlotProps,
    /// The directory that names are relative to.
    pub here: &'r RelPath,
}

/// Returns the names of the revisions that are compared when `given` are asked for: with none the workspace, and `HEAD`
/// if the workspace differs from it; with one that and the workspace.
pub fn plot_revisions(project: &Project, given: &[String]) -> Result<Vec<String>, Error> {
    let mut names = given.to_vec();
    if names.is_empty() && !project.git().status(Untracked::Leave)?.is_empty() {
        names.push("HEAD".to_owned());
    }
    if given.len() <= 1 {
        names.push("workspace".to_owned());
    }
    Ok(names)
}

/// Collects the plots of revisions.
///
/// What cannot be read costs its file, its plot or its revision, and is told there.
///
/// # Errors
///
/// Only when a stop was asked for.
pub fn collect_plots(
    ctx: &Ctx<'_>,
    project: &Project,
    request: &PlotsRequest<'_>,
) -> Result<Vec<RevisionPlots>, Error> {
    let mut revisions: Vec<&(String, Side)> = Vec::new();
    for revision in request.revisions {
        if !revisions.iter().any(|(name, _)| *name == revision.0) {
            revisions.push(revision);
        }
    }
    revisions.sort_by_key(|(_, side)| *side != Side::Workspace);
    let targets = Targets::new(request.targets);
    let available = thread::available_parallelism().map_or(1, NonZero::get);
    let per_thread = revisions.len().div_ceil(available).max(1);
    let work = |part: &[&(String, Side)]| -> Result<Vec<RevisionPlots>, Error> {
        part.iter()
            .map(|(name, side)| {
                ctx.check()?;
                Ok(collect(project, name, *side, request, &targets))
            })
            .collect()
    };
    let mut parts = revisions.chunks(per_thread);
    let first = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut found = work(first)?;
        for other in others {
            match other.join() {
                Ok(more) => found.extend(more?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(found)
    })
}

fn collect(
    project: &Project,
    name: &str,
    side: Side,
    request: &PlotsRequest<'_>,
    targets: &Targets<'_>,
) -> RevisionPlots {
    let found = match side {
        Side::Workspace => {
            let source = project.workspace();
            read(project, &source, Some(project.root()), request, targets)
        }
        Side::Commit(id) => {
            let reader = project.git().reader();
            match reader.commit(id) {
                Ok(commit) => {
                    let source = TreeSource::new(&reader, commit.tree, project.prefix().clone());
                    read(project, &source, None, request, targets)
                }
                Err(error) => Err(fault(&problem(&error.into()))),
            }
        }
    };
    let rev = name.to_owned();
    match found {
        Ok((definitions, sources)) => RevisionPlots { rev, definitions: Ok(definitions), sources },
        Err(fault) => RevisionPlots { rev, definitions: Err(fault), sources: IndexMap::new() },
    }
}

type Sources = IndexMap<String, Result<PlotData, PlotFault>>;

fn read(
    project: &Project,
    source: &dyn Source,
    root: Option<&std::path::Path>,
    request: &PlotsRequest<'_>,
    targets: &Targets<'_>,
) -> Result<(Definitions, Sources), PlotFault> {
    let view = View::load(source, project.root(), Broken::Note)
        .map_err(|error| fault(&problem(&error)))?;
    if let Some((_, error)) = view.broken.first() {
        return Err(fault(&problem(error)));
    }
    let files = RevisionFiles::new(source, &view, project.cache(), request.here, root);
    let defined = Defined { view: &view, files: &files, request, targets };
    let definitions = defined.collect();
    let mut sources = Sources::new();
    for (id, props) in definitions.values().flatten() {
        for name in props.sources(id) {
            if !sources.contains_key(&name) {
                let data = load(&files, &name, header_of(&view, &files, &name, request));
                sources.insert(name, data);
            }
        }
    }
    Ok((definitions, sources))
}

/// Returns whether the first line of a table names its columns: as the output of a stage says, or whoever asks. What a
/// definition at the top level says does not count, as in DVC.
fn header_of(
    view: &View,
    files: &RevisionFiles<'_>,
    name: &str,
    request: &PlotsRequest<'_>,
) -> bool {
    if let Some(header) = request.props.header {
        return header;
    }
    let path = files.resolve(name);
    let outs = view.stages.iter().flat_map(|stage| &stage.outs);
    let mut outs =
        outs.filter(|out| out.kind == OutKind::Plot && out.location.workspace() == path.as_ref());
    outs.next().and_then(|out| PlotProps::of(&out.extra).header).unwrap_or(true)
}

/// Reads a file as its ending says.
fn load(files: &RevisionFiles<'_>, name: &str, header: bool) -> Result<PlotData, PlotFault> {
    let ending = extension(name);
    let is_known = is_image(name)
        || matches!(ending, ".csv" | ".tsv" | ".json" | ".yaml" | ".yml" | ".toml" | ".py");
    if !is_known {
        // DVC looks at the ending before it looks for the file.
        return Err(PlotFault::file_type(name));
    }
    let bytes = files.read(name)?;
    if is_image(name) {
        return Ok(if bytes.is_empty() {
            PlotData::Nothing
        } else {
            PlotData::Image(bytes.into())
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| PlotFault::encoding(name))?;
    match ending {
        ".csv" => parse_table(&text, ',', header),
        ".tsv" => parse_table(&text, '\t', header),
        _ => {
            let format = exp_params::Format::of(name);
            let value =
                exp_params::parse(format, &text).map_err(|error| corrupted(name, &error))?;
            Ok(PlotData::document(value))
        }
    }
}

/// Says that a document cannot be read: in DVC's words, and where.
fn corrupted(name: &str, error: &exp_params::ParseError) -> PlotFault {
    use exp_params::Format;
    let (class, format) = match error.format {
        Format::Yaml => ("YAMLFileCorruptedError", "YAML"),
        Format::Json => ("JSONFileCorruptedError", "JSON"),
        Format::Toml => ("TOMLFileCorruptedError", "TOML"),
        Format::Python => ("PythonFileCorruptedError", "Python"),
    };
    let mut fault = PlotFault::new(
        class,
        format!("unable to read: '{name}', {format} file structure is corrupted"),
    );
    fault.detail = Some(error.to_string());
    fault
}

fn fault(problem: &Problem) -> PlotFault {
    PlotFault::new(problem.class, problem.message.clone())
}

/// Targets, as Python's `re.match` takes them: an id matches that begins like one.
struct Targets<'t> {
    texts: &'t [String],
    patterns: Vec<Option<Regex>>,
}

impl<'t> Targets<'t> {
    fn new(texts: &'t [String]) -> Self {
        let patterns = texts.iter().map(|text| Regex::new(&format!("^(?:{text})")).ok()).collect();
        Self { texts, patterns }
    }

    fn matches(&self, file: &str, id: &str) -> bool {
        if self.texts.is_empty() {
            return true;
        }
        let full = if file.is_empty() { id.to_owned() } else { format!("{file}::{id}") };
        self.texts.iter().zip(&self.patterns).any(|(text, pattern)| match pattern {
            Some(pattern) => pattern.is_match(id) || pattern.is_match(&full),
            None => id.starts_with(text.as_str()) || full.starts_with(text.as_str()),
        })
    }
}

/// The definitions of a revision while they are collected.
struct Defined<'d> {
    view: &'d View,
    files: &'d RevisionFiles<'d>,
    request: &'d PlotsRequest<'d>,
    targets: &'d Targets<'d>,
}

impl Defined<'_> {
    fn collect(&self) -> Definitions {
        let mut definitions = Definitions::new();
        for file in self.view.files.iter().filter(|file| !file.plots.is_empty()) {
            let name = file.file.relative_to(self.request.here);
            definitions.insert(name.clone(), self.top_level(&name, &file.plots));
        }
        let mut own: IndexMap<String, PlotProps> = IndexMap::new();
        let mut is_matched = false;
        for stage in self.view.stages.iter() {
            for out in stage.outs.iter().filter(|out| out.kind == OutKind::Plot) {
                let Some(path) = out.location.workspace() else { continue };
                let id = path.relative_to(self.request.here);
                if self.targets.matches(&stage.id.file.relative_to(self.request.here), &id) {
                    is_matched = true;
                    let props = self.request.props.clone().or(&PlotProps::of(&out.extra));
                    for file in self.files.unpack(&id) {
                        merge(&mut own, file, &props);
                    }
                }
            }
        }
        let mut is_empty = definitions.is_empty() && !is_matched;
        for target in self.request.targets {
            let target = normalized(target);
            if is_empty || self.files.exists(&target) {
                is_empty = false;
                for file in self.files.unpack(&target) {
                    merge(&mut own, file, self.request.props);
                }
            }
        }
        if !own.is_empty() {
            definitions.insert(String::new(), own);
        }
        definitions
    }

    /// Returns the plots that the `plots` of a `dvc.yaml` define.
    fn top_level(&self, file: &str, plots: &[Value]) -> IndexMap<String, PlotProps> {
        let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
        let mut items: IndexMap<&str, PlotProps> = IndexMap::new();
        for plot in plots {
            match plot {
                Value::Text(path) => drop(items.insert(path, PlotProps::default())),
                Value::Table(table) => {
                    if let Some((id, props)) = table.first() {
                        let props = props.as_table().map(PlotProps::of).unwrap_or_default();
                        items.insert(id, props);
                    }
                }
                _ => {}
            }
        }
        let parents: Vec<String> = items.keys().map(|id| joined(dir, id)).collect();
        let mut found = IndexMap::new();
        for (id, props) in items {
            if !self.targets.matches(file, id) {
                continue;
            }
            let given = self.request.props.clone();
            if props.id_is_path() {
                let path = joined(dir, id);
                let props = given.or(&props);
                for file in self.files.unpack(&path) {
                    // The most specific definition of a file counts.
                    if closest(&file, &parents) == path {
                        merge(&mut found, file, &props);
                    }
                }
            } else {
                let at = |file: &str| joined(dir, file);
                found.insert(id.to_owned(), given.or(&props.with_files(at)));
            }
        }
        found
    }
}

/// Adds properties of a file; of two, the later ones count.
fn merge(found: &mut IndexMap<String, PlotProps>, file: String, props: &PlotProps) {
    let known = found.entry(file).or_default();
    *known = props.clone().or(known);
}

/// Returns what a path has in common with that of its parents which has most.
fn closest(path: &str, parents: &[String]) -> String {
    let mut best = String::new();
    for parent in parents {
        let pairs = path.split('/').zip(parent.split('/'));
        let common: Vec<&str> =
            pairs.take_while(|(ours, theirs)| ours == theirs).map(|(part, _)| part).collect();
        let common = common.join("/");
        if common.len() > best.len() {
            best = common;
        }
    }
    best
}

/// Joins paths that may lead upwards.
fn joined(dir: &str, path: &str) -> String {
    if dir.is_empty() || path.starts_with('/') {
        normalized(path)
    } else {
        normalized(&format!("{dir}/{path}"))
    }
}

/// Resolves `.` and `..` of a path by text, those in front aside.
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let start = if path.starts_with('/') { "/" } else { "" };
    let text = format!("{start}{}", parts.join("/"));
    if text.is_empty() { ".".to_owned() } else { text }
}
