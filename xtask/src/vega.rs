//! `cargo xtask vega`: the scripts that draw plots in a page, from npm, into `crates/exp-plots/assets`.
//!
//! They are committed, so this runs when a version changes. The digests in `SHA256SUMS` are what pages allow a browser to
//! run; `cargo xtask codegen --check` compares them with the files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{capture, root};

/// Package, version and the file that pages hold, if any; the others are parts of those, of which only the licence is kept.
const PACKAGES: &[(&str, &str, Option<&str>)] = &[
    ("vega", "5.33.0", Some("build/vega.min.js")),
    ("vega-lite", "5.23.0", Some("build/vega-lite.min.js")),
    ("vega-embed", "6.29.0", Some("build/vega-embed.min.js")),
    ("d3-array", "3.2.4", None),
    ("d3-delaunay", "6.0.4", None),
    ("delaunator", "5.0.1", None),
    ("fast-json-patch", "3.1.1", None),
    ("json-stringify-pretty-compact", "4.0.0", None),
    ("robust-predicates", "3.0.2", None),
    ("semver", "7.7.1", None),
    ("topojson-client", "3.1.0", None),
    ("tslib", "2.8.1", None),
];

/// Files whose digests pages state or tests compare.
const SUMMED: &[&str] =
    &["page.css", "page.js", "vega-embed.min.js", "vega-lite.min.js", "vega.min.js"];

fn assets() -> PathBuf {
    root().join("crates/exp-plots/assets")
}

/// Fetches the packages and writes scripts, licences and digests.
pub(crate) fn run() -> Result<(), String> {
    let scratch = root().join("target/vega");
    let _not_there = fs::remove_dir_all(&scratch);
    let failed = |what: &str, err: std::io::Error| format!("{what}: {err}");
    fs::create_dir_all(&scratch).map_err(|err| failed("cannot make target/vega", err))?;
    for (name, version, script) in PACKAGES {
        let package = format!("{name}@{version}");
        println!("{package}");
        let archive = capture(
            Command::new("npm").args(["pack", "--silent", &package]).current_dir(&scratch),
        )?;
        let archive = archive.lines().last().unwrap_or_default().trim().to_owned();
        let dir = scratch.join(name);
        fs::create_dir_all(&dir).map_err(|err| failed(name, err))?;
        capture(
            Command::new("tar")
                .args(["xzf", &archive, "--strip-components=1", "-C"])
                .arg(&dir)
                .current_dir(&scratch),
        )?;
        let licence = ["LICENSE", "LICENSE.txt", "LICENSE.md"]
            .iter()
            .map(|name| dir.join(name))
            .find(|path| path.is_file())
            .ok_or(format!("{package} has no licence file"))?;
        let kept = assets().join(format!("LICENSE-{name}"));
        fs::copy(&licence, &kept).map_err(|err| failed(name, err))?;
        if let Some(script) = script {
            let file = script.rsplit('/').next().unwrap_or(script);
            fs::copy(dir.join(script), assets().join(file)).map_err(|err| failed(name, err))?;
        }
    }
    let sums = capture(Command::new("sha256sum").args(SUMMED).current_dir(assets()))?;
    fs::write(assets().join("SHA256SUMS"), sums).map_err(|err| failed("SHA256SUMS", err))?;
    println!("digests written");
    Ok(())
}

/// Fails when a script is not the one whose digest pages state.
pub(crate) fn check() -> Result<(), String> {
    capture(
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(assets()),
    )
    .map(drop)
    .map_err(|err| {
        format!(
            "crates/exp-plots/assets: {err}\nafter a change of page.js: sha256sum {} > SHA256SUMS",
            SUMMED.join(" ")
        )
    })
}
