//! Finding the experiment that a person means.

use crate::error::GitError;
use crate::id::CommitId;
use crate::name::ExpName;
use crate::store::Experiment;

/// So many digits of a commit are needed at least, as in Git.
const MIN_DIGITS: usize = 4;
/// So many similar names are told at most.
const MAX_NEAR: usize = 3;

/// Why no single experiment was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// None matches.
    #[error("no experiment `{spec}`")]
    NotFound {
        /// What was asked for.
        spec: String,
        /// Names that look like it, the most similar first, at most three.
        near: Vec<ExpName>,
    },
    /// Several match.
    #[error("`{spec}` is ambiguous, {} experiments match", candidates.len())]
    Ambiguous {
        /// What was asked for.
        spec: String,
        /// All that match, at least two.
        candidates: Vec<Experiment>,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Finds the one experiment of `list` that `spec` means, `head` being the baseline that goes first.
///
/// This is [`ExperimentStore::find`](crate::ExperimentStore::find) over a list that is at hand.
pub fn find(
    list: &[Experiment],
    head: Option<CommitId>,
    spec: &str,
) -> Result<Experiment, FindError> {
    let digits = spec.to_ascii_lowercase();
    let is_hex = digits.len() >= MIN_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ways: [&dyn Fn(&Experiment) -> bool; 4] = [
        &|experiment| experiment.ref_name.as_str() == spec,
        &|experiment| experiment.name.as_str() == spec,
        &|experiment| is_hex && experiment.commit.to_string().starts_with(&digits),
        &|experiment| !spec.is_empty() && experiment.name.as_str().starts_with(spec),
    ];
    for matches in ways {
        let candidates: Vec<&Experiment> = list.iter().filter(|one| matches(one)).collect();
        if !candidates.is_empty() {
            return choose(spec, candidates, head);
        }
    }
    Err(FindError::NotFound { spec: spec.to_owned(), near: near(list, spec) })
}

fn choose(
    spec: &str,
    candidates: Vec<&Experiment>,
    head: Option<CommitId>,
) -> Result<Experiment, FindError> {
    let of_head = |one: &&Experiment| Some(one.baseline) == head;
    let finished = |one: &&Experiment| one.is_finished;
    let narrowings: [&dyn Fn(&&Experiment) -> bool; 2] = [&of_head, &finished];
    let mut left = candidates;
    for keeps in narrowings {
        let narrowed: Vec<_> = left.iter().copied().filter(|one| keeps(one)).collect();
        if !narrowed.is_empty() {
            left = narrowed;
        }
    }
    match left.as_slice() {
        [one] => Ok((*one).clone()),
        _ => Err(FindError::Ambiguous {
            spec: spec.to_owned(),
            candidates: left.into_iter().cloned().collect(),
        }),
    }
}

/// Returns the names within a third of `spec`'s length in edits.
fn near(list: &[Experiment], spec: &str) -> Vec<ExpName> {
    let most = (spec.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &ExpName)> = list
        .iter()
        .map(|experiment| {
            (exp_core::edit_distance(experiment.name.as_str(), spec), &experiment.name)
        })
        .filter(|(distance, _)| *distance <= most)
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(MAX_NEAR).map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::RefName;

    fn experiment(baseline: u8, name: &str, commit: u8, is_finished: bool) -> Experiment {
        let baseline = CommitId::from_bytes(&[baseline; 20]).unwrap();
        let name = ExpName::new(name).unwrap();
        let ref_name = if is_finished {
            RefName::experiment(baseline, &name)
        } else {
            RefName::run(baseline, &name)
        };
        let commit = CommitId::from_bytes(&[commit; 20]).unwrap();
        Experiment { baseline, name, commit, ref_name, is_finished }
    }

    #[track_caller]
    fn check(spec: &str, expect: &str) {
        let list = [
            experiment(1, "base", 0xa1, true),
            experiment(1, "lr-high", 0xa2, true),
            experiment(1, "lr-low", 0xa3, true),
            experiment(1, "retry", 0xa4, false),
            experiment(2, "base", 0xb1, true),
            experiment(2, "other", 0xb2, true),
            experiment(3, "other", 0xb3, true),
            experiment(1, "twice", 0xc1, true),
            experiment(1, "twice", 0xc2, false),
            experiment(1, "dead", 0xc3, true),
            experiment(1, "x", 0xde, true),
        ];
        let head = Some(CommitId::from_bytes(&[1; 20]).unwrap());
        let found = match find(&list, head, spec) {
            Ok(one) => one.commit.short(2),
            Err(FindError::NotFound { near, .. }) => {
                format!("none, near {near:?}")
            }
            Err(FindError::Ambiguous { candidates, .. }) => {
                format!("{} match", candidates.len())
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expect, "{spec}");
    }

    #[test]
    fn the_first_way_that_matches_decides() {
        check("base", "a1");
        check("refs/exps/02/02020202020202020202020202020202020202/base", "b1");
        check("other", "2 match");
        check("lr-h", "a2");
        check("lr", "2 match");
        check("b2b2b2", "b2");
        check("B2B2B2", "b2");
        check(&"a3".repeat(20), "a3");
        check("retry", "a4");
        check("twice", "c1");
        check("dead", "c3");
        check("dede", "de");
        check("lr-hihg", "none, near [\"lr-high\"]");
        check("nothing-like-it", "none, near []");
        check("", "none, near [\"x\"]");
    }
}
