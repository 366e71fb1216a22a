//! The page of `exp plots show` and `exp plots diff` in Chromium.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use exp_tests::{Sandbox, Tool, git, workspace_root};
use serde_json::{Value as Json, json};

use crate::browser::Browser;
use crate::{Fails, Outcome, skipped};

/// A project whose pages are looked at.
pub(crate) struct Project {
    sandbox: Sandbox,
    env: BTreeMap<String, String>,
    exp: PathBuf,
}

impl Project {
    pub(crate) fn new() -> Fails<Project> {
        let sandbox = Sandbox::new()?;
        let env = sandbox.env("page", &[]);
        let project = Project { sandbox, env, exp: Tool::find_exp()? };
        project.write(".dvc/config", b"")?;
        project.write(".dvc/.gitignore", b"/config.local\n/tmp\n/cache\n")?;
        git(&project.dir(), &project.env, &["init", "-q"])?;
        Ok(project)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.sandbox.path().join("repo")
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) -> Outcome {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        Ok(fs::write(path, content)?)
    }

    pub(crate) fn commit(&self) -> Outcome {
        git(&self.dir(), &self.env, &["add", "-A"])?;
        git(&self.dir(), &self.env, &["commit", "-qm", "all"])?;
        Ok(())
    }

    /// Runs `exp`, which has to succeed, and returns its standard output.
    pub(crate) fn exp(&self, args: &[&str]) -> Fails<String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let answer = Tool::Exp(self.exp.clone()).run(&args, &self.dir(), &self.env)?;
        if answer.code == 0 { Ok(answer.stdout) } else { Err(answer.both().into()) }
    }

    /// Runs `exp` and returns the page that it has made.
    fn page(&self, args: &[&str]) -> Fails<PathBuf> {
        let said = self.exp(args)?;
        let address = said.lines().find_map(|line| line.strip_prefix("file://"));
        Ok(PathBuf::from(address.ok_or(said.clone())?))
    }
}

/// A curve of a loss that falls, with some noise.
fn curve(rate: f64) -> String {
    let rows = (0..60).map(|step| {
        let at = f64::from(step);
        let noise = (at * 12.9898).sin() * 0.03;
        format!("{step},{:.4},{:.4}\n", (-at * rate).exp() + noise, 1.0 - (-at * rate).exp())
    });
    std::iter::once("step,loss,acc\n".to_owned()).chain(rows).collect()
}

/// An image of so many pixels of one shade, as PNG; the checksums are those of zlib.
fn image(shade: u8) -> Fails<Vec<u8>> {
    let script = "import sys, zlib, struct\n\
        n, shade = 48, int(sys.argv[1])\n\
        def part(name, data):\n    body = name + data\n    \
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))\n\
        rows = b''.join(b'\\0' + bytes((shade * x // n) % 256 for x in range(n)) for y in range(n))\n\
        png = b'\\x89PNG\\r\\n\\x1a\\n' + part(b'IHDR', struct.pack('>IIBBBBB', n, n, 8, 0, 0, 0, 0))\n\
        sys.stdout.buffer.write(png + part(b'IDAT', zlib.compress(rows)) + part(b'IEND', b''))";
    let output =
        std::process::Command::new("python3").args(["-c", script, &shade.to_string()]).output()?;
    if output.status.success() { Ok(output.stdout) } else { Err("python3 failed".into()) }
}

/// Where screenshots of the documents are kept; elsewhere unless they are to be taken anew.
pub(crate) fn shot(name: &str, project: &Project) -> PathBuf {
    match exp_tests::setting("EXP_TAKE_SCREENSHOTS") {
        Some(_) => workspace_root().join("docs/screenshots").join(name),
        None => project.sandbox.path().join(name),
    }
}

/// How many items of a mark are drawn at a place.
pub(crate) fn drawn(place: usize, mark: &str) -> Json {
    json!({"do": "tell", "is": format!(
        "(() => {{ let n = 0; const walk = (mark) => {{ for (const item of mark.items || []) {{ \
         if (mark.marktype === '{mark}' && mark.role === 'mark') n++; \
         (item.items || []).forEach(walk); }} }}; \
         walk(document.getElementById('plot-{place}').view.scenegraph().root); return n; }})()"
    )})
}

const DEFINITIONS: &str = "\
plots:
- loss.csv:
    x: step
    y: loss
    title: Loss
- curves:
    template: simple
    x: step
    y:
      loss.csv: [loss, acc]
- classes.csv:
    template: confusion
    x: actual
    y: predicted
- importance.csv:
    template: bar_horizontal_sorted
    x: weight
    y: feature
- scatter:
    template: scatter
    x: loss
    y:
      loss.csv: acc
- images
";

