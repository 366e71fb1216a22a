//! Queueing: `queue add`, `run --queue`, and `run --run-all`.

use std::collections::BTreeSet;

use exp_engine::core::RelPath;
use exp_engine::params::{OverrideError, Overrides, ParamChange};
use exp_engine::refs::{LeftOutCause, Names};
use exp_engine::{
    Composition, Error, Job, JobState, NewJob, Project, Queue, QueueRequest, ReproRequest,
};

use super::follow::{Watched, follow, watch};
use super::{Outcome, names, opened, start};
use crate::args::queue::AddArgs;
use crate::args::run::{RunArgs, SweepFlags};
use crate::commands::run::{override_failure, parameters, request};
use crate::commands::stage::select_failure;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::change::{counted, listed};

/// So many combinations make jobs at most.
const MOST: usize = 100_000;

pub(super) fn add(session: &mut Session<'_, '_>, args: &AddArgs) -> Outcome {
    if args.run.temp || args.run.run_all {
        return Err(Failure::text_usage("leave out `--temp` and `--run-all`: jobs run later"));
    }
    queue(session, &args.run, args.hold)
}

/// Queues what `args` ask for, one job for each combination of values.
pub(in crate::commands) fn queue(
    session: &mut Session<'_, '_>,
    args: &RunArgs,
    held: bool,
) -> Outcome {
    if args.stages.dry || args.stages.interactive {
        return Err(Failure::text_usage("`--queue` goes with neither --dry nor --interactive"));
    }
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let repro = request(session, &project, &cwd, &args.stages)?;
    let parsed = parameters(session, &project, args)?;
    let (queue, jobs) = added(session, &project, args, (repro, cwd), &parsed, held)?;
    if session.is_dvc() {
        return Ok(ExitStatus::DONE);
    }
    if session.common.quiet {
        for job in &jobs {
            session.say(job.name.as_str())?;
        }
        return Ok(ExitStatus::DONE);
    }
    let how = if held { "held" } else { "queued" };
    session.note(&match &jobs[..] {
        [] if args.sweep.missing => "Nothing is missing.".to_owned(),
        [] => "No combination of values: nothing was queued.".to_owned(),
        [one] => format!("{how} {} as job {}", one.name, one.number),
        [first, .., last] => {
            let n = counted(jobs.len(), "job");
            format!("{how} {n}, {} to {}: {}", first.number, last.number, listed(&names(&jobs), 6))
        }
    })?;
    if let Some(job) = jobs.first() {
        let left_out: Vec<String> = (queue.spec(job)?.left_out.into_iter())
            .filter(|file| file.why != LeftOutCause::Ignored)
            .map(|file| file.path)
            .collect();
        if !left_out.is_empty() {
            let n = counted(left_out.len(), "untracked file");
            session.note(&format!(
                "without {n}, too large or likely secret: {}",
                listed(&left_out, 5)
            ))?;
        }
        if let Some(n) = args.stages.jobs {
            let n = counted(n.get(), "stage");
            session.note(&format!(
                "each job runs up to {n} at a time; -j of `queue start` is for jobs"
            ))?;
        }
        if queue.workers()?.is_empty() && !held {
            session.note("run: exp queue start -j N")?;
        }
    }
    Ok(ExitStatus::DONE)
}

