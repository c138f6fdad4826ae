//! Days and moments at which something ends, as TOML writes them.

use anyhow::{Context, Result};
use toml::value::{Datetime, Offset};

/// The moment in seconds since 1970. A day means its beginning, and where no offset is written UTC
/// is meant.
pub(crate) fn unix(written: &Datetime) -> Result<u64> {
    let date = written.date.context("a day is needed, such as 2030-12-31")?;
    let (year, month) = (i64::from(date.year), i64::from(date.month));
    // Years begin with March here, so that the day of a leap year is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100
        + year / 400
        + (153 * month + 2) / 5
        + i64::from(date.day)
        - DAYS_BEFORE_1970;
    let seconds = written.time.map_or(0, |time| {
        let minutes = i64::from(time.hour) * 60 + i64::from(time.minute);
        minutes * 60 + time.second.map_or(0, i64::from)
    });
    let offset = match written.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(Offset::Z) | None => 0,
    };
    u64::try_from(days * 86_400 + seconds - offset).context("that was before 1970")
}

/// A moment of UTC as TOML writes it, and RFC 3339; `unix` is in seconds since 1970.
pub(crate) fn text(unix: u64) -> String {
    let days = unix / 86_400 + DAYS_BEFORE_1970.unsigned_abs() - 1;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year_of_era, month + 3);
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    let (hour, minute, second) = (unix / 3600 % 24, unix / 60 % 60, unix % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days from 0 March of year 0.
const DAYS_BEFORE_1970: i64 = 719_469;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_they_are_read() {
        assert_eq!(text(1_735_689_599), "2024-12-31T23:59:59Z");
        for days in 0..60_000 {
            let unix = days * 86_400 + 4321;
            assert_eq!(super::unix(&text(unix).parse().unwrap()).unwrap(), unix);
        }
    }

    #[test]
    fn days_and_moments_are_read() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(951_782_400)),
            ("2000-03-01", Some(951_868_800)),
            ("2024-12-31T23:59:59Z", Some(1_735_689_599)),
            ("2025-01-01T02:00:00+02:00", Some(1_735_689_600)),
            ("1969-12-31", None),
            ("12:00:00", None),
        ] {
            assert_eq!(unix(&text.parse().unwrap()).ok(), expected, "{text}");
        }
    }
}
