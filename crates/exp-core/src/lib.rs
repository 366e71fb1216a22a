//! The stage DAG of `exp` and the vocabulary that all its crates share.
//!
//! Everything here is a value or an algorithm: no file is opened, no clock or environment read, no process started,
//! and nothing is known of Git or of a store. The outside comes in through three traits, [`Inputs`],
//! [`Artifacts`] and [`StageExecutor`].
//!
//! A [`Pipeline`] is made of [`Stage`]s; [`select()`] finds those that are meant, [`plan()`] forecasts what would be done
//! with them and why, and [`execute()`] does it.
//!
//! ```
//! # use std::{collections::HashMap, error::Error, path::Path, sync::Mutex, time::Duration};
//! use exp_core::*;
//!
//! /// A workspace and a store in one: text by path, and what was recorded.
//! #[derive(Default)]
//! struct Notes {
//!     texts: Mutex<HashMap<String, String>>,
//!     locks: Mutex<HashMap<StageId, StageLock>>,
//! }
//!
//! impl Inputs for Notes {
//!     fn artifact(&self, _: &Ctx<'_>, at: &Location) -> Result<Option<Artifact>, PortError> {
//!         let texts = self.texts.lock().map_err(|_| PortError::new("a thread died"))?;
//!         Ok(texts.get(&at.to_string()).map(|text| Artifact {
//!             id: ObjectId::file(Digest::of(Algorithm::Sha256, text.as_bytes())),
//!             size: None,
//!             n_files: None,
//!             is_exec: false,
//!         }))
//!     }
//!     // …
//! #   fn param(&self, _: &ParamRef) -> Result<Option<Value>, PortError> { Ok(None) }
//! }
//!
//! impl Artifacts for Notes {
//!     fn keep(&self, ctx: &Ctx<'_>, _: &Stage, out: &Out) -> Result<Option<Artifact>, PortError> {
//!         self.artifact(ctx, &out.location)
//!     }
//!     fn record(
//!         &self,
//!         stage: &Stage,
//!         _: Option<&Digest>,
//!         lock: &StageLock,
//!     ) -> Result<Recorded, PortError> {
//!         let mut locks = self.locks.lock().map_err(|_| PortError::new("a thread died"))?;
//!         locks.insert(stage.id.clone(), lock.clone());
//!         Ok(Recorded::Updated)
//!     }
//!     // …
//! #   fn is_stored(&self, _: &Artifact) -> Result<bool, PortError> { Ok(true) }
//! #   fn recall(&self, _: &Digest) -> Result<Vec<StageLock>, PortError> { Ok(Vec::new()) }
//! #   fn restore(&self, _: &Ctx<'_>, _: &Stage, _: &StageLock) -> Result<(), PortError> { Ok(()) }
//! #   fn clear(&self, _: &Ctx<'_>, _: &Stage) -> Result<(), PortError> { Ok(()) }
//! }
//!
//! impl StageExecutor for Notes {
//!     fn run(&self, _: &Ctx<'_>, stage: &Stage) -> StageOutcome {
//!         if let Ok(mut texts) = self.texts.lock() {
//!             for out in &stage.outs {
//!                 texts.insert(out.path.clone(), format!("written by {}", stage.id));
//!             }
//!         }
//!         StageOutcome { exit: Exit::Success, took: Duration::ZERO }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn Error>> {
//! let root = Path::new("/project");
//! let stage = |name: &str, dep: &str, out: &str| -> Result<Stage, PathError> {
//!     let mut stage = Stage::new(StageId::named(RelPath::new("dvc.yaml")?, name));
//!     stage.cmd = Some(Command::Text(format!("python {name}.py")));
//!     let location = |path: &str| Location::resolve(path, &stage.wdir, root);
//!     stage.deps = vec![Dep { path: dep.into(), location: location(dep) }];
//!     stage.outs = vec![Out {
//!         path: out.into(),
//!         location: location(out),
//!         kind: OutKind::Data,
//!         cache: true,
//!         persist: false,
//!         push: true,
//!         remote: None,
//!         extra: Table::new(),
//!     }];
//!     Ok(stage)
//! };
//! let pipeline =
//!     Pipeline::new(vec![stage("train", "table", "model")?, stage("clean", "raw", "table")?])?;
//! let order = select(&pipeline, &Selection::All)?;
//!
//! let notes = Notes::default();
//! notes.texts.lock().map_err(|_| "a thread died")?.insert("raw".into(), "1 2 3".into());
//! let recorded = |id: &StageId| notes.locks.lock().ok()?.get(id).cloned();
//! let sources = Sources { recorded: &recorded, inputs: &notes, artifacts: &notes };
//! let ctx = Ctx::silent();
//!
//! let forecast = plan(&ctx, &pipeline, &order, sources, PlanOptions::default())?;
//! assert_eq!(forecast.steps[0].stage.to_string(), "clean");
//! assert!(matches!(&forecast.steps[0].verdict, Verdict::Stale(why) if why[0] == Reason::NeverRan));
//!
//! let job = Job { pipeline: &pipeline, order: &order, sources, executor: &notes };
//! let report = execute(&ctx, job, &ExecuteOptions::default())?;
//! assert_eq!(report.ended, Ended::Complete);
//!
//! assert!(plan(&ctx, &pipeline, &order, sources, PlanOptions::default())?.is_fresh());
//! # Ok(())
//! # }
//! ```

