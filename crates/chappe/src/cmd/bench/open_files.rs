//! Whether this process may open as many connections as there are to be users.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside connections: databases, logs, what the runtime needs.
const OTHERS: u64 = 200;

/// Raises the soft limit of open files as far as this many connections need it; a server that is
/// started afterwards has the same one.
pub(super) fn allow(connections: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = connections + OTHERS;
    if let Some(raised) = raised(limit, needed)? {
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(())
}

/// The limit to set, if the present one does not do.
fn raised(limit: Rlimit, needed: u64) -> Result<Option<Rlimit>> {
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(None);
    }
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < needed) {
        bail!(
            "so many connections need {needed} open files, and this process may have {maximum}; raise \
             the limit with `ulimit -n {needed}`, as root or in the settings of your login \
             (limits.conf, or LimitNOFILE= of a unit), or take fewer"
        );
    }
    Ok(Some(Rlimit { current: Some(needed), maximum: limit.maximum }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let after = |current, maximum| {
            raised(limit(current, maximum), 10_200).unwrap().map(|limit| limit.current)
        };
        assert_eq!(after(Some(1024), Some(20_000)), Some(Some(10_200)));
        assert_eq!(after(Some(1024), None), Some(Some(10_200)));
        assert_eq!(after(Some(10_200), Some(10_200)), None);
        assert_eq!(after(None, None), None);
        let error = raised(limit(Some(1024), Some(4096)), 10_200).unwrap_err().to_string();
        assert!(error.contains("ulimit -n 10200") && error.contains("4096"), "{error}");
    }
}
