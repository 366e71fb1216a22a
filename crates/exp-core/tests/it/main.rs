//! Tests of the public API.
mod ignore;
