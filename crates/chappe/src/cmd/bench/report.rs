//! What is told in the end: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::ledger::Outcome;
use super::spread::Spread;

/// All that was found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) engine: Option<&'static str>,
    pub(super) users: usize,
    pub(super) devices: usize,
    pub(super) groups: f64,
    pub(super) group_size: u32,
    pub(super) size: u32,
    pub(super) seed: u64,
    pub(super) pfs: bool,
    pub(super) sign_in: SignIn,
    pub(super) steps: Vec<Step>,
    /// What went wrong, and how often.
    pub(super) faults: BTreeMap<String, u64>,
    /// Bytes of the database before the first message and after the last.
    pub(super) database_bytes: Option<(u64, u64)>,
}

/// How everybody came in.
#[derive(Debug, Default)]
pub(super) struct SignIn {
    pub(super) took: Duration,
    pub(super) server_cpu: Option<Duration>,
    /// Resident memory of the server before and after, in bytes.
    pub(super) memory: Option<(u64, u64)>,
}

/// A rate that was held for a while.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) is_warm_up: bool,
    pub(super) rate: f64,
    pub(super) lasted: Duration,
    pub(super) outcome: Outcome,
    pub(super) cpu: Cpu,
    /// Resident memory of the server, in bytes.
    pub(super) memory: Option<u64>,
}

/// CPU time, where it can be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    pub(super) server: Option<Duration>,
    pub(super) database: Option<Duration>,
    /// Of this process.
    pub(super) load: Option<Duration>,
}

/// The slowest delivery of a hundred that still counts as live.
const LIVE_MAX: Duration = Duration::from_secs(1);

impl Cpu {
    pub(super) fn since(self, before: Self) -> Self {
        let since =
            |now: Option<Duration>, before: Option<Duration>| Some(now?.saturating_sub(before?));
        Self {
            server: since(self.server, before.server),
            database: since(self.database, before.database),
            load: since(self.load, before.load),
        }
    }
}

impl Step {
    /// Everything arrived, and in time.
    fn holds(&self) -> bool {
        let Outcome { failed, missing, delivery, .. } = self.outcome;
        failed == 0 && missing == 0 && delivery.p99 < LIVE_MAX
    }

    /// Messages accepted and deliveries made, each for a second in which there were some.
    fn rates(&self) -> (f64, f64) {
        let Outcome { accepted, delivered, answered_by, delivered_by, .. } = self.outcome;
        let rate = |count: u64, by: Duration| count as f64 / by.max(self.lasted).as_secs_f64();
        (rate(accepted, answered_by), rate(delivered, delivered_by))
    }

    /// Seconds of CPU time for each thousand messages.
    fn per_thousand(&self, cpu: Option<Duration>) -> Option<f64> {
        let accepted = Some(self.outcome.accepted).filter(|accepted| *accepted > 0)?;
        Some(cpu?.as_secs_f64() * 1000.0 / accepted as f64)
    }

    fn json(&self) -> Value {
        let Outcome { sent, accepted, failed, expected, delivered, missing, .. } = self.outcome;
        let (accepted_rate, delivered_rate) = self.rates();
        json!({
            "warm_up": self.is_warm_up,
            "rate": self.rate,
            "seconds": self.lasted.as_secs_f64(),
            "holds": self.holds(),
            "sent": sent,
            "accepted": accepted,
            "failed": failed,
            "accepted_per_second": accepted_rate,
            "deliveries": {
                "expected": expected,
                "made": delivered,
                "missing": missing,
                "of_messages_that_failed": self.outcome.unacknowledged,
                "per_second": delivered_rate,
            },
            "acknowledged_seconds": spread(self.outcome.acknowledged),
            "delivered_seconds": spread(self.outcome.delivery),
            "sent_late_seconds": spread(self.outcome.late),
            "cpu_seconds_per_1000_messages": {
                "server": self.per_thousand(self.cpu.server),
                "database": self.per_thousand(self.cpu.database),
                "load": self.per_thousand(self.cpu.load),
            },
            "server_memory_bytes": self.memory,
        })
    }
}

