//! `show`, `list`, `diff`, `params diff`, `metrics`: tables in every form.

use exp_cli::{Environment, Io};

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "stages:\n  train:\n    cmd: x\n    params: [lr, seed]\n    metrics: [m.json: {cache: false}]\n";

/// Makes a project with a commit at a fixed time and three experiments, the last one broken.
fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    sandbox.git(&["checkout", "-q", "-b", "main"])?;
    let commit = |name: Option<&str>, lr: &str, metrics: &str, time: u32| -> Outcome {
        for (path, text) in [
            ("dvc.yaml", PIPELINE),
            ("params.yaml", &format!("lr: {lr}\nseed: 1\n")),
            ("m.json", metrics),
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
        let made = sandbox.git_at(time, &args)?;
        let name = match name {
            Some(name) => format!("refs/exps/{}/{}/{name}", &head[..2], &head.trim()[2..]),
            None => "refs/heads/main".to_owned(),
        };
        sandbox.git(&["update-ref", &name, made.trim()])?;
        Ok(())
    };
    commit(None, "0.1", "{\"acc\": 0.5, \"loss\": 1}", 1_700_000_000)?;
    commit(Some("bold-yak"), "0.5", "{\"acc\": 0.94712345, \"loss\": 0.25}", 1_700_000_100)?;
    commit(Some("calm-otter"), "0.7", "{\"acc\": 0.9, \"loss\": 0.5}", 1_700_000_200)?;
    commit(Some("red-finch"), "9", "{", 1_700_000_300)?;
    sandbox.git(&["reset", "-q", "--hard"])?;
    Ok(sandbox)
}

#[test]
fn dvcs_csv_is_dvcs() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("dvc exp show --csv");
    let ids: Vec<&str> =
        ran.out.lines().skip(3).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(
        ran.out,
        format!(
            "Experiment,rev,typ,Created,parent,acc,loss,lr,seed\r\n,workspace,baseline,,,0.5,1,0.1,1\r\n\
             ,main,baseline,2023-11-14T22:13:20,,0.5,1,0.1,1\r\n\
             red-finch,{},branch_commit,2023-11-14T22:18:20,,!,!,9,1\r\n\
             calm-otter,{},branch_commit,2023-11-14T22:16:40,,0.9,0.5,0.7,1\r\n\
             bold-yak,{},branch_base,2023-11-14T22:15:00,,0.94712345,0.25,0.5,1\r\n",
            ids[0], ids[1], ids[2]
        )
    );
    Ok(())
}

#[test]
fn dvcs_json_has_the_workspace_the_baseline_and_its_experiments() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("dvc exp show --json --hide-workspace");
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let begin = format!(
        "[{{\"rev\": \"{0}\", \"name\": \"main\", \"data\": {{\"rev\": \"{0}\", \"timestamp\": \"2023-11-14T22:13:20\", \
         \"params\": {{\"params.yaml\": {{\"data\": {{\"lr\": 0.1, \"seed\": 1}}}}}}, \"metrics\": {{\"m.json\": \
         {{\"data\": {{\"acc\": 0.5, \"loss\": 1}}}}}}, \"deps\": {{}}, \"outs\": {{}}, \"meta\": {{}}}}, \
         \"error\": null, \"experiments\": [{{\"revs\": [{{\"rev\": \"",
        head.trim()
    );
    assert!(ran.out.starts_with(&begin), "{}", ran.out);
    assert!(
        ran.out
            .contains("{\"m.json\": {\"error\": {\"type\": \"JSONFileCorruptedError\", \"msg\": ")
    );
    assert!(ran.out.ends_with("\"executor\": null, \"name\": \"bold-yak\"}]}]\n"), "{}", ran.out);
    assert_eq!(sandbox.run("dvc exp show --rev nope --json").code, 1);
    Ok(())
}

