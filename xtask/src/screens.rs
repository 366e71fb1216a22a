//! `cargo xtask screens`: what the tests look through, Chromium with Playwright and tmux, unless it is there.

use std::path::Path;

use crate::services::{npm, system};

/// The driver of the browser. It brings no browser itself, and takes the one of the system.
const PLAYWRIGHT: &str = "playwright-core@1.64.1";

/// What tests are told: names of variables and their values; and what cannot be had.
#[derive(Debug, Default)]
pub(crate) struct Screens {
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) failed: Vec<String>,
}

/// Installs what is missing.
pub(crate) fn ensure() -> Screens {
    let mut screens = Screens::default();
    let text = |path: &Path| path.display().to_string();
    match system("tmux", &["tmux"]) {
        Ok(tmux) => screens.env.push(("EXP_TEST_TMUX", text(&tmux))),
        Err(problem) => screens.failed.push(format!("no terminal: {problem}")),
    }
    let browser = system("chromium", &["chromium", "fonts-dejavu-core"])
        .and_then(|chromium| Ok((chromium, npm("browser", &[PLAYWRIGHT])?)));
    match browser {
        Ok((chromium, place)) => {
            screens.env.push(("EXP_TEST_CHROMIUM", text(&chromium)));
            screens.env.push(("EXP_TEST_PLAYWRIGHT", text(&place.join("node_modules"))));
        }
        Err(problem) => screens.failed.push(format!("no browser: {problem}")),
    }
    screens
}

/// Does what `cargo xtask screens` was told.
pub(crate) fn run() -> Result<(), String> {
    let screens = ensure();
    for (name, value) in &screens.env {
        println!("{name}={value}");
    }
    if screens.failed.is_empty() { Ok(()) } else { Err(screens.failed.join("\n")) }
}