fn project() -> Fails<Project> {
    let project = Project::new()?;
    project.write("dvc.yaml", DEFINITIONS.as_bytes())?;
    project.write("loss.csv", curve(0.05).as_bytes())?;
    let mut classes = String::from("actual,predicted\n");
    for n in 0..120 {
        let actual = ["cat", "dog", "owl"][n % 3];
        let predicted = if n % 7 == 0 { ["dog", "owl", "cat"][n % 3] } else { actual };
        for cell in [actual, ",", predicted, "\n"] {
            classes.push_str(cell);
        }
    }
    project.write("classes.csv", classes.as_bytes())?;
    project.write(
        "importance.csv",
        b"feature,weight\nage,0.31\nincome,0.24\nheight,0.11\nweight,0.07\nregion,0.27\n",
    )?;
    for step in 0..4_u8 {
        project.write(&format!("images/samples/{step}.png"), &image(60 + 60 * step)?)?;
    }
    project.commit()?;
    project.write("loss.csv", curve(0.08).as_bytes())?;
    Ok(project)
}

#[test]
fn a_page_is_opened_zoomed_smoothed_and_slid() -> Outcome {
    let browser = match Browser::find()? {
        Ok(browser) => browser,
        Err(why) => return skipped(&why),
    };
    let project = project()?;
    let page = project.page(&["plots", "diff", "-o", "pages"])?;
    let domain = "(() => { const view = document.getElementById('plot-1').view; return view.scale('x').domain(); })()";
    let range = "document.querySelector('#plot-0 input[type=range]')";
    let path = "(() => { const marks = []; const walk = (mark) => { for (const item of mark.items || []) { \
                if (mark.marktype === 'line') marks.push(Math.round(item.y)); (item.items || []).forEach(walk); } }; \
                walk(document.getElementById('plot-0').view.scenegraph().root); return marks.join(); })()";
    let visible = "Array.from(document.querySelectorAll('.series .step')).filter((step) => !step.hidden).map((step) => step.dataset.step)";
    let seen = browser.opens(
        &page,
        &json!([
            {"do": "shoot", "to": shot("plots-diff.png", &project)},
            {"do": "tell", "is": "document.querySelectorAll('section').length"},
            {"do": "tell", "is": "document.querySelectorAll('.failed').length"},
            drawn(1, "line"),
            drawn(2, "rect"),
            drawn(3, "rect"),
            drawn(4, "symbol"),
            {"do": "tell", "is": domain},
            {"do": "wheel", "on": "#plot-1 canvas", "by": -400},
            {"do": "tell", "is": domain},
            {"do": "tell", "is": path},
            {"do": "slide", "on": "#plot-0 input[type=range]", "to": "0.5"},
            {"do": "tell", "is": path},
            {"do": "tell", "is": format!("{range}.value")},
            {"do": "tell", "is": visible},
            {"do": "slide", "on": ".series input", "to": "1"},
            {"do": "tell", "is": visible},
            {"do": "click", "on": "#plot-2 input[type=checkbox]"},
            {"do": "hover", "on": "#plot-2 canvas", "at": {"x": 100, "y": 100}},
            {"do": "shoot", "to": shot("plots-diff-used.png", &project)},
            {"do": "tell", "is": "Array.from(document.images).every((image) => image.naturalWidth === 48)"},
        ]),
    )?;
    seen.is_quiet()?;
    let [sections, failed, lines, cells, bars, dots, before, after, rough, smooth, ..] =
        &seen.told[..]
    else {
        return Err(format!("{seen:?}").into());
    };
    assert_eq!((sections, failed), (&json!(6), &json!(0)));
    // Two revisions with two columns of 60 rows: Vega has an item for each point of a line.
    assert_eq!((lines, dots), (&json!(240), &json!(120)));
    assert_eq!(bars, &json!(10), "five features of two revisions");
    assert!(cells.as_u64() >= Some(18), "nine cells of two revisions: {cells}");
    let width = |domain: &Json| Some(domain[1].as_f64()? - domain[0].as_f64()?);
    assert_eq!(before, &json!([0, 60]), "from the first step to the last");
    assert!(width(after) < width(before), "zoomed: {after}");
    assert!(rough != smooth, "the slider smoothes the lines");
    let [value, first, second, all_images] = &seen.told[10..] else { panic!("{seen:?}") };
    assert_eq!(value, "0.5");
    assert_eq!((first, second), (&json!(["3.png"]), &json!(["1.png"])), "one step is shown");
    assert_eq!(all_images, &json!(true));
    Ok(())
}

