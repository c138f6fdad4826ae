//! Days and moments at which something ends, as TOML writes them.

use anyhow::{Context, Result};
use time::{Date, Month, Time, UtcDateTime, UtcOffset};
use toml::value::{Datetime, Offset};

/// The moment in seconds since 1970. A day means its beginning, and where no offset is written UTC
/// is meant.
pub(crate) fn unix(written: &Datetime) -> Result<u64> {
    let date = written.date.context("a day is needed, such as 2030-12-31")?;
    let date = Date::from_calendar_date(date.year.into(), Month::try_from(date.month)?, date.day)?;
    let time = match written.time {
        Some(time) => Time::from_hms(time.hour, time.minute, time.second.unwrap_or(0))?,
        None => Time::MIDNIGHT,
    };
    let offset = match written.offset {
        Some(Offset::Custom { minutes }) => UtcOffset::from_whole_seconds(i32::from(minutes) * 60)?,
        Some(Offset::Z) | None => UtcOffset::UTC,
    };
    let moment = date.with_time(time).assume_offset(offset);
    u64::try_from(moment.unix_timestamp()).context("that was before 1970")
}

/// A moment of UTC as TOML writes it, and RFC 3339; `unix` is in seconds since 1970.
pub(crate) fn text(unix: u64) -> String {
    let seconds = i64::try_from(unix).unwrap_or(i64::MAX);
    let moment = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::MAX);
    let (date, (hour, minute, second)) = (moment.date(), moment.as_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

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
