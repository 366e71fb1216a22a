//! Where experiments are among the refs.
//!
//! | ref | what |
//! |---|---|
//! | `refs/exps/<2>/<38>/<name>` | a finished experiment, as DVC keeps it; the two parts are the baseline's name |
//! | `refs/exp/runs/<2>/<38>/<name>` | a run that failed, was interrupted or died; hidden from DVC |
//! | `refs/exp/…` | whatever else is ours, such as the operation log |
//!
//! Anything else below `refs/exps/` is DVC's own business: `apply`, `celery`, `exec`, `temp`, `stash`.
//! In a SHA-256 repository the second part has 62 digits.

use std::fmt;

use crate::id::CommitId;
use crate::name::{ExpName, InvalidName};

/// Finished experiments.
pub(crate) const FINISHED: &str = "refs/exps/";
/// Runs that did not finish.
pub(crate) const UNFINISHED: &str = "refs/exp/runs/";

/// The full name of a ref, such as `refs/exp/oplog`; valid by Git's rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

impl RefName {
    /// Checks a full name. It begins with `refs/`.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let rest = text.strip_prefix("refs/").ok_or_else(|| InvalidName::new(text))?;
        if rest.split('/').all(crate::name::is_valid_part) && !rest.contains("@{") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::new(text))
        }
    }

    /// Returns the ref of a finished experiment.
    pub fn experiment(baseline: CommitId, name: &ExpName) -> Self {
        Self::below(FINISHED, baseline, name)
    }

    /// Returns the ref of a run that did not finish.
    pub fn run(baseline: CommitId, name: &ExpName) -> Self {
        Self::below(UNFINISHED, baseline, name)
    }

    /// Returns the full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a name that Git itself has listed.
    pub(crate) fn listed(text: String) -> Self {
        Self(text)
    }

    fn below(prefix: &str, baseline: CommitId, name: &ExpName) -> Self {
        let hex = baseline.to_string();
        Self(format!("{prefix}{}/{}/{name}", &hex[..2], &hex[2..]))
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Takes the ref of an experiment apart: whether it finished, its baseline, its name.
pub(crate) fn parse(text: &str) -> Option<(bool, CommitId, ExpName)> {
    let (finished, rest) = match text.strip_prefix(FINISHED) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix(UNFINISHED)?),
    };
    let (first, rest) = rest.split_once('/')?;
    let (second, name) = rest.split_once('/')?;
    if first.len() != 2 || !matches!(second.len(), 38 | 62) {
        return None;
    }
    let baseline = format!("{first}{second}").parse().ok()?;
    Some((finished, baseline, ExpName::new(name).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_parts_are_an_experiment() {
        let rest = "9a174f1449d64e0f60f819b347080474ec47f1";
        let (finished, baseline, name) = parse(&format!("refs/exps/9f/{rest}/e1")).unwrap();
        assert!(finished);
        assert_eq!(
            RefName::experiment(baseline, &name).as_str(),
            format!("refs/exps/9f/{rest}/e1")
        );
        assert!(!parse(RefName::run(baseline, &name).as_str()).unwrap().0);
        for other in [
            "refs/exps/stash",
            "refs/exps/celery/stash",
            "refs/exps/exec/EXEC_HEAD",
            "refs/exps/temp/head-0f",
            "refs/exps/apply/ORIG_HEAD",
            &format!("refs/exps/9f/{rest}"),
            &format!("refs/exps/9f/{rest}/a/b"),
            &format!("refs/exps/zz/{rest}/e1"),
            &format!("refs/heads/9f/{rest}/e1"),
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn ref_names_follow_the_rules_of_git() {
        assert!(RefName::new("refs/exp/oplog").is_ok());
        for bad in ["HEAD", "refs/", "refs//a", "refs/a b", "refs/a/.b", "refs/a.lock", "refs/a@{b"]
        {
            assert!(RefName::new(bad).is_err(), "{bad}");
        }
    }
}
