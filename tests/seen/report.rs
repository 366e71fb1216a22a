//! The page of `exp report` in Chromium.

use serde_json::{Value as Json, json};

use crate::browser::Browser;
use crate::page::{Project, drawn, shot};
use crate::{Outcome, skipped};

const PIPELINE: &[u8] = b"\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    params: [lr, note]
    metrics: [{m.json: {cache: false}}]
    plots: [{loss.csv: {cache: false, x: step, y: loss}}]
";

/// Writes a curve, and a metric whose name would do something in a page.
const SCRIPT: &[u8] = b"\
awk '/lr:/ {lr = $2} END {
  print \"step,loss\"
  for (s = 0; s < 40; s++) printf \"%d,%f\\n\", s, exp(-s * lr)
  printf \"{\\\"acc\\\": %f, \\\"<b onclick=hacked()>\\\": 1}\\n\", 1 - (lr - 0.3) ^ 2 > \"m.json\"
}' params.yaml > loss.csv
";

#[test]
fn a_report_has_its_tables_and_curves_and_does_nothing_by_itself() -> Outcome {
    let browser = match Browser::find()? {
        Ok(browser) => browser,
        Err(why) => return skipped(&why),
    };
    let project = Project::new()?;
    project.write("dvc.yaml", PIPELINE)?;
    project.write("train.sh", SCRIPT)?;
    project.write("params.yaml", b"lr: 0.1\nnote: plain\n")?;
    project.commit()?;
    project.exp(&["repro", "-q"])?;
    project.commit()?;
    let evil = "note=\"<img src=x onerror='window.hacked=1;alert(1)'>\"";
    for (name, rate) in [("slow", "lr=0.05"), ("good", "lr=0.28"), ("fast", "lr=0.6")] {
        project.exp(&["run", "-q", "-n", name, "-S", rate, "-S", evil])?;
    }
    project.exp(&["report", "slow", "good", "fast", "--html", "-o", "report.html"])?;
    // In front of the curve there are the table and, of each experiment, what it changed.
    let curve = "Array.from(document.querySelectorAll('script[data-place]')).map((script) => script.dataset.place)";
    let seen = browser.opens(
        &project.dir().join("report.html"),
        &json!([
            {"do": "tell", "is": curve},
            {"do": "tell", "is": "Array.from(document.querySelectorAll('h2')).map((title) => title.textContent)"},
            {"do": "tell", "is": "Array.from(document.querySelectorAll('section:first-of-type td:first-child')).map((cell) => cell.textContent)"},
            {"do": "tell", "is": "document.querySelectorAll('main img, main b').length"},
            {"do": "tell", "is": "document.body.textContent.includes('<img src=x onerror=')"},
            {"do": "tell", "is": "window.hacked === undefined"},
            {"do": "tell", "is": "document.querySelectorAll('.failed').length"},
            {"do": "shoot", "to": shot("report.png", &project)},
        ]),
    )?;
    seen.is_quiet()?;
    let [curves, titles, names, made, shown, is_unhurt, failed] = &seen.told[..] else {
        return Err(format!("{seen:?}").into());
    };
    let titles = titles.as_array().ok_or("no titles")?;
    let has = |text: &str| titles.iter().any(|title| title.as_str().is_some_and(|t| t == text));
    assert!(has("Experiments") && has("loss.csv"), "{titles:?}");
    assert!(titles.iter().any(|title| title.to_string().contains("good beside")), "{titles:?}");
    let best: Vec<&str> = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().filter(|name| name.contains('★')))
        .collect();
    assert_eq!(best, ["good ★"], "{names}");
    assert_eq!((made, shown), (&json!(0), &json!(true)), "labels are text");
    assert_eq!((is_unhurt, failed), (&json!(true), &json!(0)));

    // The curve is that of any page: it is zoomed, and told apart by revision.
    let place =
        curves[0].as_str().and_then(|place| place.strip_prefix("plot-")).ok_or("no curve")?;
    let place: usize = place.parse()?;
    let domain = format!("document.getElementById('plot-{place}').view.scale('x').domain()");
    let seen = browser.opens(
        &project.dir().join("report.html"),
        &json!([
            drawn(place, "line"),
            {"do": "tell", "is": domain},
            {"do": "wheel", "on": format!("#plot-{place} canvas"), "by": -400},
            {"do": "tell", "is": domain},
        ]),
    )?;
    seen.is_quiet()?;
    let [points, before, after] = &seen.told[..] else { return Err(format!("{seen:?}").into()) };
    assert!(points.as_u64().is_some_and(|n| n >= 120 && n % 40 == 0), "{points} points");
    let width = |domain: &Json| Some(domain[1].as_f64()? - domain[0].as_f64()?);
    assert!(width(after) < width(before), "zoomed: {before}, {after}");
    Ok(())
}
