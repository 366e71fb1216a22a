//! Names that are one where a file system does not tell upper from lower case: of two such files one would replace the
//! other, and a directory would come back as another one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::parent;

/// Returns two of `paths` that differ in nothing but case, or lead through directories that do; `None` when all of them
/// are different in any case.
pub(super) fn same_but_for_case<'p>(
    paths: &(impl Iterator<Item = &'p str> + Clone),
) -> Option<(&'p str, &'p str)> {
    // Of two that differ in case one has a letter that lower case changes.
    if !paths.clone().any(|path| path.chars().any(is_changed)) {
        return None;
    }
    // Hashes only: a directory may have a million files.
    let hasher = RandomState::new();
    let mut seen: HashMap<u64, u64> = HashMap::new();
    for path in paths.clone() {
        for name in ways(path) {
            let (folded, own) = (hasher.hash_one(name.to_lowercase()), hasher.hash_one(name));
            if seen.insert(folded, own).is_none_or(|before| before == own) {
                continue;
            }
            let is_other = |other: &&str| {
                ways(other).any(|one| one != name && one.to_lowercase() == name.to_lowercase())
            };
            if let Some(other) = paths.clone().find(is_other) {
                return Some((other, path));
            }
        }
    }
    None
}

fn is_changed(c: char) -> bool {
    let mut lower = c.to_lowercase();
    lower.next() != Some(c) || lower.next().is_some()
}

/// A path and the directories that lead to it.
fn ways(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |&path| Some(parent(path)).filter(|dir| !dir.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(paths: &[&str], expect: Option<(&str, &str)>) {
        assert_eq!(same_but_for_case(&paths.iter().copied()), expect, "{paths:?}");
    }

    #[test]
    fn names_that_differ_in_case_only_are_found() {
        check(&["README", "Readme"], Some(("README", "Readme")));
        check(&["a/x", "b/x", "b/X"], Some(("b/x", "b/X")));
        check(&["Data/one", "data/two"], Some(("Data/one", "data/two")));
        check(&["d/Sub/x", "d/sub"], Some(("d/Sub/x", "d/sub")));
        check(&["Ünï", "ünï"], Some(("Ünï", "ünï")));
    }

    #[test]
    fn others_are_not() {
        check(&[], None);
        check(&["a", "b", "a/b"], None);
        check(&["A", "B", "A/b", "B/a"], None);
        check(&["Data/one", "Data/two", "Data"], None);
    }
}
