//! Points in time, always handed in from outside.

/// A point in time: seconds since 1970-01-01 00:00 UTC, and the offset of the clock that showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since the epoch, without leap seconds.
    pub seconds: i64,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Timestamp {
    /// Returns a point in time in UTC.
    pub fn utc(seconds: i64) -> Self {
        Self { seconds, offset: 0 }
    }

    /// Returns year, month, day, hour, minute and second on the clock with `offset`.
    pub fn civil(self, offset: i32) -> Civil {
        let local = self.seconds + i64::from(offset);
        let (days, rest) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        // Days to a date of the Gregorian calendar, by Howard Hinnant's "chrono-compatible" algorithm.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil { year, month, day, hour: rest / 3_600, minute: rest / 60 % 60, second: rest % 60 }
    }
}

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all")]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_date() {
        let civil = Timestamp::utc(1_795_410_006).civil(0);
        assert_eq!((civil.year, civil.month, civil.day), (2026, 11, 23));
        assert_eq!((civil.hour, civil.minute, civil.second), (5, 0, 6));
        let leap = Timestamp::utc(951_782_400).civil(3_600);
        assert_eq!((leap.year, leap.month, leap.day, leap.hour), (2000, 2, 29, 1));
    }
}
