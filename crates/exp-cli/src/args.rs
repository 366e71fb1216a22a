//! The flags of every command, one file a family, no behaviour. Both grammars parse into the same types.

pub(crate) mod config;
pub(crate) mod init;
pub(crate) mod remote;
pub(crate) mod show;
pub(crate) mod version;
