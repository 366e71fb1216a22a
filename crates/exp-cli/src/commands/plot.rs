//! `plots show`, `plots diff`, `plots templates`, `plots modify`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exp_engine::plots::{
    NoPlace, Plot, PlotFault, PlotKind, PlotProps, PointsPlot, RevisionPlots, Spec, Split,
    SvgOptions, plots, svg, template_names, template_text,
};
use exp_engine::{
    Error, PlotModifyError, PlotModifyRequest, PlotsRequest, Project, Side, StageError,
    collect_plots, find_template, image_file_name, plot_revisions, save_plot_file,
};

use super::show::unknown_revision;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::plot::{
    OutputArgs, PlotsDiffArgs, PlotsModifyArgs, PlotsShowArgs, PlotsTemplatesArgs, PropsArgs,
};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::plot::{Shown, ShownImage, ShownPlot, charts, page};
use crate::view::{json, plot as view};

/// Charts are not wider than this, however wide the terminal is.
const MAX_WIDTH: usize = 120;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: PlotsShowArgs,
        run: plots_show,
        exp: Some("plots show"),
        dvc: Some("plots show"),
        topic: Topic::Compare,
        about: "Draw plots",
        long: "Draw plots of the workspace: those that `plots` of the dvc.yaml files and of stages define, or of files \
               and directories.\n\nExamples:\n  exp plots show\n  exp plots show logs/loss.tsv -y loss\n  exp plots \
               show --open\n  exp plots show --svg -o figures",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: PlotsDiffArgs,
        run: plots_diff,
        exp: Some("plots diff"),
        dvc: Some("plots diff"),
        topic: Topic::Compare,
        about: "Draw plots of several revisions together",
        long: "Draw plots of several revisions together, experiments included.\n\nWithout names, the workspace is \
               compared with HEAD; with one, the workspace with that.\n\nExamples:\n  exp plots diff\n  exp plots diff \
               main bold-yak --targets logs/loss.tsv",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: PlotsTemplatesArgs,
        run: plots_templates,
        exp: Some("plots templates"),
        dvc: Some("plots templates"),
        topic: Topic::Compare,
        about: "List the templates of plots, or print one",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: PlotsModifyArgs,
        run: plots_modify,
        exp: Some("plots modify"),
        dvc: Some("plots modify"),
        topic: Topic::Compare,
        about: "Change how the plot of a stage looks",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn plots_show(session: &mut Session<'_, '_>, args: &PlotsShowArgs) -> Outcome {
    check_vega(session, &args.targets, &args.output)?;
    let project = session.project()?;
    let revisions = [("workspace".to_owned(), Side::Workspace)];
    let request = Asked { revisions: &revisions, targets: &args.targets, props: &args.props };
    show(session, &project, &request, &args.output)
}

fn plots_diff(session: &mut Session<'_, '_>, args: &PlotsDiffArgs) -> Outcome {
    check_vega(session, &args.targets, &args.output)?;
    let project = session.project()?;
    if project.git().head().map_err(Error::from)?.commit.is_none() {
        return nothing(session, &args.output, &[]);
    }
    let mut names = args.revisions.clone();
    if let (true, [one]) = (args.experiment, names.as_slice()) {
        let found = session.look(|ctx| project.find(ctx, one));
        if let Ok(exp_engine::Found::Experiment(experiment)) = found {
            names.push(experiment.baseline.short(7));
        }
    }
    let names = plot_revisions(&project, &names)?;
    let revisions = sides(session, &project, &names)?;
    let request = Asked { revisions: &revisions, targets: &args.targets, props: &args.props };
    show(session, &project, &request, &args.output)
}

/// Finds revisions. In our grammar one that is not there is told, and the others are shown; DVC gives up.
fn sides(
    session: &mut Session<'_, '_>,
    project: &Project,
    names: &[String],
) -> Result<Vec<(String, Side)>, Failure> {
    let is_dvc = session.is_dvc();
    let mut found = Vec::new();
    let mut first = None;
    for name in names {
        match session.look(|ctx| Side::find(ctx, project, name)) {
            Ok(side) => found.push((name.clone(), side)),
            Err(error @ (Error::Revision(_) | Error::Find(_))) if !is_dvc && names.len() > 1 => {
                session
                    .warn(&format!("warning: {name}: there is no such revision or experiment"))?;
                first.get_or_insert(error);
            }
            Err(error) => return Err(unknown_revision(is_dvc, "", 1, error)),
        }
    }
    match first {
        Some(error) if found.iter().all(|(_, side)| *side == Side::Workspace) => Err(error.into()),
        _ => Ok(found),
    }
}

/// What is to be shown.
struct Asked<'a> {
    revisions: &'a [(String, Side)],
    targets: &'a [String],
    props: &'a PropsArgs,
}

