//! `show` with a condition, with groups, and drawn again and again.

use exp_cli::{Environment, Io};

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "stages:\n  train:\n    cmd: x\n    params: [lr, seed]\n    metrics: [m.json: {cache: false}]\n";

/// Makes a project with a commit and experiments of two rates with three seeds each.
fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    sandbox.git(&["checkout", "-q", "-b", "main"])?;
    let commit = |name: Option<String>, lr: &str, seed: u32, acc: &str| -> Outcome {
        for (path, text) in [
            ("dvc.yaml", PIPELINE.to_owned()),
            ("params.yaml", format!("lr: {lr}\nseed: {seed}\n")),
            ("m.json", format!("{{\"acc\": {acc}}}")),
        ] {
            std::fs::write(sandbox.root().join(path), text)?;
        }
        sandbox.git(&["add", "-A"])?;
        let tree = sandbox.git(&["write-tree"])?;
        let mut args = vec!["commit-tree", tree.trim(), "-m", "x"];
        let head = sandbox.git(&["rev-parse", "HEAD"]).unwrap_or_default();
        if name.is_some() {
            args.extend(["-p", head.trim()]);
        }
        // The better, the newer.
        let time = 1_700_000_000 + format!("{:0<3}", &acc[2..]).parse::<u32>()?;
        let made = sandbox.git_at(time, &args)?;
        let name = match name {
            Some(name) => format!("refs/exps/{}/{}/{name}", &head[..2], &head.trim()[2..]),
            None => "refs/heads/main".to_owned(),
        };
        sandbox.git(&["update-ref", &name, made.trim()])?;
        Ok(())
    };
    commit(None, "0.1", 0, "0.5")?;
    for (lr, accs) in [("0.5", ["0.9", "0.8", "0.7"]), ("0.7", ["0.6", "0.65", "0.61"])] {
        for (seed, acc) in (1..).zip(accs) {
            commit(Some(format!("e{}-{seed}", &lr[2..])), lr, seed, acc)?;
        }
    }
    sandbox.git(&["reset", "-q", "--hard"])?;
    Ok(sandbox)
}

#[test]
fn a_condition_leaves_out_rows_and_says_how_many() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp show --where acc>0.75||name=e7-2");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], " main  3 experiments", "{}", ran.out);
    let names: Vec<&str> = lines[3..6].iter().map(|line| &line[" ├ ".len()..][..4]).collect();
    assert_eq!(names, ["e5-1", "e5-2", "e7-2"], "{}", ran.out);
    assert_eq!(lines[6], " 4 rows left out by --where");
    let none = sandbox.run("exp show --where acc>5");
    assert_eq!(none.out, " nothing  no experiments\n 8 rows left out by --where\n");
    // Every form has the same rows.
    let csv = sandbox.run("exp show --where acc>0.75 --csv");
    assert_eq!(csv.out.lines().count(), 1 + 1 + 2, "{}", csv.out);
    let json = sandbox.run("exp show --where acc>0.75 --json");
    assert!(json.out.contains("\"name\": \"e5-2\"") && !json.out.contains("e5-3"), "{}", json.out);
    assert!(!json.out.contains("\"rev\": \"workspace\""), "{}", json.out);
    Ok(())
}

#[test]
fn a_condition_that_is_wrong_is_pointed_at() -> Outcome {
    let sandbox = sandbox()?;
    for (condition, expect) in [
        (
            "acc>0.5&&lrr=1",
            "error: --where: there is no metric or parameter `lrr`\n  acc>0.5&&lrr=1\n           ^^^\n\
             hint: did you mean lr?\n",
        ),
        ("(acc>0.5", "error: --where: a parenthesis has no other half\n  (acc>0.5\n  ^\n"),
        ("acc>", "error: --where: a value expected\n  acc>\n      ^\n"),
        ("name~(", "error: --where: a regular expression expected\n  name~(\n       ^\n"),
    ] {
        sandbox.check(&format!("exp show --where {condition}"), 2, "", expect);
    }
    Ok(())
}

