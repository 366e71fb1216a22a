//! `plots` in our grammar: charts, pages, and what is said of input that cannot be read.

use std::fmt::Write as _;
use std::fs;

use exp_cli::{Environment, Io};

use crate::{Outcome, Sandbox};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

/// A project with a curve, a table of bars and two images, committed as `main`, and a branch with another curve.
fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    sandbox.git(&["checkout", "-q", "-b", "main"])?;
    let root = sandbox.root();
    fs::create_dir(root.join("img"))?;
    fs::write(root.join("img/1.png"), PNG)?;
    fs::write(root.join("img/2.png"), "no image")?;
    fs::write(root.join("loss.csv"), "step,loss\n0,1\n1,0.5\n2,0.25\n3,0.125\n")?;
    fs::write(
        root.join("dvc.yaml"),
        "plots:\n- loss.csv:\n    x: step\n    y: loss\n    title: The <b>loss</b>\n- img\n",
    )?;
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-qm", "x"])?;
    sandbox.git(&["checkout", "-q", "-b", "other"])?;
    fs::write(root.join("loss.csv"), "step,loss\n0,0\n3,1\n")?;
    sandbox.git(&["commit", "-qam", "y"])?;
    sandbox.git(&["checkout", "-q", "main"])?;
    Ok(sandbox)
}

#[test]
fn plots_are_charts_in_the_terminal() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp plots show");
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
    assert!(ran.out.starts_with("The <b>loss</b>  (loss.csv)  loss\n"), "{}", ran.out);
    assert!(ran.out.contains("img/1.png\n  PNG image, 12 B\n"), "{}", ran.out);
    assert!(ran.out.contains("img/2.png\n  not an image, 8 B\n"), "{}", ran.out);
    assert!(!sandbox.root().join("dvc_plots").exists());
    Ok(())
}

#[test]
fn charts_fit_sixty_columns_and_need_neither_colour_nor_unicode() -> Outcome {
    let sandbox = sandbox()?;
    let env = Environment {
        cwd: sandbox.root().to_path_buf(),
        vars: sandbox.vars(),
        ..Environment::default()
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut io = Io::captured(&mut out, &mut err, env);
    (io.width, io.unicode) = (60, false);
    let line = ["exp", "plots", "diff", "main", "other", "nope", "--targets", "loss.csv"];
    exp_cli::run(line, &mut io);
    drop(io);
    let (out, err) = (String::from_utf8(out)?, String::from_utf8(err)?);
    assert_eq!(err, "warning: nope: there is no such revision or experiment\n");
    assert!(out.is_ascii() && out.lines().all(|line| line.len() <= 60), "{out}");
    assert!(out.lines().any(|line| line.trim() == "* main  o other"), "{out}");
    assert!(out.matches('o').count() > 20 && out.matches('*').count() > 20, "{out}");
    Ok(())
}

#[test]
fn a_page_holds_everything_and_asks_for_nothing() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp plots diff main other -o out");
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let file = sandbox.root().join("out/index.html");
    assert_eq!(ran.out, format!("file://{}\n", file.display()));
    let names: Vec<_> = fs::read_dir(sandbox.root().join("out"))?.collect::<Result<_, _>>()?;
    assert_eq!(names.len(), 1, "one file and no other");
    let html = fs::read_to_string(file)?;
    for request in ["src=\"http", "href=\"http", "<link", "src=\"//", "<iframe"] {
        assert!(!html.contains(request), "{request}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(html.contains("<img alt=\"main\" src=\"data:image/png;base64,iVBORw0KGgpyZXN0\">"));
    assert!(html.contains("img/2.png is not an image (8 B)."));
    assert!(!html.contains("<b>loss"));
    assert!(html.contains("The \\u003cb>loss\\u003c/b>"));
    Ok(())
}

#[test]
fn a_page_of_ones_own_is_filled_or_refused() -> Outcome {
    let sandbox = sandbox()?;
    fs::write(sandbox.root().join("mine.html"), "<p>mine</p>{plot_divs}")?;
    let ran = sandbox.run("exp plots show --html-template mine.html");
    assert_eq!((ran.code, &*ran.err), (0, ""));
    assert!(sandbox.read("dvc_plots/index.html")?.starts_with("<p>mine</p><style>"));
    fs::write(sandbox.root().join("mine.html"), "<p>mine</p>")?;
    sandbox.check(
        "exp plots show --html-template mine.html",
        2,
        "",
        "error: HTML template has to contain '{plot_divs}'\n",
    );
    Ok(())
}

/// What is said of a file that cannot be read, next to the curve that can.
#[track_caller]
fn says(name: &str, bytes: &[u8], expect: &str) {
    let sandbox = sandbox().expect("a project");
    fs::write(sandbox.root().join(name), bytes).expect("a file");
    let ran = sandbox.run(&format!("exp plots show {name} loss.csv"));
    assert_eq!(ran.code, 0, "{name}");
    assert_eq!(ran.err, expect, "{name}");
    assert!(ran.out.contains("The <b>loss</b>"), "{name}: {}", ran.out);
}

