//! The stage DAG of `exp` and the vocabulary that all its crates share.
//!
//! Everything here is a value or an algorithm: no file is opened, no clock or environment read, no process started,
//! and nothing is known of Git or of a store. The outside comes in through three traits, [`Inputs`],
//! [`Artifacts`] and [`StageExecutor`].

mod cancel;
mod changes;
mod ctx;
mod digest;
mod event;
mod execute;
mod float;
mod graph;
mod ignore;
mod json;
mod lock;
mod path;
mod plan;
mod port;
mod report;
mod select;
mod stage;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod value;
mod yaml;

pub use cancel::{Cancel, CancelToken, Cancelled};
pub use changes::{Look, changes};
pub use ctx::{Ctx, Task};
pub use digest::{Algorithm, Artifact, Digest, DigestError, Hasher, ObjectId, ObjectKind};
pub use event::{
    Event, EventSink, NullSink, RestoredFrom, StageEvent, Stream, TaskEvent, TaskId, TaskLabel,
    Unit, Warning,
};
pub use execute::{ExecuteOptions, FailurePolicy, Job, execute};
pub use graph::{GraphError, Pipeline, StageGraph};
pub use ignore::{IgnoreRule, IgnoreRules};
pub use float::python_float;
pub use json::{KeyOrder, python_json};
pub use lock::{LockEntry, LockError, LockFile, StageLock, experiment_hash};
pub use path::{Location, PathError, RelPath};
pub use plan::{Change, Force, Plan, PlanOptions, Reason, Sources, Step, Verdict, plan};
pub use port::{Artifacts, Exit, Inputs, PortError, Recorded, StageExecutor, StageOutcome};
pub use report::{Ended, ExecuteError, Failure, Outcome, RunReport, StageReport};
pub use select::{Reach, SelectError, Selection, Target, select};
pub use stage::{Command, Dep, Out, OutKind, ParamRef, Stage, StageId};
pub use time::{Civil, Timestamp};
pub use value::{KeyPath, Table, Value};
pub use yaml::{
    SyntaxError, YamlEntry, YamlKind, YamlNode, YamlSpan, YamlStyle, emit_yaml, parse_yaml,
    parse_yaml_spanned,
};
