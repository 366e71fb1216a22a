//! The clock of the machine: how far it is from UTC, as `localtime` of the C library finds out.
//!
//! `TZ` decides; without it, `/etc/localtime` does. One small file is read, and no list of zones. What cannot be
//! understood is UTC, as it is for other programs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::settings::Environment;

/// Where zones are when `TZDIR` does not say.
const ZONES: &str = "/usr/share/zoneinfo";
/// The zone of the machine.
const LOCAL: &str = "/etc/localtime";

/// Returns how many seconds east of UTC the clock of the process is at a moment, daylight saving included.
pub(crate) fn utc_offset(env: &Environment, at: SystemTime) -> i32 {
    let Some(zone) = zone(env) else { return 0 };
    Timestamp::try_from(at).map_or(0, |at| zone.to_offset(at).seconds())
}

/// Returns the zone that the environment names; `None` for UTC.
fn zone(env: &Environment) -> Option<TimeZone> {
    let Some(value) = env.vars.get(OsStr::new("TZ")) else { return read(Path::new(LOCAL)) };
    let text = value.to_str()?;
    if let Some(file) = text.strip_prefix(':') {
        return read(&named(env, file));
    }
    if text.is_empty() {
        return None;
    }
    read(&named(env, text)).or_else(|| TimeZone::posix(text).ok())
}

/// Returns the file of a zone; an absolute path is that file.
fn named(env: &Environment, name: &str) -> PathBuf {
    let zones = env.var("TZDIR").map_or_else(|| PathBuf::from(ZONES), PathBuf::from);
    zones.join(name)
}

fn read(file: &Path) -> Option<TimeZone> {
    // A directory, a pipe or a device is no zone and might never end.
    fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    TimeZone::tzif("local", &fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2026-07-01 and 2026-12-01, noon UTC.
    const SUMMER: u64 = 1_782_907_200;
    const WINTER: u64 = 1_796_126_400;

    #[track_caller]
    fn check(tz: &str, at: u64, seconds: i32) {
        let mut env = Environment::default();
        env.vars.insert("TZ".into(), tz.into());
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        assert_eq!(utc_offset(&env, at), seconds, "{tz}");
    }

    #[test]
    fn posix_rules_need_no_file() {
        check("CET-1CEST,M3.5.0,M10.5.0/3", SUMMER, 7_200);
        check("CET-1CEST,M3.5.0,M10.5.0/3", WINTER, 3_600);
        check("<+0530>-5:30", WINTER, 19_800);
        check("EST5", SUMMER, -18_000);
    }

    #[test]
    fn what_cannot_be_understood_is_utc() {
        for tz in ["", "UTC0", ":", ":none/such", "none/such", "/etc/passwd", "/", "..", "\u{e9}"] {
            check(tz, SUMMER, 0);
        }
    }

    #[test]
    fn zones_are_read_from_files() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let name = dir.path().join("Zone");
        fs::write(&name, zone_file(b"<+03>-3"))?;
        let path = name.to_str().ok_or("the directory is UTF-8")?;
        check(path, WINTER, 10_800);
        check(&format!(":{path}"), WINTER, 10_800);
        let mut env = Environment::default();
        env.vars.insert("TZDIR".into(), dir.path().into());
        env.vars.insert("TZ".into(), "Zone".into());
        assert_eq!(utc_offset(&env, SystemTime::UNIX_EPOCH), 10_800);
        Ok(())
    }

    /// Makes the file of a zone without transitions: one type, and `rule` for ever (RFC 9636).
    fn zone_file(rule: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..2 {
            bytes.extend(b"TZif2");
            bytes.extend([0; 15]);
            for count in [0_u32, 0, 0, 0, 1, 4] {
                bytes.extend(count.to_be_bytes());
            }
            bytes.extend(10_800_i32.to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend(b"+03\0");
        }
        bytes.push(b'\n');
        bytes.extend(rule);
        bytes.push(b'\n');
        bytes
    }
}