pub(super) fn spread(Spread { p50, p99, max }: Spread) -> Value {
    json!({ "p50": p50.as_secs_f64(), "p99": p99.as_secs_f64(), "max": max.as_secs_f64() })
}

impl Report {
    /// Whether nothing failed and nothing is missing.
    pub(super) fn is_clean(&self) -> bool {
        let is_whole = |step: &Step| step.outcome.failed == 0 && step.outcome.missing == 0;
        self.faults.is_empty() && self.steps.iter().all(is_whole)
    }

    fn bytes_per_message(&self) -> Option<f64> {
        let (before, after) = self.database_bytes?;
        let messages: u64 = self.steps.iter().map(|step| step.outcome.accepted).sum();
        (messages > 0).then(|| after.saturating_sub(before) as f64 / messages as f64)
    }

    /// What a device takes while it is connected.
    fn bytes_per_device(&self) -> Option<f64> {
        let (before, after) = self.sign_in.memory?;
        Some(after.saturating_sub(before) as f64 / self.devices as f64)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "database": self.engine,
            "users": self.users,
            "devices": self.devices,
            "groups": self.groups,
            "group_size": self.group_size,
            "message_bytes": self.size,
            "seed": self.seed,
            "pfs": self.pfs,
            "sign_in": {
                "seconds": self.sign_in.took.as_secs_f64(),
                "per_second": self.devices as f64 / self.sign_in.took.as_secs_f64(),
                "server_cpu_seconds": self.sign_in.server_cpu.map(|cpu| cpu.as_secs_f64()),
            },
            "server_memory_bytes_per_device": self.bytes_per_device(),
            "steps": self.steps.iter().map(Step::json).collect::<Vec<_>>(),
            "database_bytes": self.database_bytes.map(|(before, after)| json!([before, after])),
            "database_bytes_per_message": self.bytes_per_message(),
            "errors": self.faults,
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
        let Self { users, devices, size, .. } = self;
        let engine = self.engine.unwrap_or("database unknown");
        writeln!(out, "{users} users, {devices} devices, {engine}, messages of {size} bytes")?;
        if self.groups > 0.0 {
            let share = self.groups * 100.0;
            writeln!(out, "{share:.0} % of them to groups of {}", self.group_size)?;
        }
        let took = self.sign_in.took.as_secs_f64();
        write!(out, "sign-ins: {:.1} a second", *devices as f64 / took)?;
        if let Some(cpu) = self.sign_in.server_cpu {
            let each = cpu.as_secs_f64() * 1000.0 / *devices as f64;
            write!(out, ", {each:.1} ms of the server's CPU each")?;
        }
        writeln!(out)?;
        if let Some(bytes) = self.bytes_per_device() {
            writeln!(out, "server memory: {:.1} KiB for each device", bytes / 1024.0)?;
        }
        if let Some(bytes) = self.bytes_per_message() {
            writeln!(out, "database: {bytes:.0} bytes for each message")?;
        }
        writeln!(out)?;
        writeln!(out, "{:23} acknowledged, ms         delivered, ms", "")?;
        writeln!(
            out,
            "{:>7} {:>7} {:>7} {:>8}{:>8}{:>8} {:>8}{:>8}{:>8} {:>8} {:>8} {:>7} {:>7} {:>7}",
            "rate",
            "accept",
            "deliver",
            "p50",
            "p99",
            "max",
            "p50",
            "p99",
            "max",
            "failed",
            "missing",
            "CPU s",
            "DB s",
            "load s",
        )?;
        for step in &self.steps {
            self.write_step(out, step)?;
        }
        writeln!(
            out,
            "\nrate, accept, deliver: each second; CPU s, DB s, load s: CPU seconds of server, \
             database and this\nprocess for 1000 messages; + holds: all arrived, 99 of 100 within \
             a second"
        )?;
        for (what, count) in &self.faults {
            writeln!(out, "error: {count} × {what}")?;
        }
        Ok(())
    }

