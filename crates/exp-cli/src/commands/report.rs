//! `report`: table, changes and curves of experiments in one file.

use std::path::Path;

use exp_engine::plots::{PlotKind, Split, plots};
use exp_engine::{Error, ReportRequest, report as make_report, save_plot_file};

use super::plot::spec;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::report::ReportArgs;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{plot, report, size};

pub(super) const COMMANDS: &[CommandSpec] = &[command! {
    args: ReportArgs,
    run: report,
    exp: Some("report"),
    dvc: None,
    topic: Topic::Compare,
    about: "Write a report of experiments: table, changes, curves",
    long: "Write a report of experiments: table, changes, curves.\n\nFor a pull request or a mail: their table, what \
           changed in metrics, parameters, code and data, and their curves. Markdown has curves as charts of characters; an HTML page has them drawn, \
           and images. It is one file, opens without a network, and runs nothing that comes from data.\n\nExamples:\n  exp \
           report > report.md\n  exp report best -o report.html\n  exp report workspace --base main --md",
    dvc_failure: DvcFailure::PLAIN,
}];

fn report(session: &mut Session<'_, '_>, args: &ReportArgs) -> Outcome {
    let project = session.project()?;
    let request = ReportRequest { revisions: args.revisions.clone(), base: args.base.clone() };
    let made = session.look(|ctx| make_report(ctx, &project, &request))?;
    let found = plots(&made.plots);
    let parts = report::parts(&made, project.now());
    let problems = report::problems(&made, plot::problems(&made.plots, &found));
    let ending = args.out.as_deref().and_then(Path::extension);
    let is_page = args.html || (!args.md && ending.is_some_and(|ending| ending == "html"));
    let name = project.root().file_name().unwrap_or_default().to_string_lossy();
    let title = format!("Experiments of {name}");
    let text = if is_page {
        let mut specs = Vec::new();
        for plot in &found {
            specs.push(match &plot.kind {
                PlotKind::Points(points) if !points.is_empty() => {
                    Some(spec(session, &project, points, Split::No)?)
                }
                _ => None,
            });
        }
        report::page(title, parts, problems, plot::page::of(&found, specs, Vec::new())).to_html()
    } else {
        report::markdown(&title, &parts, &problems, &found)
    };
    let Some(out) = &args.out else {
        session.print(&text)?;
        return Ok(ExitStatus::DONE);
    };
    let path = session.cwd().join(out);
    let (Some(dir), Some(file)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Err(Failure::TextUsage(format!("`{}` is not a file", out.display())));
    };
    save_plot_file(dir, file, text.as_bytes()).map_err(Error::from)?;
    let bytes = size(text.len() as u64);
    session.note(&format!("wrote {} ({bytes})", out.display()))?;
    Ok(ExitStatus::DONE)
}
