//! Everything that formats: tables, JSON, CSV, Markdown, times. No command knows how its answer looks.

#![cfg_attr(
    not(test),
    expect(dead_code, reason = "for the families of commands that are not in the table yet")
)]

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod table;
pub(crate) mod time;
