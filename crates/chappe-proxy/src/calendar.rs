//! Months, for quotas that begin anew with each.

use std::time::Duration;

/// The month of a moment in UTC, counted from January of year 0. `unix` is since 1970.
///
/// Years begin with March here, so that the day of a leap year is the last of one.
pub(crate) fn month(unix: Duration) -> u32 {
    let days = unix.as_secs() / DAY + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let months = (era * 400 + year_of_era) * 12 + month_from_march + 2;
    u32::try_from(months).unwrap_or(u32::MAX)
}

/// How a month is written: the year and its number.
pub(crate) fn name(month: u32) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

const DAY: u64 = 86_400;
/// Days of 400 years.
const ERA: u64 = 146_097;
/// Days from 1 March of year 0.
const DAYS_BEFORE_1970: u64 = 719_468;

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
