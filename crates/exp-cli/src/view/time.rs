//! Times and durations for people.

use std::time::Duration;

use exp_engine::core::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes when something was made, as DVC does on the clock of `now`: `05:00 AM` today, else `Nov 22, 2026`.
pub(crate) fn created(at: Timestamp, now: Timestamp) -> String {
    let (then, today) = (at.civil(now.offset), now.civil(now.offset));
    if (then.year, then.month, then.day) == (today.year, today.month, today.day) {
        let half = if then.hour < 12 { "AM" } else { "PM" };
        let hour = if then.hour % 12 == 0 { 12 } else { then.hour % 12 };
        return format!("{hour:02}:{:02} {half}", then.minute);
    }
    let month = usize::try_from(then.month - 1).ok().and_then(|month| MONTHS.get(month));
    format!("{} {:02}, {}", month.unwrap_or(&"?"), then.day, then.year)
}

/// Writes a point in time on the clock of `offset` as ISO 8601 without a zone: `2026-11-23T05:00:03`.
pub(crate) fn iso(at: Timestamp, offset: i32) -> String {
    let civil = at.civil(offset);
    let (year, month, day) = (civil.year, civil.month, civil.day);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        civil.hour, civil.minute, civil.second
    )
}

/// Writes how long ago something was, in one unit: `now`, `12m`, `2h`, `3d`.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    match now.seconds - at.seconds {
        ..60 => "now".to_owned(),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Writes how long something took: `0.4s`, `12.3s`, `1m 04s`, `2h 05m`.
pub(crate) fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{}.{}s", seconds, took.subsec_millis() / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_dvc_tells_them() {
        let now = Timestamp { seconds: 1_795_410_006, offset: 0 };
        assert_eq!(created(Timestamp::utc(1_795_410_003), now), "05:00 AM");
        assert_eq!(created(Timestamp::utc(1_795_410_003 + 12 * 3_600), now), "05:00 PM");
        assert_eq!(created(Timestamp::utc(1_795_410_003 - 86_400), now), "Nov 22, 2026");
        assert_eq!(created(Timestamp::utc(1_795_392_000), now), "12:00 AM");
        assert_eq!(iso(Timestamp::utc(1_795_410_003), 0), "2026-11-23T05:00:03");
        assert_eq!(age(Timestamp::utc(now.seconds - 7_200), now), "2h");
    }

    #[test]
    fn durations_keep_two_units() {
        for (millis, expect) in
            [(0, "0.0s"), (12_340, "12.3s"), (64_200, "1m 04s"), (7_500_000, "2h 05m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), expect);
        }
    }
}
