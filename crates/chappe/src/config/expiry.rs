//! Days and moments at which something ends, as TOML writes them.

use anyhow::{Context, Result};
use time::{Date, Month, Time, UtcOffset};
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

#[cfg(test)]
mod tests {
    use super::*;

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
