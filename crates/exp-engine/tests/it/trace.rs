//! Watching what commands open, by `strace` where it may trace and by Python's hook.

use exp_engine::core::{Command, Ctx, Exit, OutKind};
use exp_engine::{Project, ProjectOptions, RecordRequest, ReproRequest, TraceMethod, Tracer};

use crate::support::{Sandbox, Test};

const SCRIPT: &str = "\
import json, os, util
open('in.txt').read()
try:
    open('none.txt')
except OSError:
    pass
os.makedirs('out', exist_ok=True)
with open('out/part', 'w') as file:
    file.write(util.text())
os.rename('out/part', 'out/whole')
json.dump({'acc': 1.5}, open('metrics.json', 'w'))
";

const PIPELINE: &str = "\
stages:
  train:  # the long one
    cmd: python3 train.py
    deps:
    - train.py
    - unused.txt
    outs:
    - out
";

fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    Sandbox::new(&[
        ("train.py", SCRIPT),
        ("util.py", "def text():\n    return open('more.txt').read()\n"),
        ("in.txt", "1\n"),
        ("more.txt", "2\n"),
        ("unused.txt", "3\n"),
        ("params.yaml", "lr: 1\n"),
    ])
}

/// Opens the project as one that finds `strace`, if it is there, and as one that finds nothing.
fn both(sandbox: &Sandbox) -> Result<[Project; 2], Box<dyn std::error::Error>> {
    let plain = sandbox.options();
    let bare = ProjectOptions { env: plain.env.clone().with("PATH", "/nowhere"), ..plain.clone() };
    let open = |options| Project::discover(&sandbox.root(), options);
    Ok([open(plain)?, open(bare)?])
}

/// Returns what is known not to be opened: nothing where only Python is watched (issue 4).
fn unused(method: TraceMethod) -> &'static [&'static str] {
    if method == TraceMethod::Strace { &["unused.txt"] } else { &[] }
}

#[test]
fn what_a_stage_opens_and_does_not_declare_is_found_and_written() -> Test {
    let sandbox = sandbox()?;
    sandbox.write("dvc.yaml", PIPELINE)?;
    for project in both(&sandbox)? {
        sandbox.write("dvc.yaml", PIPELINE)?;
        let tracer = Tracer::new(&project)?;
        let mut request = ReproRequest { trace: Some(tracer.clone()), ..ReproRequest::default() };
        request.execute.force = exp_engine::core::Force::All;
        project.reproduce(&Ctx::silent(), &request)?;
        let found = project.traces(&tracer)?;
        let [trace] = &found[..] else { return Err(format!("{found:?}").into()) };
        assert_eq!(trace.additions.deps, ["in.txt", "more.txt", "util.py"], "{:?}", trace.method);
        assert_eq!(trace.unused, unused(trace.method));
        let outs: Vec<_> = trace.additions.outs.iter().map(|out| (&*out.path, out.kind)).collect();
        assert_eq!(outs, [("metrics.json", OutKind::Metric)]);

        let files = project.declare(&Ctx::silent(), &found)?;
        assert_eq!(files.len(), 1);
        let text = sandbox.read("dvc.yaml")?;
        assert!(text.contains("train:  # the long one\n"), "{text}");
        assert!(text.contains("    - unused.txt\n    - in.txt\n    - more.txt\n"), "{text}");
        assert!(project.traces(&tracer)?[0].is_complete());

        let plan = project
            .plan_undo(&Ctx::silent(), exp_engine::Direction::Undo)?
            .ok_or("nothing to undo")?;
        project.undo(&Ctx::silent(), plan)?;
        assert_eq!(sandbox.read("dvc.yaml")?, PIPELINE);
    }
    assert!(
        !sandbox.root().join(".dvc/tmp/exp/trace").read_dir()?.any(|_| true),
        "nothing is left"
    );
    Ok(())
}

#[test]
fn a_recorded_command_is_a_stage_that_is_up_to_date() -> Test {
    for index in 0..2 {
        let sandbox = sandbox()?;
        let project = both(&sandbox)?.into_iter().nth(index).ok_or("two")?;
        let request = RecordRequest {
            name: "train".to_owned(),
            command: Command::Text("python3 train.py".to_owned()),
            cwd: exp_engine::core::RelPath::root(),
            replace: false,
        };
        let outcome = project.record(&Ctx::silent(), &request)?;
        assert_eq!(outcome.ran.exit, Exit::Success);
        assert_eq!(
            sandbox.read("dvc.yaml")?,
            "stages:\n  train:\n    cmd: python3 train.py\n    deps:\n    - in.txt\n    - more.txt\n    - train.py\n    - \
             util.py\n    outs:\n    - out\n    metrics:\n    - metrics.json:\n        cache: false\n"
        );
        let project = sandbox.project()?;
        let status = project.status(&Ctx::silent(), &exp_engine::StatusRequest::default())?;
        assert!(status.is_clean(), "{status:?}");
        let again = project.record(&Ctx::silent(), &request);
        assert!(again.is_err_and(|error| error.to_string().contains("cannot change")));
    }
    Ok(())
}

