//! Composed parameters against Hydra's: each case of `data/compose.json` has what DVC wrote, or its error.

use std::collections::BTreeMap;

use exp_core::PortError;
use exp_params::{ComposeError, ComposeFiles, Format, Override, Overrides, Value, compose, parse};

/// Configurations by path, without `.yaml`.
struct Texts(BTreeMap<String, String>);

impl ComposeFiles for Texts {
    fn read(&self, path: &str) -> Result<Option<String>, PortError> {
        Ok(self.0.get(path).cloned())
    }

    fn is_group(&self, path: &str) -> bool {
        self.0.keys().any(|known| known.starts_with(&format!("{path}/")))
    }

    fn options(&self, group: &str) -> Vec<String> {
        let below = self.0.keys().filter_map(|path| path.strip_prefix(&format!("{group}/")));
        below.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }
}

fn composed(
    files: &[(&str, &str)],
    name: &str,
    overrides: &[&str],
) -> Result<Result<String, ComposeError>, Box<dyn std::error::Error>> {
    let texts = files.iter().map(|(path, text)| {
        (path.strip_suffix(".yaml").unwrap_or(path).to_string(), (*text).to_owned())
    });
    let changes = Overrides::parse_composed(overrides)?.single().ok_or("a sweep")?;
    let changes: Vec<Override> = changes.into_iter().map(|change| change.change).collect();
    Ok(compose(&Texts(texts.collect()), name, &changes))
}

#[test]
fn composed_parameters_are_hydras() -> Result<(), Box<dyn std::error::Error>> {
    let Value::List(cases) = parse(Format::Json, include_str!("../data/compose.json"))? else {
        return Err("a list of cases is expected".into());
    };
    assert!(cases.len() > 80, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let text = |key: &str| case.child(key).and_then(Value::as_text);
        let name = text("name").ok_or("a case has no name")?;
        let files: Vec<(&str, &str)> = (case.child("files").and_then(Value::as_table).into_iter())
            .flatten()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_text()?)))
            .collect();
        let overrides: Vec<&str> = (case.child("overrides").and_then(Value::as_list).into_iter())
            .flatten()
            .filter_map(Value::as_text)
            .collect();
        let found = composed(&files, text("config").unwrap_or("config"), &overrides)?;
        match (text("expect"), found) {
            (Some(expect), Ok(found)) if found == expect => {}
            (None, Err(_)) => {}
            (expect, found) => wrong.push(format!("{name}\n  hydra {expect:?}\n  ours  {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn errors_say_what_there_is_and_where() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        (
            "config.yaml",
            "defaults:\n- db: mysql\n- db@backup: mysql\n- _self_\nhome: ${oc.env:HOME}\n",
        ),
        ("db/mysql.yaml", "port: 1\n"),
        ("db/pg.yaml", "port: 2\n"),
        ("loop.yaml", "defaults: [loop]\n"),
        ("open.yaml", "defaults:\n- db: ???\n"),
    ];
    for (name, overrides, expect) in [
        ("config", &["db=oracle"][..], "in `config`: there is no configuration `db/oracle`"),
        ("config", &["db@other=pg"], "nothing chooses `db@other`, so that it cannot be overridden"),
        ("config", &["a/b=pg"], "there is no group `a/b`"),
        (
            "config",
            &[],
            "`${oc.env:HOME}` at `home` needs the resolver `oc.env`, which is not supported",
        ),
        ("nope", &[], "there is no configuration `nope`"),
        ("loop", &[], "`loop` is nested too deeply, or in itself"),
        ("open", &[], "no alternative of `db` is chosen"),
    ] {
        let error = composed(&files, name, overrides)?.expect_err(expect);
        assert_eq!(error.to_string(), expect);
        if let ComposeError::NotFound { options, .. } | ComposeError::Unchosen { options, .. } =
            &error
            && name != "nope"
        {
            assert_eq!(options, &["mysql", "pg"]);
        }
        if let ComposeError::NotChosen { near, .. } = &error {
            assert_eq!(near, &["db", "db@backup"]);
        }
    }
    Ok(())
}