#[test]
fn our_table_folds_constants_marks_the_best_and_tells_what_is_broken() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp show --sort-by acc --sort-order desc");
    let head = sandbox.git(&["rev-parse", "--short=7", "HEAD"])?;
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], " main  3 experiments · constant: seed=1");
    assert!(
        lines[1].contains("acc ↑") && lines[1].contains("loss ↓") && lines[1].ends_with("notes"),
        "{}",
        ran.out
    );
    assert!(lines[2].starts_with(" ◆ workspace"));
    assert!(lines[3].starts_with(&format!(" ─ main {}", head.trim())), "{}", ran.out);
    assert!(lines[4].starts_with(" ├ bold-yak ★") && lines[4].contains("0.94712▲"), "{}", ran.out);
    assert!(lines[5].starts_with(" ├ calm-otter"), "{}", ran.out);
    assert!(lines[6].starts_with(" └ red-finch") && lines[6].contains("m.json"), "{}", ran.out);
    let refused = sandbox.run("exp show --sort-by accc");
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(refused.err.contains("hint: did you mean acc?"), "{}", refused.err);
    Ok(())
}

#[test]
fn a_narrow_terminal_loses_no_column_silently() -> Outcome {
    let sandbox = sandbox()?;
    for (width, unicode) in [(60, true), (40, true), (40, false)] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let env = Environment {
            cwd: sandbox.root().to_path_buf(),
            vars: sandbox.vars(),
            ..Environment::default()
        };
        let mut io = Io::captured(&mut out, &mut err, env);
        (io.out_is_terminal, io.width, io.unicode) = (true, width, unicode);
        assert_eq!(exp_cli::run(["exp", "show"], &mut io).code(), 0);
        drop(io);
        let text = String::from_utf8(out)?;
        for name in ["lr", "acc", "loss"] {
            assert!(text.contains(name), "{width}: {name} in {text}");
        }
        assert!(text.contains("red-finch: cannot read 'm.json'"), "the note stands below: {text}");
        let table = text.lines().skip(1).take(6);
        assert!(table.into_iter().all(|line| line.chars().count() <= width), "{width}: {text}");
        assert!(unicode || text.is_ascii(), "{text}");
    }
    Ok(())
}

#[test]
fn lists_are_grouped_by_commit() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.check("dvc exp list --name-only", 0, "bold-yak\ncalm-otter\nred-finch\n", "");
    let listed = sandbox.run("dvc exp list").out;
    assert!(listed.starts_with("main:\n\t") && listed.contains(" [bold-yak]\n"), "{listed}");
    let remote = format!("dvc exp list {}", sandbox.root().display());
    sandbox.check(&remote, 0, "main:\n\tbold-yak\n\tcalm-otter\n\tred-finch\n", "");
    Ok(())
}

#[test]
fn differences_are_dvcs_tables_and_our_overview() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.check(
        "dvc exp diff main bold-yak",
        0,
        "Path    Metric    main    bold-yak    Change\nm.json  acc       0.5     0.94712     0.44712\n\
         m.json  loss      1       0.25        -0.75\n\nPath         Param    main    bold-yak    Change\n\
         params.yaml  lr       0.1     0.5         0.4\n",
        "",
    );
    sandbox.check(
        "dvc params diff main bold-yak --json",
        0,
        "{\"params.yaml\": {\"lr\": {\"old\": 0.1, \"new\": 0.5, \"diff\": 0.4}}}\n",
        "",
    );
    sandbox.check(
        "dvc metrics diff main bold-yak --md",
        0,
        "| Path   | Metric   | main   | bold-yak   | Change   |\n|--------|----------|--------|------------|----------|\n\
         | m.json | acc      | 0.5    | 0.94712    | 0.44712  |\n| m.json | loss     | 1      | 0.25       | -0.75    |\n\n",
        "",
    );
    sandbox.check("dvc metrics show", 0, "Path    acc    loss\nm.json  0.5    1\n", "");
    sandbox.check("dvc metrics diff nope", 255, "", "ERROR: unknown Git revision 'nope'\n");
    sandbox.check(
        "exp diff main bold-yak",
        0,
        " metrics   acc   0.5 → 0.94712  ▲ +0.44712 better\n           loss  1 → 0.25       ▼ -0.75 better\n \
         params    lr  0.1 → 0.5\n code      same\n data      same\n outputs   same\n",
        "",
    );
    Ok(())
}
