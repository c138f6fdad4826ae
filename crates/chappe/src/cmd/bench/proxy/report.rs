//! What is told of proxies in the end: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::measures::{Handshakes, Idle, Passed, Soak, Stalls};
use super::subject::name_of;
use crate::cmd::bench::report::spread;
use crate::cmd::bench::spread::Spread;
use crate::config::proxy::Mode;

/// All that was found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Processes that wanted to run before the bench began, on average of the last minute.
    pub(super) load_average: Option<f64>,
    /// Packets that come back from the data centre without a proxy between.
    pub(super) direct: Option<Spread>,
    pub(super) rows: Vec<Row>,
}

/// One proxy in one form.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) proxy: String,
    pub(super) mode: Mode,
    pub(super) found: Found,
}

/// What was found out of it; what was not measured is absent.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) idle: Option<Idle>,
    pub(super) handshakes: Option<Handshakes>,
    pub(super) round_trips: Option<Spread>,
    pub(super) up: Option<Passed>,
    pub(super) down: Option<Passed>,
    pub(super) stalls: Option<Stalls>,
    pub(super) soak: Option<Soak>,
    /// What went wrong, and how often.
    pub(super) faults: BTreeMap<String, u64>,
}

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

impl Handshakes {
    fn per_second(self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }

    /// Seconds of CPU time for each thousand.
    fn cpu_per_thousand(self) -> Option<f64> {
        let cpu = self.cpu.filter(|_| self.count > 0)?;
        Some(cpu.as_secs_f64() * 1000.0 / self.count as f64)
    }
}

impl Passed {
    fn mib_per_second(self) -> f64 {
        self.bytes as f64 / MIB / self.took.as_secs_f64()
    }

    /// Seconds of CPU time for each GiB.
    fn cpu_per_gib(self) -> Option<f64> {
        let cpu = self.cpu.filter(|_| self.bytes > 0)?;
        Some(cpu.as_secs_f64() * GIB / self.bytes as f64)
    }

    fn json(self) -> Value {
        json!({
            "bytes": self.bytes,
            "seconds": self.took.as_secs_f64(),
            "mib_per_second": self.mib_per_second(),
            "cpu_seconds_per_gib": self.cpu_per_gib(),
        })
    }
}

impl Idle {
    /// MiB of memory for each thousand connections.
    fn mib_per_thousand(self) -> Option<f64> {
        let (before, after) = self.memory.filter(|_| self.connections > 0)?;
        Some(after.saturating_sub(before) as f64 * 1000.0 / self.connections as f64 / MIB)
    }
}

impl Found {
    fn json(&self) -> Value {
        json!({
            "idle": self.idle.map(|idle| json!({
                "connections": idle.connections,
                "memory_bytes": idle.memory.map(|(before, after)| json!([before, after])),
                "mib_per_1000": idle.mib_per_thousand(),
            })),
            "handshakes": self.handshakes.map(|handshakes| json!({
                "count": handshakes.count,
                "seconds": handshakes.took.as_secs_f64(),
                "per_second": handshakes.per_second(),
                "cpu_seconds_per_1000": handshakes.cpu_per_thousand(),
            })),
            "round_trip_seconds": self.round_trips.map(spread),
            "up": self.up.map(Passed::json),
            "down": self.down.map(Passed::json),
            "stalls": self.stalls.map(|stalls| json!({
                "connections": stalls.connections,
                "stalled": stalls.stalled,
                "seconds": stalls.took.as_secs_f64(),
            })),
            "soak": self.soak.map(|soak| json!({
                "connections": soak.count,
                "memory_bytes": soak.memory.map(|(before, most, after)| {
                    json!({ "before": before, "most": most, "after": after })
                }),
            })),
            "errors": self.faults,
        })
    }
}

