//! What users see of parameter files.

mod apply;
mod compose;
mod overrides;
mod property;
mod read;
mod vectors;