#[test]
fn what_cannot_be_read_is_told_beside_what_can() {
    says(
        "cut.json",
        b"[{\"a\": 1}, {\"a\": ",
        "warning: workspace: cut.json: line 1, column 18: a value is missing\n",
    );
    says(
        "cut.yaml",
        b"a: [1, ",
        "warning: workspace: cut.yaml: line 1, column 4: unclosed bracket '['\n",
    );
    says("none.json", b"", "warning: workspace: none.json: line 1, column 1: a value is missing\n");
    says("binary.csv", b"\xff\xfe\x00\x01", "warning: workspace: binary.csv: is not text\n");
    says(
        "binary.json",
        b"\x00\x01",
        "warning: workspace: binary.json: line 1, column 1: a value is missing\n",
    );
    says(
        "text.txt",
        b"x",
        "warning: workspace: text.txt: is neither JSON, YAML, CSV, TSV nor an image by its ending\n",
    );
    says(
        "ragged.csv",
        b"a,b\n1,2\n1,2,3\n",
        "warning: workspace: ragged.csv: has no rows that can be drawn\n",
    );
    says("scalar.json", b"5", "warning: workspace: scalar.json: has no rows that can be drawn\n");
}

#[test]
fn huge_values_and_many_columns_are_drawn() -> Outcome {
    let sandbox = sandbox()?;
    let mut table = String::from("v\n");
    for step in 0..200_000 {
        writeln!(table, "{}e{}", step % 10, step % 300)?;
    }
    fs::write(sandbox.root().join("huge.csv"), table)?;
    let ran = sandbox.run("exp plots show huge.csv");
    assert_eq!((ran.code, &*ran.err), (0, ""));
    assert!(ran.out.lines().count() > 10, "{}", ran.out);
    Ok(())
}

#[test]
fn a_template_with_a_wrong_anchor_or_none_is_told() -> Outcome {
    let sandbox = sandbox()?;
    fs::create_dir(sandbox.root().join(".dvc/plots"))?;
    let write = |text: &str| fs::write(sandbox.root().join(".dvc/plots/t.json"), text);
    write("{\"data\": \"<DVC_METRIC_DTA>\"}")?;
    let line = "exp plots show loss.csv -t t --json";
    sandbox.check(line, 2, "", "error: Template 't' is not using '<DVC_METRIC_DATA>' anchor\n");
    write("[1]")?;
    sandbox.check(line, 2, "", "error: the template is not a JSON map\n");
    write("{")?;
    let ran = sandbox.run(line);
    assert!(ran.err.starts_with("error: template 't' is no JSON: line 1"), "{}", ran.err);
    let ran = sandbox.run("exp plots show loss.csv -t lnear --json");
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("Template 'lnear' not found; there are simple, linear,"),
        "{}",
        ran.err
    );
    Ok(())
}

#[test]
fn a_column_that_is_not_there_costs_its_plot() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp plots show -y nope");
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.err,
        "warning: workspace: loss.csv: could not find provided field ('nope') in data fields ('step, loss')\n"
    );
    assert!(ran.out.contains("img/1.png"), "{}", ran.out);
    Ok(())
}

#[test]
fn modifying_is_noted_and_can_be_undone() -> Outcome {
    let sandbox = sandbox()?;
    let before = "stages:\n  a:\n    cmd: x\n    plots:\n    - p.csv  # a curve\n";
    fs::write(sandbox.root().join("dvc.yaml"), before)?;
    let ran = sandbox.run("exp plots modify p.csv -y loss");
    assert_eq!((ran.code, &*ran.err), (0, "Modifying stage 'a' in 'dvc.yaml'\n"));
    assert!(sandbox.read("dvc.yaml")?.contains("y: loss"));
    let ran = sandbox.run("exp undo");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(sandbox.read("dvc.yaml")?, before);
    Ok(())
}

#[test]
fn templates_are_listed_and_printed() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp plots templates");
    assert_eq!(ran.out.lines().count(), 9);
    for name in ran.out.lines() {
        let text = sandbox.run(&format!("exp plots templates {name}")).out;
        assert!(text.contains("<DVC_METRIC_DATA>"), "{name}");
    }
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_told() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.check(
        "exp plots show nothing.csv",
        2,
        "",
        "error: `nothing.csv` is neither a file nor a plot that a dvc.yaml defines\n",
    );
    let one = sandbox.run("exp plots show loss.csv nothing.csv");
    assert!(one.code == 0 && one.out.contains("The <b>loss</b>"), "{one:?}");
    Ok(())
}

#[test]
fn figures_are_files_of_their_own() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp plots diff main other --svg -o figures");
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, "figures/loss.csv.svg\n", ""));
    let drawn = sandbox.read("figures/loss.csv.svg")?;
    assert!(drawn.starts_with("<svg ") && drawn.contains("The &lt;b&gt;loss"), "{drawn}");
    assert!(drawn.contains("\nmain\n") && drawn.contains("\nother\n"), "a legend: {drawn}");
    assert_eq!(sandbox.run("exp plots show --svg --json").code, 2);
    Ok(())
}
