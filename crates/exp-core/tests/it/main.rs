//! Tests of the public API.

mod consent;
mod execute;
mod failures;
mod graph;
mod ignore;
mod pipe;
mod plan;
mod settings;
