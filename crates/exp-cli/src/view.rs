//! Everything that formats: tables, JSON, CSV, Markdown, times. No command knows how its answer looks.

pub(crate) mod change;
pub(crate) mod csv;
pub(crate) mod dag;
pub(crate) mod data;
pub(crate) mod data_diff;
pub(crate) mod difference;
pub(crate) mod environment;
pub(crate) mod forecast;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod markdown;
pub(crate) mod metrics;
pub(crate) mod plot;
pub(crate) mod queue;
pub(crate) mod reason;
pub(crate) mod report;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod why;
pub(crate) mod wrap;

/// Writes a number of bytes with its unit: `12 B`, `34.2 kB`, `1.5 GB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    // In tenths of the unit, rounded.
    let mut tenths = (u128::from(bytes) + 50) / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}
