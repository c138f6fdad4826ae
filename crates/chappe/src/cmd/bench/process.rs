//! What the system tells of a process on this machine, where it has `/proc`.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// CPU time of a process so far, of all its threads.
pub(super) fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(ticks(Stat::parse(&stat)?.own))
}

/// Resident memory of a process, in bytes.
pub(super) fn memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// CPU time of a process and all that it started, those that have ended included.
pub(super) fn cpu_of_family(parent: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).ok()?;
    let own = Stat::parse(&stat)?;
    let mut all = own.own + own.ended;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        all += Stat::parse(&stat).filter(|stat| stat.parent == parent).map_or(0, |stat| stat.own);
    }
    Some(ticks(all))
}

/// A process and all that it started, and so on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family(pub(super) u32);

impl Family {
    /// CPU time of all, those that have ended and were waited for included.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let ticks_of = |stat: &Stat| stat.own + stat.ended;
        Some(ticks(self.members()?.iter().map(|(_, stat)| ticks_of(stat)).sum()))
    }

    /// Resident memory of all, in bytes; what several share counts for each.
    pub(super) fn memory(&self) -> Option<u64> {
        Some(self.members()?.iter().filter_map(|(pid, _)| memory(*pid)).sum())
    }

    fn members(&self) -> Option<Vec<(u32, Stat)>> {
        let stat_of =
            |pid: u32| Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
        let mut members = vec![(self.0, stat_of(self.0)?)];
        let pids = fs::read_dir("/proc").ok()?.flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut others: Vec<_> = pids.filter_map(|pid| Some((pid, stat_of(pid)?))).collect();
        // Until nobody is found whose parent is one of them.
        loop {
            let is_child =
                |(_, stat): &(u32, Stat)| members.iter().any(|(pid, _)| *pid == stat.parent);
            let (children, rest): (Vec<_>, _) = others.into_iter().partition(is_child);
            if children.is_empty() {
                return Some(members);
            }
            members.extend(children);
            others = rest;
        }
    }
}

/// The process that started another, if both are called the same.
pub(super) fn parent_of_its_kind(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent = Stat::parse(&stat)?.parent;
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    (name(pid)? == name(parent)?).then_some(parent)
}

/// The part of `/proc/PID/stat` that is of use; times in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    /// Of children that were waited for.
    ended: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name before it may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            ended: number(13)? + number(14)?,
        })
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_system_is_read() {
        let line = "4711 (a) b) S 12 4711 4711 0 -1 4194304 1 2 3 4 500 60 7 8 20 0 9 0 1 2 3";
        assert_eq!(Stat::parse(line), Some(Stat { parent: 12, own: 560, ended: 15 }));
        assert_eq!(Stat::parse("4711 (a) S 12"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_takes_memory_and_time() {
        let own = std::process::id();
        assert!(memory(own).unwrap() > 100_000);
        let before = cpu(own).unwrap();
        while cpu(own).unwrap() == before {}
        assert!(cpu_of_family(own).unwrap() > before);
        assert_eq!(cpu(u32::MAX), None);
    }
}