#[test]
fn experiments_that_differ_in_their_seed_are_one_row() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp show --group seed --sort-by acc --sort-order desc --hide-workspace");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], " main  6 experiments", "{}", ran.out);
    assert!(lines[3].starts_with(" ├ e5-1 ×3 ★"), "{}", ran.out);
    assert!(lines[3].contains("0.8 ± 0.1▲") && lines[3].contains("3 values"), "{}", ran.out);
    assert!(lines[4].starts_with(" └ e7-2 ×3"), "{}", ran.out);
    assert!(lines[4].contains("0.62 ± 0.026458"), "{}", ran.out);
    let csv = sandbox.run("exp show --group seed --csv --precision 3 --hide-workspace");
    let rows: Vec<String> = (csv.out.lines())
        .map(|line| line.split(',').enumerate().filter(|(at, _)| ![1, 3, 4].contains(at)))
        .map(|cells| cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(
        rows,
        [
            "Experiment,typ,n,acc,acc.std,lr,seed",
            ",baseline,,0.5,,0.1,0",
            "e5-1,branch_commit,3,0.8,0.1,0.5,3 values",
            "e7-2,branch_base,3,0.62,0.0265,0.7,3 values",
        ]
    );
    let json = sandbox.run("exp show --group seed --json").out;
    assert!(
        json.contains("\"groups\": [{\"n\": 3, \"experiments\": [{\"name\": \"e5-1\""),
        "{json}"
    );
    assert!(json.contains("\"params\": {\"lr\": 0.5, \"seed\": {\"various\": 3}}"), "{json}");
    assert!(
        json.contains("\"metrics\": {\"acc\": {\"mean\": 0.8") && json.contains("\"n\": 3}}"),
        "{json}"
    );
    let refused = sandbox.run("exp show --group acc");
    assert_eq!((refused.code, refused.err.as_str()), (2, "error: `acc` is no parameter\n"));
    Ok(())
}

#[test]
fn without_unicode_the_signs_are_ascii() -> Outcome {
    let sandbox = sandbox()?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let env = Environment {
        cwd: sandbox.root().to_path_buf(),
        vars: sandbox.vars(),
        ..Environment::default()
    };
    let mut io = Io::captured(&mut out, &mut err, env);
    io.unicode = false;
    assert_eq!(exp_cli::run(["exp", "show", "--group", "seed"], &mut io).code(), 0);
    drop(io);
    let text = String::from_utf8(out)?;
    assert!(text.is_ascii() && text.contains("x3") && text.contains("0.8 +- 0.1"), "{text}");
    Ok(())
}

#[test]
fn a_pipe_is_not_watched() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp show --watch");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.starts_with("error: --watch needs a terminal"), "{}", ran.err);
    assert_eq!(sandbox.run("exp show --watch --csv").code, 2, "nothing draws CSV again");
    Ok(())
}

#[test]
fn parallel_coordinates_are_a_page() -> Outcome {
    let sandbox = Sandbox::project()?;
    let root = sandbox.root();
    std::fs::write(root.join("params.yaml"), "lr: 0.1\nseed: 1\n")?;
    std::fs::write(root.join("m.json"), "{\"acc\": 0.5}\n")?;
    std::fs::write(root.join("dvc.yaml"), "metrics: [m.json]\nparams: [params.yaml]\n")?;
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    let ran = sandbox.run("exp show --pcp");
    assert_eq!((ran.code, &*ran.out), (0, ""), "one commit as the workspace has it: {}", ran.err);
    assert!(ran.err.starts_with("nothing to draw"), "{}", ran.err);
    std::fs::write(root.join("params.yaml"), "lr: 0.2\nseed: 1\n")?;
    std::fs::write(root.join("m.json"), "{\"acc\": 0.75}\n")?;
    let ran = sandbox.run("dvc exp show --pcp -o pages");
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
    assert!(ran.out.ends_with("/pages/parallel.html\n"), "{}", ran.out);
    let page = sandbox.read("pages/parallel.html")?;
    for name in ["\"lr\"", "\"acc\"", "\"workspace\""] {
        assert!(page.contains(name), "{name}");
    }
    assert!(!page.contains("\"seed\""), "what never differs has no axis");
    assert_eq!(sandbox.run("exp show --open").code, 2, "there is no page to open");
    Ok(())
}
