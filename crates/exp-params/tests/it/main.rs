//! What users see of parameter files.

mod apply;
mod overrides;
mod property;
mod read;
mod vectors;
