//! Chromium, driven by Playwright through `look.cjs`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use exp_tests::{setting, workspace_root};
use serde_json::{Value as Json, json};

use crate::{Fails, Outcome};

/// A browser that can be started.
pub(crate) struct Browser {
    chromium: PathBuf,
    modules: PathBuf,
    scratch: tempfile::TempDir,
}

/// What was seen of a page.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Errors of its console.
    pub(crate) console: Vec<String>,
    /// Errors that nothing caught.
    pub(crate) errors: Vec<String>,
    /// Addresses that were asked for; the page itself is the first.
    pub(crate) requests: Vec<String>,
    /// What dialogs said.
    pub(crate) dialogs: Vec<String>,
    /// The answers to what the steps asked.
    pub(crate) told: Vec<Json>,
}

impl Browser {
    /// Finds Chromium and Playwright; a sentence when there is none.
    pub(crate) fn find() -> Fails<Result<Browser, String>> {
        let named = setting("EXP_TEST_CHROMIUM").map(PathBuf::from);
        let usual = ["/usr/bin/chromium", "/usr/local/bin/chromium"].map(PathBuf::from);
        let chromium = named.into_iter().chain(usual).find(|path| path.is_file());
        let modules = setting("EXP_TEST_PLAYWRIGHT").map_or_else(
            || workspace_root().join("target/services-tools/browser/node_modules"),
            PathBuf::from,
        );
        let (Some(chromium), true) = (chromium, modules.join("playwright-core").is_dir()) else {
            return Ok(Err("no Chromium or no Playwright: run `cargo xtask screens`".to_owned()));
        };
        Ok(Ok(Browser { chromium, modules, scratch: tempfile::tempdir()? }))
    }

    /// Opens a page of this machine, does `steps`, and returns what was seen.
    pub(crate) fn opens(&self, page: &std::path::Path, steps: &Json) -> Fails<Seen> {
        self.does(json!({"page": page, "steps": steps}))
    }

    /// Draws documents with Vega as it is in `scripts`, and returns the marks of each.
    pub(crate) fn draws(&self, scripts: &[PathBuf], specs: &[Json]) -> Fails<Seen> {
        self.does(json!({"scripts": scripts, "specs": specs}))
    }

    fn does(&self, mut job: Json) -> Fails<Seen> {
        job["chromium"] = json!(self.chromium);
        let file = self.scratch.path().join("job.json");
        fs::write(&file, job.to_string())?;
        let mut command = Command::new("node");
        command.arg(workspace_root().join("tests/seen/look.cjs")).arg(&file);
        let output = command.env("NODE_PATH", &self.modules).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let found: Json = serde_json::from_slice(&output.stdout)?;
        let texts = |name: &str| {
            let texts = found[name].as_array().into_iter().flatten();
            texts.map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
        };
        let told = found["told"].as_array().cloned().unwrap_or_default();
        let (console, errors) = (texts("console"), texts("errors"));
        Ok(Seen { console, errors, requests: texts("requests"), dialogs: texts("dialogs"), told })
    }
}

impl Seen {
    /// Fails unless the page did nothing but show itself.
    pub(crate) fn is_quiet(&self) -> Outcome {
        self.is_alone()?;
        if self.console.is_empty() && self.errors.is_empty() {
            return Ok(());
        }
        Err(format!("the page complains: {self:?}").into())
    }

    /// Fails when the page asked for anything, or did what a stranger wanted.
    pub(crate) fn is_alone(&self) -> Outcome {
        let asked = self.requests.iter().filter(|address| !address.starts_with("file://"));
        if asked.count() > 0 || self.requests.len() > 1 || !self.dialogs.is_empty() {
            return Err(format!("the page does not keep to itself: {self:?}").into());
        }
        Ok(())
    }
}