impl Report {
    /// Whether nothing went wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| row.found.faults.is_empty())
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut json = row.found.json();
            json["proxy"] = row.proxy.as_str().into();
            json["mode"] = name_of(row.mode).into();
            json
        });
        json!({
            "load_average_before": self.load_average,
            "round_trip_seconds_without_proxy": self.direct.map(spread),
            "results": rows.collect::<Vec<_>>(),
            "clean": self.is_clean(),
        })
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        if let Some(load) = self.load_average {
            writeln!(out, "load of the machine before: {load:.2}")?;
        }
        if let Some(Spread { p50, p99, .. }) = self.direct {
            let [p50, p99] = [p50, p99].map(millis);
            writeln!(out, "round trip without a proxy: {p50:.2} ms, 99 of 100 within {p99:.2} ms")?;
        }
        writeln!(
            out,
            "\n{:14} {:5} handshakes     round trip, ms  CPU s a GiB   MiB a     soak, MiB",
            "", ""
        )?;
        writeln!(
            out,
            "{:14} {:5} {:>7} {:>6} {:>7} {:>7} {:>6} {:>6} {:>7} {:>7} {:>6} {:>6}",
            "proxy",
            "mode",
            "a s",
            "CPU s",
            "p50",
            "p99",
            "up",
            "down",
            "1000",
            "before",
            "after",
            "stalls",
        )?;
        for Row { proxy, mode, found } in &self.rows {
            let show = |figure: Option<f64>, digits: usize| match figure {
                Some(figure) => format!("{figure:.digits$}"),
                None => "-".to_owned(),
            };
            let memory = found.soak.and_then(|soak| soak.memory);
            writeln!(
                out,
                "{proxy:14} {:5} {:>7} {:>6} {:>7} {:>7} {:>6} {:>6} {:>7} {:>7} {:>6} {:>6}",
                name_of(*mode),
                show(found.handshakes.map(Handshakes::per_second), 0),
                show(found.handshakes.and_then(Handshakes::cpu_per_thousand), 3),
                show(found.round_trips.map(|spread| millis(spread.p50)), 2),
                show(found.round_trips.map(|spread| millis(spread.p99)), 2),
                show(found.up.and_then(Passed::cpu_per_gib), 2),
                show(found.down.and_then(Passed::cpu_per_gib), 2),
                show(found.idle.and_then(Idle::mib_per_thousand), 1),
                show(memory.map(|(before, ..)| before as f64 / MIB), 1),
                show(memory.map(|(.., after)| after as f64 / MIB), 1),
                show(found.stalls.map(|stalls| stalls.stalled as f64), 0),
            )?;
        }
        writeln!(
            out,
            "\nCPU s: CPU seconds of the proxy for 1000 handshakes; MiB a 1000: memory for 1000 \
             connections that wait;\nstalls: connections on which bytes were left behind"
        )?;
        for Row { proxy, mode, found } in &self.rows {
            for (what, count) in &found.faults {
                writeln!(out, "error: {proxy} {}: {count} × {what}", name_of(*mode))?;
            }
        }
        Ok(())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let time = Duration::from_millis;
        let found = Found {
            idle: Some(Idle { connections: 500, memory: Some((10 << 20, 14 << 20)) }),
            handshakes: Some(Handshakes { count: 2000, took: time(500), cpu: Some(time(100)) }),
            up: Some(Passed { bytes: 512 << 20, took: time(250), cpu: Some(time(600)) }),
            soak: Some(Soak { count: 9, memory: Some((1 << 20, 3 << 20, 2 << 20)) }),
            ..Found::default()
        };
        Report {
            rows: vec![Row { proxy: "some".into(), mode: Mode::Padded, found }],
            ..Report::default()
        }
    }

    #[test]
    fn figures_are_of_what_was_counted() {
        let json = report().json();
        let row = &json["results"][0];
        assert_eq!((&row["proxy"], &row["mode"]), (&"some".into(), &"dd".into()));
        assert_eq!(row["handshakes"]["per_second"], 4000.0);
        assert_eq!(row["handshakes"]["cpu_seconds_per_1000"], 0.05);
        assert_eq!(row["up"]["mib_per_second"], 2048.0);
        assert_eq!(row["up"]["cpu_seconds_per_gib"], 1.2);
        assert_eq!(row["idle"]["mib_per_1000"], 8.0);
        assert_eq!(row["soak"]["memory_bytes"]["most"], 3 << 20);
        assert_eq!((&row["down"], &row["stalls"]), (&Value::Null, &Value::Null));
        assert_eq!(json["clean"], true);
        let table = report().table();
        for figure in ["4000", "0.050", "1.20", "8.0", "1.0", "2.0"] {
            assert!(table.contains(figure), "{figure}: {table}");
        }
    }

    #[test]
    fn nothing_that_went_wrong_is_hidden() {
        let mut report = report();
        report.rows[0].found.faults.insert("bytes up: it broke".into(), 3);
        assert_eq!(report.json()["clean"], false);
        assert!(report.table().contains("error: some dd: 3 × bytes up: it broke"));
    }
}