fn check_vega(
    session: &Session<'_, '_>,
    targets: &[String],
    output: &OutputArgs,
) -> Result<(), Failure> {
    let message = match (output.show_vega, targets.len(), output.json) {
        (false, ..) | (true, 1, false) => return Ok(()),
        (true, 0, _) => "please specify a target for `--show-vega`",
        (true, 1, true) => "'--show-vega' and '--json' are mutually exclusive options.",
        (true, ..) => "you can only specify one target for `--show-vega`",
    };
    Err(if session.is_dvc() {
        Failure::Dvc { message: message.to_owned(), code: 1 }
    } else {
        Failure::text_usage(message.trim_end_matches('.'))
    })
}

/// Says that there is no plot, and which of the targets do not exist.
fn nothing(session: &mut Session<'_, '_>, output: &OutputArgs, targets: &[String]) -> Outcome {
    if output.json {
        session.print("{}\n")?;
    } else if session.is_dvc() {
        session.warn("No plots were loaded, visualization file will not be created.")?;
    } else if let Some(missing) = targets.iter().find(|it| !session.cwd().join(it).exists()) {
        return Err(Failure::Refused(format!(
            "`{missing}` is neither a file nor a plot that a dvc.yaml defines"
        )));
    } else {
        session.note("no plots: name files, or add `plots` to a dvc.yaml")?;
    }
    Ok(ExitStatus::DONE)
}

fn show(
    session: &mut Session<'_, '_>,
    project: &Project,
    asked: &Asked<'_>,
    output: &OutputArgs,
) -> Outcome {
    let here = project.relative(session.cwd());
    let props = PlotProps::of(&asked.props.table());
    let request = PlotsRequest {
        revisions: asked.revisions,
        targets: asked.targets,
        props: &props,
        here: &here,
    };
    let collected = session.look(|ctx| collect_plots(ctx, project, &request))?;
    let mut found = plots(&collected);
    if !session.is_dvc() && !output.json {
        drop_doubles(&mut found);
    }
    warn(session, &collected, &found)?;
    if output.show_vega {
        return show_vega(session, project, &found);
    }
    if output.json {
        let split = if output.split { Split::Yes } else { Split::No };
        let dir = out_dir(session, project, output);
        let shown = shown(session, project, &found, split, &dir)?;
        return print_json(session, &collected, &shown);
    }
    if found.is_empty() {
        return nothing(session, output, asked.targets);
    }
    if output.svg {
        return write_svg(session, project, &found, output);
    }
    let opens = output.open || project.config().flag("plots", "auto_open");
    let wants_page = output.out.is_some() || output.html_template.is_some() || opens;
    if session.is_dvc() || wants_page {
        return show_page(session, project, &collected, &found, output);
    }
    let look = charts::Look {
        width: session.io.width.clamp(20, MAX_WIDTH),
        unicode: session.io.unicode,
        colour: session.io.colour,
    };
    session.print(&charts::all(&found, look))?;
    Ok(ExitStatus::DONE)
}

/// Writes a file for each plot, and says where they are.
fn write_svg(
    session: &mut Session<'_, '_>,
    project: &Project,
    found: &[Plot],
    output: &OutputArgs,
) -> Outcome {
    let dir = out_dir(session, project, output);
    for plot in found {
        let drawn = match &plot.kind {
            PlotKind::Points(points) => svg(points, &plot.name, SvgOptions::default()),
            PlotKind::Images(_) => continue,
        };
        let Some(drawn) = drawn else {
            session.warn(&format!("warning: {}: nothing to draw", plot.name))?;
            continue;
        };
        let name = svg_file_name(&plot.name);
        let path = save_plot_file(&dir, &name, drawn.as_bytes()).map_err(Error::from)?;
        let shown = path.strip_prefix(session.cwd()).unwrap_or(&path).display().to_string();
        session.say(&shown)?;
    }
    Ok(ExitStatus::DONE)
}

/// Returns the name of the file that a plot is written to: `logs_loss.tsv.svg` for `logs/loss.tsv`.
fn svg_file_name(plot: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = plot.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{}.svg", name.trim_start_matches('.'))
}

/// Leaves out files that were named and that a definition draws already; DVC draws them twice.
fn drop_doubles(found: &mut Vec<Plot>) {
    let defined: Vec<String> =
        found.iter().filter_map(|plot| Some(plot.name.rsplit_once("::")?.1.to_owned())).collect();
    found.retain(|plot| !defined.contains(&plot.name));
}

