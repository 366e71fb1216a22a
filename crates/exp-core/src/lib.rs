//! The stage DAG of `exp` and the vocabulary that all its crates share.
//!
//! Everything here is a value or an algorithm: no file is opened, no clock or environment read, no process started,
//! and nothing is known of Git or of a store. The outside comes in through three traits, [`Inputs`],
//! [`Artifacts`] and [`StageExecutor`].

mod cancel;
mod ctx;
mod digest;
mod event;
mod lock;
mod path;
mod plan;
mod port;
mod stage;
mod time;
mod value;

pub use cancel::{Cancel, CancelToken, Cancelled};
pub use ctx::{Ctx, Task};
pub use digest::{Algorithm, Artifact, Digest, DigestError, Hasher, ObjectId, ObjectKind};
pub use event::{
    Event, EventSink, NullSink, RestoredFrom, StageEvent, Stream, TaskEvent, TaskId, TaskLabel,
    Unit, Warning,
};
pub use lock::{LockEntry, LockFile, StageLock};
pub use path::{Location, PathError, RelPath};
pub use plan::{Change, Reason};
pub use port::{Artifacts, Exit, Inputs, PortError, Recorded, StageExecutor, StageOutcome};
pub use stage::{Command, Dep, Out, OutKind, ParamRef, Stage, StageId};
pub use time::{Civil, Timestamp};
pub use value::{KeyPath, Table, Value};
