//! The flags of every command, one file a family, no behaviour. Both grammars parse into the same types.

pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod experiment;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod pipeline;
pub(crate) mod plot;
pub(crate) mod queue;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod show;
pub(crate) mod store;
pub(crate) mod sync;
pub(crate) mod transfer;
pub(crate) mod version;