    fn write_step(&self, out: &mut String, step: &Step) -> std::fmt::Result {
        let (accepted, delivered) = step.rates();
        let Outcome { acknowledged, delivery, failed, missing, late, .. } = step.outcome;
        write!(out, "{:>7} {accepted:>7.1} {delivered:>7.1} ", step.rate)?;
        for Spread { p50, p99, max } in [acknowledged, delivery] {
            for time in [p50, p99, max] {
                write!(out, "{:>8.1}", time.as_secs_f64() * 1000.0)?;
            }
            write!(out, " ")?;
        }
        write!(out, "{failed:>8} {missing:>8}")?;
        for cpu in [step.cpu.server, step.cpu.database, step.cpu.load] {
            match step.per_thousand(cpu) {
                Some(cpu) => write!(out, " {cpu:>7.2}")?,
                None => write!(out, " {:>7}", "-")?,
            }
        }
        if step.holds() {
            write!(out, " +")?;
        }
        if step.is_warm_up {
            write!(out, " warm-up")?;
        }
        if late.p99 > LATE_MAX {
            let late = late.p99.as_secs_f64() * 1000.0;
            write!(out, " (sent {late:.0} ms late)")?;
        }
        writeln!(out)
    }
}

/// Lateness of this process itself above which the figures say less of the server.
const LATE_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let outcome = Outcome {
            sent: 100,
            accepted: 100,
            expected: 200,
            delivered: 200,
            answered_by: Duration::from_secs(1),
            delivered_by: Duration::from_secs(4),
            ..Outcome::default()
        };
        let cpu = Cpu { server: Some(Duration::from_millis(50)), ..Cpu::default() };
        let lasted = Duration::from_secs(2);
        let step = Step { rate: 50.0, lasted, outcome, cpu, ..Step::default() };
        Report {
            devices: 2,
            sign_in: SignIn {
                took: Duration::from_millis(500),
                memory: Some((1000, 9000)),
                ..SignIn::default()
            },
            steps: vec![step],
            database_bytes: Some((5000, 45_000)),
            ..Report::default()
        }
    }

    #[test]
    fn figures_are_of_what_was_counted() {
        let json = report().json();
        let step = &json["steps"][0];
        // What is over before its time is as fast as it was asked for, what lasts longer slower.
        assert_eq!(step["accepted_per_second"], 50.0);
        assert_eq!(step["deliveries"]["per_second"], 50.0);
        assert_eq!(step["cpu_seconds_per_1000_messages"]["server"], 0.5);
        assert_eq!(step["cpu_seconds_per_1000_messages"]["database"], Value::Null);
        assert_eq!(json["sign_in"]["per_second"], 4.0);
        assert_eq!(json["server_memory_bytes_per_device"], 4000.0);
        assert_eq!(json["database_bytes_per_message"], 400.0);
        assert_eq!((&json["clean"], &step["holds"]), (&true.into(), &true.into()));
    }

    #[test]
    fn nothing_that_went_wrong_is_hidden() {
        let check = |change: fn(&mut Report), is_clean, holds| {
            let mut report = report();
            change(&mut report);
            let json = report.json();
            assert_eq!((report.is_clean(), &json["clean"]), (is_clean, &Value::from(is_clean)));
            assert_eq!(json["steps"][0]["holds"], holds);
            report.table()
        };
        check(|report| report.steps[0].outcome.missing = 1, false, false);
        check(|report| report.steps[0].outcome.failed = 1, false, false);
        check(|report| report.steps[0].outcome.delivery.p99 = LIVE_MAX, true, false);
        let fault = |report: &mut Report| report.faults.extend([("it broke".into(), 3)]);
        assert!(check(fault, false, true).contains("error: 3 × it broke"));
    }
}