/// Queues the jobs and, in DVC's grammar, says so as it does.
fn added(
    session: &mut Session<'_, '_>,
    project: &Project,
    args: &RunArgs,
    (repro, cwd): (ReproRequest, RelPath),
    (parsed, composition): &(Overrides, Composition),
    held: bool,
) -> Result<(Queue, Vec<Job>), Failure> {
    let seed_of_draw = args.sweep.draw_seed.unwrap_or_else(|| seed(project));
    let combinations = combinations(parsed, &args.sweep, seed_of_draw)
        .map_err(|error| override_failure(session, &error))?;
    if combinations.len() > MOST {
        return Err(Failure::TextUsage(format!("more than {MOST} combinations of values")));
    }
    let is_sweep = parsed.is_sweep() || args.sweep.repeat.is_some();
    let given = args.name.clone().filter(|name| !name.is_empty());
    let prefix = match (&given, session.is_dvc(), is_sweep) {
        (Some(name), ..) => Some(name.clone()),
        // DVC makes up a name for each.
        (None, false, true) => Some(free_prefix(project)?),
        _ => None,
    };
    let name_of = |at: usize| {
        prefix
            .as_ref()
            .map(|name| if is_sweep { format!("{name}-{}", at + 1) } else { name.clone() })
    };
    let jobs = combinations.into_iter().enumerate();
    let jobs = jobs.map(|(at, overrides)| NewJob { name: name_of(at), overrides }).collect();
    let mut wanted = QueueRequest {
        repro,
        jobs,
        cwd,
        composition: *composition,
        message: args.message.clone().filter(|message| !message.is_empty()),
        replace: args.stages.force,
        copy: args.copy_paths.clone(),
        sweep: prefix.filter(|_| is_sweep),
        held,
    };
    let queue = project.queue()?;
    let n_asked = wanted.jobs.len();
    let done = session.look(|ctx| {
        queue.reap(ctx)?;
        if args.sweep.missing {
            let missing = queue.missing(ctx, &wanted)?;
            wanted.jobs = missing.iter().map(|at| wanted.jobs[*at].clone()).collect();
            rename_taken(project, &queue, &mut wanted, n_asked)?;
        }
        queue.add(ctx, &wanted)
    });
    let added = done.map_err(|error| select_failure(session, project, error))?;
    let n_there = n_asked - added.len();
    if n_there > 0 && !session.is_dvc() {
        session.note(&format!("{n_there} of {n_asked} are done, or wait or run already"))?;
    }
    if session.is_dvc() {
        for (job, asked) in added.iter().zip(&wanted.jobs) {
            if !asked.overrides.is_empty() {
                let overrides = python(&asked.overrides);
                session.note(&format!("Queueing with overrides '{overrides}'."))?;
            }
            let name = &job.name;
            session.note(&format!("Queued experiment '{name}' for future execution."))?;
        }
    }
    Ok((queue, added))
}

/// Returns the changes of each job: all combinations or a sample of them, each as often as it is repeated; one more than
/// [`MOST`] when there are more.
fn combinations(
    parsed: &Overrides,
    flags: &SweepFlags,
    seed: u64,
) -> Result<Vec<Vec<ParamChange>>, OverrideError> {
    let settings: Vec<Vec<ParamChange>> = match (parsed.single(), flags.sample) {
        (Some(overrides), _) => vec![overrides],
        (None, Some(n)) => parsed.sample(n.min(MOST + 1), seed),
        (None, None) => parsed.expand(seed).take(MOST + 1).collect(),
    };
    let (Some(n), Some(vary)) = (flags.repeat, &flags.vary) else { return Ok(settings) };
    // Of a parameter that has values already this is an error.
    parsed.clone().repeated(1, vary)?;
    let n = n.get().min(MOST + 1);
    let repetitions: Vec<Vec<ParamChange>> =
        Overrides::default().repeated(n, vary)?.expand(0).collect();
    let all = settings.iter().flat_map(|setting| {
        repetitions.iter().map(move |repetition| [&setting[..], &repetition[..]].concat())
    });
    Ok(all.take(MOST + 1).collect())
}

/// Gives jobs of a sweep that have names of something else numbers behind those of the sweep: what is missing now need not
/// be what was queued under that number before.
fn rename_taken(
    project: &Project,
    queue: &Queue,
    wanted: &mut QueueRequest,
    n_asked: usize,
) -> Result<(), Error> {
    let Some(prefix) = wanted.sweep.clone() else { return Ok(()) };
    let baseline = project.git().head()?.commit;
    let experiments = project.experiments().list()?.into_iter();
    let of_baseline = experiments.filter(|one| one.is_finished && Some(one.baseline) == baseline);
    let mut taken: BTreeSet<String> = of_baseline.map(|one| one.name.to_string()).collect();
    let open = queue.list()?.into_iter().filter(|job| !job.state.is_final());
    taken.extend(open.map(|job| job.name.to_string()));
    let mut further = (n_asked + 1..).map(|n| format!("{prefix}-{n}"));
    for job in &mut wanted.jobs {
        if job.name.as_ref().is_some_and(|name| taken.contains(name)) {
            job.name = further.find(|name| !taken.contains(name));
        }
    }
    Ok(())
}

/// Returns a made-up name that no experiment and no job begins with.
fn free_prefix(project: &Project) -> Result<String, Failure> {
    let experiments = project.experiments().list().map_err(exp_engine::Error::from)?;
    let jobs = project.queue()?.list()?;
    let is_free = |name: &String| {
        let begins = |other: &str| other.starts_with(name.as_str());
        !experiments.iter().any(|one| begins(one.name.as_str()))
            && !jobs.iter().any(|job| begins(job.name.as_str()))
    };
    let mut made = Names::new(seed(project)).map(|name| name.to_string());
    Ok(made.find(is_free).unwrap_or_else(|| "sweep".to_owned()))
}