/// Writes the page and says where it is.
fn show_page(
    session: &mut Session<'_, '_>,
    project: &Project,
    collected: &[RevisionPlots],
    found: &[Plot],
    output: &OutputArgs,
) -> Outcome {
    let mut specs = Vec::new();
    for plot in found {
        specs.push(match &plot.kind {
            PlotKind::Points(points) if !points.is_empty() => {
                Some(spec(session, project, points, Split::No)?)
            }
            _ => None,
        });
    }
    let page = page::of(found, specs, view::problems(collected, found));
    let own = output.html_template.as_ref().map(|file| session.cwd().join(file));
    let own = own.or_else(|| {
        let configured = project.config().text("plots", "html_template")?;
        Some(project.root().join(".dvc").join(configured))
    });
    let html = match own {
        None => page.to_html(),
        Some(file) => {
            let text = read_page(session, &file)?;
            page.fill(&text).map_err(|NoPlace| {
                refused(session, "HTML template has to contain '{plot_divs}'.")
            })?
        }
    };
    let dir = out_dir(session, project, output);
    let path = save_plot_file(&dir, "index.html", html.as_bytes()).map_err(Error::from)?;
    let path = path.canonicalize().unwrap_or(path);
    let address = page::address(&path);
    session.say(&address)?;
    let is_automatic = project.config().flag("plots", "auto_open");
    if !output.open && !is_automatic {
        return Ok(ExitStatus::DONE);
    }
    if session.is_dvc() && !is_automatic {
        session.say("To enable auto opening, you can run:\n\n\tdvc config plots.auto_open true")?;
    }
    if browser(session, &address) {
        return Ok(ExitStatus::DONE);
    }
    if session.is_dvc() {
        let message = "failed to open. Please try opening it manually.".to_owned();
        return Err(Failure::Dvc { message, code: 1 });
    }
    Err(Failure::Refused("no browser could be started: open the page yourself".to_owned()))
}

fn read_page(session: &Session<'_, '_>, file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        refused(session, &format!("cannot read the page `{file}`: {error}"))
    })
}

fn refused(session: &Session<'_, '_>, message: &str) -> Failure {
    if session.is_dvc() {
        Failure::Dvc { message: format!("unexpected error - {message}"), code: 255 }
    } else {
        Failure::Refused(message.trim_end_matches('.').to_owned())
    }
}

/// Starts a browser, the one that `BROWSER` names first; tells whether one could be started.
pub(super) fn browser(session: &Session<'_, '_>, address: &str) -> bool {
    let named = session.io.env.text("BROWSER").map(str::to_owned);
    let usual = ["xdg-open", "open", "wslview"].map(str::to_owned);
    named.into_iter().chain(usual).any(|program| {
        let mut command = Command::new(program);
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    })
}

/// Returns the directory that files go to.
fn out_dir(session: &Session<'_, '_>, project: &Project, output: &OutputArgs) -> PathBuf {
    let configured = project.config().text("plots", "out_dir");
    let dir = output.out.as_deref().or(configured).unwrap_or("dvc_plots");
    session.cwd().join(dir)
}

/// Makes the document of a plot.
pub(super) fn spec(
    session: &Session<'_, '_>,
    project: &Project,
    plot: &PointsPlot,
    split: Split,
) -> Result<Spec, Failure> {
    let found = find_template(project, session.cwd(), plot.filled.template.as_deref());
    let spec = found.and_then(|template| plot.spec(template, split));
    spec.map_err(|fault| template_failure(session, &fault))
}

fn template_failure(session: &Session<'_, '_>, fault: &PlotFault) -> Failure {
    if session.is_dvc() {
        return Failure::Dvc {
            message: format!("unexpected error - {}", fault.message),
            code: 255,
        };
    }
    let message = match fault.class.as_str() {
        "TemplateNotFoundError" => {
            let known: Vec<&str> = template_names().collect();
            format!("{}; there are {}", fault.message.trim_end_matches('.'), known.join(", "))
        }
        "BadTemplateError" if fault.message.is_empty() => {
            "the template is not a JSON map".to_owned()
        }
        _ => fault.message.trim_end_matches('.').to_owned(),
    };
    Failure::Refused(message)
}

/// Makes everything that JSON shows, and writes the images of the plots to `dir`.
fn shown<'p>(
    session: &Session<'_, '_>,
    project: &Project,
    found: &'p [Plot],
    split: Split,
    dir: &Path,
) -> Result<Vec<Shown<'p>>, Failure> {
    let mut all = Vec::new();
    for plot in found {
        let shown = match &plot.kind {
            PlotKind::Points(points) if points.is_empty() => ShownPlot::Nothing,
            PlotKind::Points(points) => {
                let spec = spec(session, project, points, split)?;
                ShownPlot::Points { spec: Box::new(spec), revs: &points.revs }
            }
            PlotKind::Images(images) => {
                let mut written = Vec::new();
                for image in images {
                    let name = image_file_name(&image.rev, &image.path);
                    let path = save_plot_file(dir, &name, &image.bytes).map_err(Error::from)?;
                    written.push(ShownImage { rev: &image.rev, url: path.display().to_string() });
                }
                ShownPlot::Images(written)
            }
        };
        all.push(Shown { plot, shown });
    }
    Ok(all)
}

