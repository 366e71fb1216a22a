//! Real servers that tests talk to, started by `cargo xtask services`.

use std::collections::BTreeMap;
use std::fs;

use crate::oracle::Skip;
use crate::sandbox::{variable, workspace_root};

/// What `cargo xtask services` tells of one server: values by variable.
#[derive(Clone, Debug)]
pub struct Server {
    facts: BTreeMap<String, String>,
}

impl Server {
    /// Finds a running server by its name (`s3`) and the variable that has its address: in the environment, or in
    /// `target/services`.
    pub fn find(name: &str, address: &str) -> Result<Server, Skip> {
        let file = workspace_root().join(format!("target/services/{name}/env"));
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut facts: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let prefix = format!("EXP_TEST_{}", name.to_uppercase());
        facts.extend(crate::sandbox::variables(&prefix));
        if facts.contains_key(address) {
            return Ok(Server { facts });
        }
        let told = variable("EXP_TEST_XTASK").map_or("", |_| ", which was tried");
        Err(Skip { reason: format!("no {address}: run `cargo xtask services start {name}`{told}") })
    }

    /// Returns a value; empty when there is none.
    pub fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    /// Returns all values by variable.
    pub fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }
}
