//! Tests of the public API.

mod execute;
mod graph;
mod ignore;
mod pipe;
mod plan;