/// Returns a number that is another one at each call.
fn seed(project: &Project) -> u64 {
    let pid = u64::from(std::process::id());
    u64::try_from(project.now().seconds).unwrap_or(0) << 20 ^ pid
}

/// Writes overrides as DVC does: the representation of a dictionary of Python, by file.
fn python(overrides: &[ParamChange]) -> String {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    for change in overrides {
        let file = change.file.clone().unwrap_or_else(|| "params.yaml".to_owned());
        let text = change.to_text();
        let text = match &change.file {
            Some(name) => text.strip_prefix(&format!("{name}:")).map(str::to_owned).unwrap_or(text),
            None => text,
        };
        let quoted = format!("'{text}'");
        match files.iter_mut().find(|(other, _)| *other == file) {
            Some((_, texts)) => texts.push(quoted),
            None => files.push((file, vec![quoted])),
        }
    }
    let files: Vec<String> =
        files.iter().map(|(file, texts)| format!("'{file}': [{}]", texts.join(", "))).collect();
    format!("{{{}}}", files.join(", "))
}

/// Starts workers for everything that is queued and watches it until it has ended.
pub(in crate::commands) fn run_all(session: &mut Session<'_, '_>, args: &RunArgs) -> Outcome {
    let (queue, jobs) = opened(session)?;
    let meant: Vec<Job> = jobs.into_iter().filter(|job| !job.state.is_final()).collect();
    let waiting: Vec<Job> = meant.into_iter().filter(|job| job.state != JobState::Held).collect();
    let is_dvc = session.is_dvc();
    if waiting.is_empty() {
        if !is_dvc {
            session.note("Nothing is queued.")?;
        }
        return Ok(ExitStatus::DONE);
    }
    let n = args.stages.jobs.map_or(1, std::num::NonZeroUsize::get);
    start::spawn(session, &queue, n, false)?;
    if is_dvc {
        session.note(
            "Following logs for all queued experiments. Use Ctrl+C to stop following logs (experiment execution will \
             continue).\n",
        )?;
        for job in &waiting {
            if follow(session, &queue, job)? == Watched::Interrupted {
                return Ok(ExitStatus::DONE);
            }
        }
    } else {
        session.note(&format!(
            "running {}; ctrl-c ends the watching, not the jobs",
            counted(waiting.len(), "job")
        ))?;
        let mut told = BTreeSet::new();
        let watched = watch(session, &queue, |session, jobs| {
            let mut is_done = true;
            for job in &waiting {
                let Some(job) = jobs.iter().find(|other| other.number == job.number) else {
                    continue;
                };
                is_done &= job.state.is_final();
                if job.state.is_final()
                    && told.insert(job.number)
                    && let Some(end) = queue.end(job)?
                {
                    let line = crate::view::queue::ended_line(job, &end);
                    let unicode = session.io.unicode;
                    session.note(&if unicode {
                        line
                    } else {
                        crate::view::summary::ascii(&line)
                    })?;
                }
            }
            Ok(is_done)
        })?;
        if watched == Watched::Interrupted {
            return Ok(ExitStatus::CANCELLED);
        }
    }
    let jobs = queue.list()?;
    let of = |job: &Job| jobs.iter().find(|other| other.number == job.number).cloned();
    let (done, bad): (Vec<Job>, Vec<Job>) =
        waiting.iter().filter_map(of).partition(|job| job.state == JobState::Done);
    if is_dvc {
        for job in &bad {
            session.warn(&format!("ERROR: Failed to reproduce experiment '{}'", job.name))?;
        }
        session.note(&format!("\nRan experiment(s): {}", names(&done).join(", ")))?;
        session.note(
            "To apply the results of an experiment to your workspace run:\n\n\tdvc exp apply <exp>",
        )?;
        return Ok(if bad.is_empty() { ExitStatus::DONE } else { ExitStatus::FAILED });
    }
    session.note(&format!("{} done, {} not finished", done.len(), bad.len()))?;
    session.note("compare: exp show")?;
    Ok(if bad.is_empty() { ExitStatus::DONE } else { ExitStatus::FAILED })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_told_as_a_dictionary_of_python() {
        let parsed = Overrides::parse(&["lr=0.7", "+new.k=[1,2]", "a.toml:x=1"]).unwrap();
        let text = python(&parsed.single().unwrap());
        assert_eq!(text, "{'params.yaml': ['lr=0.7', '+new.k=[1, 2]'], 'a.toml': ['x=1']}");
    }
}
