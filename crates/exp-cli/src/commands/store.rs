//! `gc`, `verify`, `du`, `cache`: the store as a whole.

mod cache;
mod du;
mod gc;
mod verify;

use super::{CommandSpec, DvcFailure, Topic, command};
use crate::args::store::{CacheDirArgs, CacheMigrateArgs, DuArgs, DvcGcArgs, GcArgs, VerifyArgs};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: GcArgs,
        run: gc::gc,
        exp: Some("gc"),
        dvc: None,
        topic: Topic::Pipeline,
        about: "Remove data from the store that nothing needs",
        long: "Remove data from the store that nothing needs.\n\nWithout flags everything known here keeps its data: \
               all commits of branches, tags and remote branches, experiments, the stash, what is staged, all work \
               trees, running experiments, and what `exp undo` would put back. Flags such as --all-branches keep \
               less. What came in the last hour stays (--grace), and so does what a running command uses. When a \
               revision cannot be read, nothing is removed.\n\n--cloud also removes from the remote, which others may \
               use: what they have not pushed to a Git remote that is fetched here does not count.\n\nExamples:\n  exp \
               gc --dry\n  exp gc --no-undo --grace 0s\n  exp gc --all-branches --all-experiments\n  exp gc --all \
               --cloud --remote store",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DvcGcArgs,
        run: gc::dvc_gc,
        exp: None,
        dvc: Some("gc"),
        topic: Topic::Pipeline,
        about: "Garbage collect unused objects from cache or remote storage",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: VerifyArgs,
        run: verify::verify,
        exp: Some("data verify"),
        dvc: None,
        topic: Topic::Pipeline,
        about: "Read stored data and compare it with its digests",
        long: "Read stored data and compare it with its digests.\n\nWhat is damaged is named by the path and the \
               revision that need it. With --repair it moves to `quarantine` in the store, and the right bytes come \
               from a file of the workspace that has them, else from a remote.\n\nEnds with 6 when something is \
               damaged, with 1 when something is only missing.\n\nExamples:\n  exp data verify\n  exp data verify data\n  exp \
               data verify --repair --remote store",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: CacheDirArgs,
        run: cache::dir,
        exp: Some("cache dir"),
        dvc: Some("cache dir"),
        topic: Topic::Settings,
        about: "Print or change where the store is",
        long: "Print or change where the store is.\n\nA relative path is taken from the current directory and written \
               relative to the configuration file. What is stored is not moved.\n\nExamples:\n  exp cache dir\n  exp \
               cache dir --local /mnt/scratch/store",
        dvc_failure: DvcFailure { code: 251, prefix: "configuration error" },
    },
    command! {
        args: CacheMigrateArgs,
        run: cache::migrate,
        exp: Some("cache migrate"),
        dvc: Some("cache migrate"),
        topic: Topic::Settings,
        about: "Give what DVC 2 has stored the names of today",
        long: "Give what DVC 2 has stored the names of today.\n\nThe old names stay, for older revisions use them.",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DuArgs,
        run: du::du,
        exp: Some("du"),
        dvc: None,
        topic: Topic::Pipeline,
        about: "Show what takes the room in the store",
        long: "Show what takes the room in the store.\n\nBy output, with all versions of it together, or by work tree, \
               branch, tag and experiment. What several share counts for each of them; what would be free without \
               one of them stands under `only here`.\n\nExamples:\n  exp du\n  exp du --by-revision --json",
        dvc_failure: DvcFailure::PLAIN,
    },
];