#[test]
fn what_the_shell_replaces_is_recorded_as_it_was_typed() -> Test {
    let sandbox = sandbox()?;
    let line = "X=more; python3 -c 'open(\"'${X}'.txt\").read()'";
    let request = RecordRequest {
        name: "x".to_owned(),
        command: Command::Text(line.to_owned()),
        cwd: exp_engine::core::RelPath::root(),
        replace: false,
    };
    let outcome = sandbox.project()?.record(&Ctx::silent(), &request)?;
    assert_eq!(outcome.ran.exit, Exit::Success);
    let text = sandbox.read("dvc.yaml")?;
    assert!(text.contains("'\\${X}'") && text.contains("- more.txt\n"), "{text}");
    assert!(sandbox.read("dvc.lock")?.contains("'${X}'"), "the lock has what runs");
    let project = sandbox.project()?;
    let status = project.status(&Ctx::silent(), &exp_engine::StatusRequest::default())?;
    assert!(status.is_clean(), "{status:?}");
    let mut again = ReproRequest::default();
    again.execute.force = exp_engine::core::Force::All;
    let report = project.reproduce(&Ctx::silent(), &again)?.report;
    assert_eq!(report.ended, exp_engine::core::Ended::Complete);
    Ok(())
}

#[test]
fn a_command_that_fails_or_that_nobody_saw_writes_no_stage() -> Test {
    let sandbox = sandbox()?;
    let request = |line: &str| RecordRequest {
        name: "x".to_owned(),
        command: Command::Text(line.to_owned()),
        cwd: exp_engine::core::RelPath::root(),
        replace: false,
    };
    let [plain, bare] = both(&sandbox)?;
    let failed = plain.record(&Ctx::silent(), &request("exit 3"))?;
    assert!(failed.added.is_none() && matches!(failed.ran.exit, Exit::Code { code: 3, .. }));
    assert_eq!(Tracer::new(&bare)?.method(), TraceMethod::Python);
    let unseen = bare.record(&Ctx::silent(), &request("cat in.txt > copy.txt"));
    assert!(matches!(unseen, Err(exp_engine::Error::Trace(_))), "{unseen:?}");
    assert!(!sandbox.has("dvc.yaml"));
    Ok(())
}

#[test]
fn a_path_with_the_sign_of_a_template_is_recorded_as_it_is() -> Test {
    let sandbox = sandbox()?;
    sandbox.write("${a} in.txt", "1\n")?;
    let script = "open('${b}.txt', 'w').write(open('${a} in.txt').read())";
    let request = RecordRequest {
        name: "x".to_owned(),
        command: Command::Text(format!("python3 -c \"{}\"", script.replace('$', "\\$"))),
        cwd: exp_engine::core::RelPath::root(),
        replace: false,
    };
    let outcome = sandbox.project()?.record(&Ctx::silent(), &request)?;
    assert_eq!(outcome.ran.exit, Exit::Success);
    let text = sandbox.read("dvc.yaml")?;
    assert!(text.contains("- \\${a} in.txt\n") && text.contains("- \\${b}.txt\n"), "{text}");
    assert!(sandbox.read("dvc.lock")?.contains("path: ${a} in.txt\n"));
    let project = sandbox.project()?;
    let status = project.status(&Ctx::silent(), &exp_engine::StatusRequest::default())?;
    assert!(status.is_clean(), "{status:?}");
    Ok(())
}

#[test]
fn what_a_stage_opens_in_a_private_work_tree_is_found_when_that_is_gone() -> Test {
    let sandbox = sandbox()?;
    sandbox.write("dvc.yaml", PIPELINE)?;
    sandbox.git(&["add", "."])?;
    sandbox.git(&["commit", "-qm", "A pipeline"])?;
    for project in both(&sandbox)? {
        let tracer = Tracer::new(&project)?;
        let repro = ReproRequest { trace: Some(tracer.clone()), ..ReproRequest::default() };
        let place = exp_engine::Place::Private { copy: Vec::new() };
        let mut request = exp_engine::RunRequest { repro, place, ..Default::default() };
        request.repro.execute.force = exp_engine::core::Force::All;
        let outcome = project.run(&Ctx::silent(), &request)?;
        assert_eq!(outcome.report.ended, exp_engine::core::Ended::Complete);
        assert!(!sandbox.has("out"), "the workspace stays as it is");
        let found = project.traces(&tracer)?;
        let [trace] = &found[..] else { return Err(format!("{found:?}").into()) };
        assert_eq!(trace.additions.deps, ["in.txt", "more.txt", "util.py"], "{:?}", trace.method);
        let outs: Vec<_> = trace.additions.outs.iter().map(|out| (&*out.path, out.kind)).collect();
        assert_eq!(outs, [("metrics.json", OutKind::Metric)]);
        assert_eq!(trace.unused, unused(trace.method));
    }
    Ok(())
}
