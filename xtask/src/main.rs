//! `cargo xtask`: the development tasks of this workspace.
//!
//! Each task is a module with a `run` that prints what it does and returns whether all went well. Nothing outside of
//! std is used, so that this crate builds in seconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tasks talk to a terminal")]

mod bench;
mod bench_data;
mod bench_live;
mod bench_pipeline;
mod bench_plots;
mod bench_queue;
mod ci;
mod codegen;
mod demo;
mod fixture;
mod layers;
mod process;
mod screens;
mod services;
mod setup;
mod sides;
mod test;
mod tidy;
mod torture;
mod vega;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask TASK

  ci        everything that CI runs, stops at the first failure
  test      sets up what tests need and runs all of them [--quick: without dvc and the demo]
  demo      builds the release binary and walks through a real project [--keep] [--exp PATH]
  bench     times whole commands beside dvc [--full: dvc on 5,000 experiments too] [--exp PATH]
            data: the store beside cp, sha256sum, find and dvc [--small | --full] [--only PART] [--exp PATH]
            live: what it costs to show 16 runs with 100 points a second each [--exp PATH]
            pipeline: pipelines beside dvc, against their targets [--no-dvc] [--exp PATH]
            plots: curves, metrics and an editor's refresh beside dvc [--no-dvc] [--exp PATH]
            queue: queueing and running empty jobs beside dvc [--no-dvc] [--exp PATH]
  setup     installs the real dvc under target/oracle
  screens   installs Chromium with Playwright and tmux, which tests look through
  services  real servers for the tests of remotes [install|start|stop|status|env|run] [NAME…] [--at DIR]
  torture   many processes for longer: pipeline [--seconds N], queue [--kills N] [--seed N]
  layers    which crate may import which
  tidy      what clippy cannot check
  codegen   generated parts of the documents [--check]
  vega      fetches the scripts of pages from npm, at their pinned versions
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.split_first() {
        Some((&"ci", [])) => ci::run(),
        Some((&"test", [])) => test::run(test::Extent::Whole, test::Absent::Skip),
        Some((&"test", ["--quick"])) => test::run(test::Extent::Quick, test::Absent::Skip),
        Some((&"demo", rest)) => demo::run(rest),
        Some((&"bench", ["data", rest @ ..])) => bench_data::run(rest),
        Some((&"bench", ["live", rest @ ..])) => bench_live::run(rest),
        Some((&"bench", ["pipeline", rest @ ..])) => bench_pipeline::run(rest),
        Some((&"bench", ["plots", rest @ ..])) => bench_plots::run(rest),
        Some((&"bench", ["queue", rest @ ..])) => bench_queue::run(rest),
        Some((&"bench", rest)) => bench::run(rest),
        Some((&"setup", [])) => setup::run(),
        Some((&"screens", [])) => screens::run(),
        Some((&"services", rest)) => services::task(rest),
        Some((&"torture", rest)) => torture::task(rest),
        Some((&"layers", [])) => layers::run(),
        Some((&"tidy", [])) => tidy::run(),
        Some((&"vega", [])) => vega::run(),
        Some((&"codegen", [])) => codegen::run(codegen::Mode::Write),
        Some((&"codegen", ["--check"])) => codegen::run(codegen::Mode::Check),
        Some((&("help" | "--help" | "-h"), _)) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("unknown task or switch: {}\n\n{USAGE}", words.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