mod cancel;
mod changes;
mod ctx;
mod digest;
mod distance;
mod dvcfile;
mod event;
mod execute;
mod filter;
mod float;
mod graph;
mod ignore;
mod json;
mod lock;
mod metric;
mod path;
mod pipeline;
mod plan;
mod port;
mod report;
mod select;
mod settings;
mod stage;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod value;
mod yaml;

pub use cancel::{Cancel, CancelToken, Cancelled};
pub use changes::{Look, RecordedAt, changes};
pub use ctx::{Ctx, Task};
pub use digest::{Algorithm, Artifact, Digest, DigestError, Hasher, ObjectId, ObjectKind};
pub use distance::edit_distance;
pub use dvcfile::{DvcFile, DvcOut};
pub use event::{
    Event, EventSink, NullSink, RestoredFrom, StageEvent, Stream, TaskEvent, TaskId, TaskLabel,
    Unit, Until, Warning,
};
pub use execute::{ExecuteOptions, FailurePolicy, Job, execute, record_as_is, recordable};
pub use filter::{Filter, FilterColumn, FilterError, FilterFault, FilterValue};
pub use float::python_float;
pub use graph::{DeclaredOut, GraphError, Pipeline, StageGraph};
pub use ignore::{IgnoreDir, IgnoreFiles, IgnoreOrigin, IgnoreRule, IgnoreRules};
pub use json::{KeyOrder, indented_python_json, python_json, write_python_json, write_python_text};
pub use lock::{
    ExtrasFile, FileVersion, LockEntry, LockError, LockFile, RecordedFile, StageLock,
    experiment_hash,
};
pub use metric::MetricPoint;
pub use path::{Location, PathError, RelPath, is_repository_name};
pub use pipeline::{
    ArgumentStyle, EditError, Named, OutDefinition, PipelineError, PipelineFault, PipelineFile,
    Place, StageAdditions, StageDefinition, TrackedFile, TrackedSection, VarsSource, add_stage,
    declared_at, extend_stage, named_at, remove_stage, set_frozen, set_plot_props, track_files,
};
pub use plan::{Change, Expect, Force, Plan, PlanOptions, Reason, Sources, Step, Verdict, plan};
pub use port::{
    Artifacts, Consent, Exit, Flight, Inputs, PortError, Recorded, StageExecutor, StageOutcome,
};
pub use report::{Ended, ExecuteError, Failure, Outcome, RunReport, StageReport, exit_text};
pub use select::{Reach, SelectError, Selection, Target, matches_pattern, select};
pub use settings::{
    Capacity, Cause, Claims, Extra, ExtraFile, Retry, StageSettings, matches_glob_parts,
    may_match_glob_parts,
};
pub use stage::{Command, Dep, Out, OutKind, ParamRef, Stage, StageId, verbatim};
pub use time::{Civil, Timestamp};
pub use value::{KeyPath, Table, Value};
pub use yaml::{
    SyntaxError, YamlEntry, YamlKind, YamlNode, YamlSpan, YamlStyle, emit_yaml, parse_yaml,
    parse_yaml_spanned,
};