#[test]
fn nothing_of_a_strangers_labels_is_executed() -> Outcome {
    let browser = match Browser::find()? {
        Ok(browser) => browser,
        Err(why) => return skipped(&why),
    };
    let project = Project::new()?;
    let evil =
        "</script><script>window.hacked=1;alert(1)</script><img src=x onerror=window.hacked=1>";
    let quoted = evil.replace('\'', "''");
    let column = "<img src=x onerror=window.hacked=1>";
    project.write(
        "dvc.yaml",
        format!(
            "plots:\n- data.json:\n    title: '{quoted}'\n    x_label: '{quoted}'\n    y_label: '{quoted}'\n    x: step\n    \
             y: '{column}'\n- '{column}':\n    x: step\n    y:\n      data.json: '{column}'\n- images\n"
        )
        .as_bytes(),
    )?;
    let rows: Vec<Json> =
        (0..5).map(|step| json!({"step": step, "note": evil, column: step})).collect();
    project.write("data.json", json!(rows).to_string().as_bytes())?;
    project.write("images/<img src=x onerror=alert(1)>.png", b"<script>alert(1)</script>")?;
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>window.hacked=1;alert(1)</script>\
               <image href='http://example.org/x.png'/></svg>";
    project.write("images/a.svg", svg.as_bytes())?;
    project.commit()?;
    git(&project.dir(), &project.env, &["branch", "<img/src=x/onerror=alert(1)>"])?;
    let page = project.page(&[
        "plots",
        "diff",
        "<img/src=x/onerror=alert(1)>",
        "workspace",
        "-o",
        "pages",
    ])?;
    let seen = browser.opens(
        &page,
        &json!([
            {"do": "hover", "on": "#plot-0 canvas", "at": {"x": 150, "y": 150}},
            {"do": "shoot", "to": shot("hostile-labels.png", &project)},
            {"do": "tell", "is": "window.hacked === undefined"},
            {"do": "tell", "is": "document.querySelectorAll('.failed').length"},
            {"do": "tell", "is": "document.querySelector('h2').textContent.length > 0"},
        ]),
    )?;
    seen.is_quiet()?;
    assert_eq!(seen.told, [json!(true), json!(0), json!(true)]);
    Ok(())
}

#[test]
fn a_strangers_template_reaches_nothing() -> Outcome {
    let browser = match Browser::find()? {
        Ok(browser) => browser,
        Err(why) => return skipped(&why),
    };
    let project = Project::new()?;
    let template = json!({
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "usermeta": {"embedOptions": {"loader": {"target": "_top"}, "ast": false}},
        "params": [{"name": "bad", "expr": "window.hacked = 1"}],
        "layer": [
            {"data": {"values": "<DVC_METRIC_DATA>"}, "mark": {"type": "point", "href": "javascript:window.hacked=1"},
             "transform": [{"calculate": "(function(){window.hacked=1})()", "as": "x"}],
             "encoding": {"x": {"field": "<DVC_METRIC_X>"}, "y": {"field": "<DVC_METRIC_Y>"}}},
            {"data": {"url": "http://example.org/data.json"}, "mark": "bar"},
            {"data": {"values": [{"u": "http://example.org/x.png"}]}, "mark": "image", "encoding": {"url": {"field": "u"}}},
        ],
    });
    project.write(".dvc/plots/bad.json", template.to_string().as_bytes())?;
    project
        .write("dvc.yaml", b"plots:\n- loss.csv:\n    x: step\n    y: loss\n    template: bad\n")?;
    project.write("loss.csv", curve(0.1).as_bytes())?;
    project.commit()?;
    let page = project.page(&["plots", "show", "-o", "pages"])?;
    let seen =
        browser.opens(&page, &json!([{"do": "tell", "is": "window.hacked === undefined"}]))?;
    seen.is_alone()?;
    assert_eq!(seen.told, [json!(true)], "{seen:?}");
    Ok(())
}

#[test]
fn parallel_coordinates_are_drawn_and_pointed_at() -> Outcome {
    let browser = match Browser::find()? {
        Ok(browser) => browser,
        Err(why) => return skipped(&why),
    };
    let project = Project::new()?;
    project.write(
        "dvc.yaml",
        b"stages:\n  train:\n    cmd: sh train.sh\n    deps: [train.sh]\n    params: [lr, depth, optimizer]\n    metrics: \
          [{m.json: {cache: false}}]\n",
    )?;
    project.write("train.sh", b"awk '/lr:/ {lr = $2} /depth:/ {d = $2} END {printf \"{\\\"acc\\\": %f, \\\"loss\\\": %f}\\n\", \
        1 - (lr - 0.3) ^ 2 - (d - 4) ^ 2 / 50, (lr - 0.3) ^ 2 + d / 100}' params.yaml > m.json\n")?;
    project.write("params.yaml", b"lr: 0.1\ndepth: 3\noptimizer: sgd\n")?;
    project.write("m.json", b"{\"acc\": 0.5, \"loss\": 0.5}\n")?;
    project.commit()?;
    for (at, (lr, depth, optimizer)) in
        [(0.05, 3, "adam"), (0.2, 4, "sgd"), (0.3, 5, "adam"), (0.4, 6, "sgd"), (0.9, 2, "adam")]
            .iter()
            .enumerate()
    {
        let name = format!("e{at}");
        let sets = [format!("lr={lr}"), format!("depth={depth}"), format!("optimizer={optimizer}")];
        project.exp(&["run", "-q", "-n", &name, "-S", &sets[0], "-S", &sets[1], "-S", &sets[2]])?;
    }
    let page = project.page(&["show", "--pcp", "-o", "pages"])?;
    let seen = browser.opens(
        &page,
        &json!([
            drawn(0, "line"),
            {"do": "tell", "is": "document.querySelectorAll('.failed').length"},
            {"do": "hover", "on": "#plot-0 canvas", "at": {"x": 150, "y": 150}},
            {"do": "shoot", "to": shot("parallel.png", &project)},
        ]),
    )?;
    seen.is_quiet()?;
    // Workspace, baseline and five experiments on five axes.
    assert_eq!(seen.told, [json!(35), json!(0)]);
    Ok(())
}
