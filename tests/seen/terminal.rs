//! `exp run`, `exp show --watch` and charts on a terminal.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::tmux::Terminal;
use crate::{Fails, Outcome, skipped};

/// How soon what is written has to be seen.
const SOON: Duration = Duration::from_millis(200);

const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    plots:
    - log.csv:
        cache: false
        x: step
    metrics:
    - metrics.json:
        cache: false
";

/// Writes a row for each line that comes through the pipe: `acc loss`, or `end`.
const SCRIPT: &str = "\
echo begun
echo step,acc,loss > log.csv
step=0
exec 3<> ../go
while read -r acc loss <&3; do
  if [ \"$acc\" = end ]; then break; fi
  step=$((step + 1))
  echo \"$step,$acc,$loss\" >> log.csv
  last=$acc
done
echo \"{\\\"acc\\\": ${last:-0}}\" > metrics.json
";

/// A terminal in a project whose stage does what it is told; `None` where there is no tmux.
struct Training {
    terminal: Terminal,
    go: PathBuf,
}

impl Training {
    fn begin(columns: usize, lines: usize, extra: &[(&str, &str)]) -> Fails<Option<Training>> {
        let Some(terminal) = Terminal::open(columns, lines, extra)? else { return Ok(None) };
        for (path, text) in [
            (".dvc/config", ""),
            (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
            ("dvc.yaml", PIPELINE),
            ("train.sh", SCRIPT),
            ("metrics.json", "{\"acc\": 0.5}\n"),
        ] {
            terminal.write(path, text)?;
        }
        terminal.commit()?;
        let go = terminal.sandbox.path().join("go");
        let made = std::process::Command::new("mkfifo").arg(&go).status()?;
        if !made.success() {
            return Err("mkfifo failed".into());
        }
        Ok(Some(Training { terminal, go }))
    }

    /// Lets the stage write a row; returns when it has taken the order.
    fn tell(&self, line: &str) -> Outcome {
        Ok(fs::write(&self.go, format!("{line}\n"))?)
    }
}

/// The lines of a screen that show a running stage.
fn heads(screen: &str) -> usize {
    screen.lines().filter(|line| line.starts_with(" ● train") && line.contains("step ")).count()
}

#[test]
fn a_run_shows_what_is_written_at_once() -> Outcome {
    let Some(training) = Training::begin(100, 30, &[])? else { return skipped("no tmux") };
    let terminal = &training.terminal;
    terminal.types("exp run -f -n first")?;
    terminal.sees("begun")?;
    let mut times = Vec::new();
    for n in 1..=9 {
        let value = format!("0.7{n}");
        training.tell(&format!("{value} 0.2"))?;
        let (screen, took) = terminal.sees(&format!(" {value} "))?;
        assert!(screen.contains(&format!("step {n}")), "{screen}");
        times.push(took);
    }
    times.sort();
    // Other tests run beside this one, so only the fastest tells what we take; `cargo xtask bench live` has the rest.
    assert!(times[0] < SOON, "{times:?}");
    let (screen, _) = terminal.sees("best 0.79")?;
    let line = screen.lines().find(|line| line.contains("best 0.79")).unwrap_or_default();
    assert!(line.contains("▁") && line.contains("█"), "a curve: {screen}");
    assert!(line.contains("vs main ▲ +0.29 better"), "the baseline: {screen}");
    assert_eq!(heads(&screen), 1, "{screen}");
    training.tell("end")?;
    let (screen, _) = terminal.sees("The workspace now holds first")?;
    assert!(!screen.contains("best 0.79"), "the block is gone: {screen}");
    assert!(screen.contains("begun"), "what was printed stays: {screen}");
    Ok(())
}

#[test]
fn a_second_run_says_when_it_ends() -> Outcome {
    let Some(training) = Training::begin(100, 30, &[])? else { return skipped("no tmux") };
    let terminal = &training.terminal;
    let past = format!(
        "{{\"stage\":\"train\",\"failed\":false,\"ms\":{},\"at\":1}}\n",
        Duration::from_secs(90).as_millis()
    );
    terminal.write(".dvc/tmp/exp/times.jsonl", &past)?;
    terminal.types("exp run -f")?;
    let (screen, _) = terminal.sees("ETA 1m")?;
    assert!(screen.contains("░░░"), "{screen}");
    training.tell("end")?;
    terminal.sees("The workspace now holds").map(drop)
}

#[test]
fn a_resized_terminal_keeps_one_block() -> Outcome {
    let Some(training) = Training::begin(100, 30, &[])? else { return skipped("no tmux") };
    let terminal = &training.terminal;
    terminal.types("exp run -f")?;
    terminal.sees("begun")?;
    training.tell("0.71 0.2")?;
    terminal.sees(" 0.71 ")?;
    // tmux breaks the lines of a narrower pane at once and tells programs up to a quarter of a second later. What is
    // drawn in between may leave the head of the block behind, once for each time that it became narrower.
    let mut most = 1;
    for (n, (columns, is_narrower)) in
        [(60, true), (100, false), (40, true), (120, false)].into_iter().enumerate()
    {
        terminal.resize(columns)?;
        most += usize::from(is_narrower);
        let value = format!("0.8{}", n + 1);
        training.tell(&format!("{value} 0.2"))?;
        terminal.sees(&format!(" {value}"))?;
        let fits = |screen: &str| {
            let newest = screen.lines().filter(|line| line.contains(&format!(" {value}"))).count();
            newest == 1
                && heads(screen) <= most
                && screen.lines().all(|line| line.chars().count() <= columns)
        };
        terminal.sees_that("one block that fits", &fits)?;
    }
    training.tell("end")?;
    terminal.sees("The workspace now holds").map(drop)
}

#[test]
fn sixty_columns_without_unicode_and_without_color_are_enough() -> Outcome {
    let extra = [("LC_ALL", "C"), ("NO_COLOR", "1")];
    let Some(training) = Training::begin(60, 24, &extra)? else { return skipped("no tmux") };
    let terminal = &training.terminal;
    terminal.types("exp run -f")?;
    terminal.sees("begun")?;
    for n in 1..=4 {
        training.tell(&format!("0.7{n} 0.{n}"))?;
    }
    let (screen, _) = terminal.sees(" 0.74 ")?;
    let acc = screen.lines().find(|line| line.contains("best 0.74")).unwrap_or_default();
    assert!(acc.contains('_') && acc.contains('#') && acc.contains("^ +0.24"), "{screen}");
    assert!(screen.is_ascii(), "{screen}");
    let colored = terminal.screen_with_colors()?;
    assert!(!colored.contains("\u{1b}[3"), "{colored:?}");
    training.tell("end")?;
    terminal.sees("The workspace now holds")?;
    terminal.types("clear; exp show")?;
    let (screen, _) = terminal.sees("0.74")?;
    assert!(screen.is_ascii() && screen.lines().all(|line| line.len() <= 60), "{screen}");
    Ok(())
}

#[test]
fn a_pipe_has_what_the_stage_prints_and_nothing_that_moves() -> Outcome {
    let Some(training) = Training::begin(100, 30, &[])? else { return skipped("no tmux") };
    let terminal = &training.terminal;
    terminal.types("exp run -f > ../answer 2>&1; echo ended")?;
    training.tell("0.71 0.2")?;
    training.tell("end")?;
    terminal.sees_that("the end", &|screen| screen.lines().any(|line| line == "ended"))?;
    let answer = fs::read_to_string(terminal.sandbox.path().join("answer"))?;
    assert!(answer.contains("begun\n") && answer.contains("The workspace now holds"), "{answer}");
    assert!(!answer.contains(['\u{1b}', '\r']), "{answer:?}");
    Ok(())
}

#[test]
fn whoever_watches_sees_runs_of_the_workspace_and_of_work_trees() -> Outcome {
    for (command, name) in [("exp run -f -n here", "here"), ("exp run -f -n apart --temp", "apart")]
    {
        let Some(training) = Training::begin(100, 40, &[])? else { return skipped("no tmux") };
        // A private work tree is elsewhere, so the way to the pipe has to be.
        let terminal = &training.terminal;
        let script = SCRIPT.replace("../go", &training.go.display().to_string());
        terminal.write("train.sh", &script)?;
        terminal.commit()?;
        terminal.types(&format!("{command} > ../answer 2>&1 & exp show --watch"))?;
        terminal.sees("q ends")?;
        training.tell("0.61 0.3")?;
        terminal.sees(" 0.61 ")?;
        let mut times = Vec::new();
        for n in 2..=6 {
            let value = format!("0.6{n}");
            training.tell(&format!("{value} 0.3"))?;
            times.push(terminal.sees(&format!(" {value} "))?.1);
        }
        times.sort();
        assert!(times[0] < SOON, "{name}: {times:?}");
        let screen = terminal.screen()?;
        assert!(screen.contains(&format!(" ● {name}")) && screen.contains("best 0.66"), "{screen}");
        terminal.resize(60)?;
        let (screen, _) = terminal.sees_that("sixty columns", &|screen| {
            screen.contains("best 0.66") && screen.lines().all(|line| line.chars().count() <= 60)
        })?;
        assert_eq!(screen.matches("q ends").count(), 1, "{screen}");
        training.tell("end")?;
        terminal.sees_that("no run", &|screen| !screen.contains("best 0.66"))?;
        terminal.sees(name)?;
        terminal.presses("q")?;
        terminal.sees_that("the shell", &|screen| !screen.contains("q ends"))?;
    }
    Ok(())
}

#[test]
fn whoever_watches_sees_jobs_of_the_queue() -> Outcome {
    let Some(training) = Training::begin(100, 40, &[])? else { return skipped("no tmux") };
    let terminal = &training.terminal;
    let script = SCRIPT.replace("../go", &training.go.display().to_string());
    terminal.write("train.sh", &script)?;
    terminal.commit()?;
    terminal
        .types("exp run --queue -f -n queued && exp queue start && clear && exp show --watch")?;
    terminal.sees("q ends")?;
    training.tell("0.61 0.3")?;
    training.tell("0.62 0.3")?;
    let (screen, _) = terminal.sees("best 0.62")?;
    assert!(screen.contains(" ● queued"), "{screen}");
    training.tell("end")?;
    terminal.sees_that("no run", &|screen| !screen.contains("best 0.62"))?;
    terminal.presses("q").map(drop)
}

#[test]
fn charts_fit_the_terminal() -> Outcome {
    let Some(terminal) = Terminal::open(100, 40, &[])? else { return skipped("no tmux") };
    let mut table = String::from("step,loss\n");
    for step in 0..50 {
        let _infallible = writeln!(table, "{step},{}", 1.0 / f64::from(step + 1));
    }
    terminal.write(".dvc/config", "")?;
    terminal.write("dvc.yaml", "plots:\n- loss.csv:\n    x: step\n")?;
    terminal.write("loss.csv", &table)?;
    terminal.commit()?;
    terminal.write("loss.csv", &table.replace("0.5", "0.25"))?;
    terminal.types("clear; exp plots diff")?;
    let (screen, _) = terminal.sees("● ")?;
    assert!(screen.chars().any(|c| ('\u{2800}'..'\u{2900}').contains(&c)), "{screen}");
    let colored = terminal.screen_with_colors()?;
    assert!(colored.contains("\u{1b}[3"), "lines have colours: {colored:?}");
    terminal.resize(60)?;
    terminal.types("clear; NO_COLOR=1 LC_ALL=C exp plots diff")?;
    let (screen, _) =
        terminal.sees_that("letters", &|screen| screen.contains("* ") && screen.is_ascii())?;
    assert!(screen.lines().all(|line| line.len() <= 60), "{screen}");
    let plain = terminal.screen_with_colors()?;
    assert!(!plain.contains("\u{1b}[3"), "{plain:?}");
    terminal.types("clear; exp plots diff | cat")?;
    let (screen, _) = terminal.sees("loss.csv")?;
    assert!(screen.contains("└"), "{screen}");
    let piped = terminal.screen_with_colors()?;
    assert!(!piped.contains("\u{1b}[3"), "{piped:?}");
    Ok(())
}
