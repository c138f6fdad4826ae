//! Months, for quotas that begin anew with each.

use std::time::Duration;

use time::UtcDateTime;

/// The month of a moment in UTC, counted from January of year 0. `unix` is since 1970.
pub(crate) fn month(unix: Duration) -> u32 {
    let seconds = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
    let moment = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::MAX);
    moment.year().unsigned_abs() * 12 + u32::from(u8::from(moment.month())) - 1
}

/// How a month is written: the year and its number.
pub(crate) fn name(month: u32) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_they_do() {
        for (unix, year, number) in [
            (0, 1970, 1),
            (2_678_399, 1970, 1),
            (2_678_400, 1970, 2),
            (951_782_399, 2000, 2),
            (951_868_799, 2000, 2),
            (951_868_800, 2000, 3),
            (1_704_067_199, 2023, 12),
            (1_704_067_200, 2024, 1),
            (1_709_251_199, 2024, 2),
            (1_709_251_200, 2024, 3),
        ] {
            assert_eq!(month(Duration::from_secs(unix)), year * 12 + number - 1, "{unix}");
        }
    }

    #[test]
    fn months_are_written_with_their_year() {
        assert_eq!(name(month(Duration::from_secs(1_709_251_199))), "2024-02");
        assert_eq!(name(month(Duration::from_secs(1_704_067_199))), "2023-12");
    }
}