fn print_json(
    session: &mut Session<'_, '_>,
    collected: &[RevisionPlots],
    shown: &[Shown<'_>],
) -> Outcome {
    let faults = collected
        .iter()
        .filter_map(|revision| Some((revision.rev.as_str(), revision.definitions.as_ref().err()?)));
    let text = view::json(shown, &faults.collect::<Vec<_>>());
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

fn show_vega(session: &mut Session<'_, '_>, project: &Project, found: &[Plot]) -> Outcome {
    let points = found.iter().find_map(|plot| match &plot.kind {
        PlotKind::Points(points) => Some(points),
        PlotKind::Images(_) => None,
    });
    let Some(points) = points else { return Ok(ExitStatus::DONE) };
    let mut text = String::new();
    if points.is_empty() {
        text.push_str("{}");
    } else {
        spec(session, project, points, Split::No)?.write_json(&mut text);
    }
    text.push('\n');
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

/// Tells what could not be read, on standard error.
fn warn(
    session: &mut Session<'_, '_>,
    collected: &[RevisionPlots],
    found: &[Plot],
) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for revision in collected {
        let is_faulty =
            revision.definitions.is_err() || revision.sources.values().any(Result::is_err);
        if is_faulty {
            failed.push(revision.rev.as_str());
        }
    }
    if session.is_dvc() {
        if !failed.is_empty() {
            let failed = failed.join(", ");
            session.warn(&format!(
                "DVC failed to load some plots for following revisions: '{failed}'."
            ))?;
        }
        for plot in found {
            for (rev, fault) in &plot.faults {
                let message = fault.message.to_lowercase();
                session.warn(&format!("WARNING: In '{rev}', {message}"))?;
            }
        }
        return Ok(());
    }
    for line in view::problems(collected, found) {
        session.warn(&format!("warning: {line}"))?;
    }
    Ok(())
}

fn plots_templates(session: &mut Session<'_, '_>, args: &PlotsTemplatesArgs) -> Outcome {
    let Some(name) = &args.template else {
        for name in template_names() {
            session.say(name)?;
        }
        return Ok(ExitStatus::DONE);
    };
    let Some(text) = template_text(name) else {
        let message = format!("Unexpected template: {name}.");
        return Err(if session.is_dvc() {
            Failure::Dvc { message, code: 1 }
        } else {
            let known: Vec<&str> = template_names().collect();
            Failure::Refused(format!(
                "there is no template `{name}`, there are {}",
                known.join(", ")
            ))
        });
    };
    if session.is_dvc() {
        let value = exp_engine::params::parse(exp_engine::params::Format::Json, text);
        let value = value.map_err(|error| Failure::Refused(error.to_string()))?;
        session.print(&json::line(&value))?;
    } else {
        session.print(text)?;
    }
    Ok(ExitStatus::DONE)
}

fn plots_modify(session: &mut Session<'_, '_>, args: &PlotsModifyArgs) -> Outcome {
    let project = session.project()?;
    let props = args.props.table();
    if let Some(name) = args.props.template() {
        find_template(&project, session.cwd(), Some(name))
            .map_err(|fault| template_failure(session, &fault))?;
    }
    let here = project.relative(session.cwd());
    let path = here.join(&args.target).map_err(Error::from)?;
    let request = PlotModifyRequest { path, props, unset: args.unset.clone() };
    let modified = session.look(|ctx| project.modify_plot(ctx, &request));
    let id = match modified {
        Ok(id) => id,
        Err(error) if session.is_dvc() => return Err(modify_failure(&args.target, error)),
        Err(error) => return Err(error.into()),
    };
    let file = id.file.relative_to(&here);
    if let Some(name) = &id.name {
        session.note(&format!("Modifying stage '{name}' in '{file}'"))?;
    }
    Ok(ExitStatus::DONE)
}

/// Says in DVC's words why a plot is not modified.
fn modify_failure(target: &str, error: Error) -> Failure {
    let message = match &error {
        Error::PlotModify(PlotModifyError::NoOutput { .. }) => {
            format!("Unable to find DVC file with output '{target}'")
        }
        Error::PlotModify(PlotModifyError::NoPlot { .. }) => {
            format!("'{target}' is not a known plot. Use `dvc plots modify` to turn it into one.")
        }
        Error::PlotModify(PlotModifyError::NotSet { names, .. }) => {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            format!("display properties [{}] not found in plot '{target}'", names.join(", "))
        }
        Error::Stage(StageError::Edit { .. }) => "cannot dump a parametrized stage".to_owned(),
        _ => return error.into(),
    };
    Failure::Dvc { message, code: 255 }
}
