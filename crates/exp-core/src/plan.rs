//! What would be done and why: a forecast.

use crate::digest::Artifact;
use crate::path::Location;
use crate::stage::{Command, ParamRef};
use crate::value::Value;

/// Why a stage does not agree with what was recorded of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing was recorded of it.
    NeverRan,
    /// The command is another one.
    Command {
        /// The recorded one.
        was: Option<Command>,
        /// The one of the pipeline.
        now: Command,
    },
    /// It is marked `always_changed` or depends on nothing.
    AlwaysChanged,
    /// A dependency differs.
    Dep {
        /// The path as the stage writes it.
        path: String,
        /// Where that is.
        location: Location,
        /// How it differs.
        change: Change,
        /// What was recorded.
        was: Option<Artifact>,
        /// What is there.
        now: Option<Artifact>,
    },
    /// A parameter differs.
    Param {
        /// Which one.
        param: ParamRef,
        /// How it differs.
        change: Change,
        /// What was recorded.
        was: Option<Value>,
        /// What is there.
        now: Option<Value>,
    },
    /// An output differs.
    Out {
        /// The path as the stage writes it.
        path: String,
        /// Where that is.
        location: Location,
        /// How it differs.
        change: Change,
        /// What was recorded.
        was: Option<Artifact>,
        /// What is there.
        now: Option<Artifact>,
    },
    /// A `.dvc` file's own checksum is not that of its content.
    Checksum,
    /// The request forces it.
    Forced,
    /// A stage before it ran and everything after it is forced.
    Upstream,
}

/// How something differs from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It was not recorded.
    New,
    /// It is different.
    Modified,
    /// It was recorded and is not there.
    Deleted,
    /// An output whose object is not in the store.
    NotInCache,
}
