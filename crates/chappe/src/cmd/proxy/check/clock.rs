//! The time, as web sites have it (PRX-39). Their certificates are not asked for: nothing follows
//! from a wrong answer but a wrong warning, and a wrong clock would not believe any of them.

use std::time::{Duration, SystemTime};

use chappe_net::connect::{self, Authorities, Endpoint};
use chappe_net::{Io, Stream};
use chappe_proxy::visit;
use futures_util::future::{join, join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Finding;
use crate::config::clock::ClockSource;
use crate::config::proxy::ProxySettings;

/// Longest time for one site.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Most that clocks may differ: middle servers refuse more (MPX-02).
const SKEW_MAX: Duration = Duration::from_secs(30);
/// Longest head of an answer.
const HEAD_MAX: usize = 16 << 10;

pub(super) async fn check(settings: &ProxySettings) -> Vec<Finding> {
    let sites = settings.proxy.domains.iter().map(|domain| async move {
        let asked = async {
            let stream = visit(domain, WAIT_MAX).await.map_err(|error| error.to_string())?;
            ask(stream, &domain.name, &domain.name).await
        };
        (domain.name.clone(), within(asked).await)
    });
    let sources = settings.clocks.iter().map(|ClockSource(endpoint)| async move {
        let asked = async {
            let connected = connect::connect(std::slice::from_ref(endpoint), None, WAIT_MAX).await;
            let stream = connected.map_err(|error| error.to_string())?.stream;
            ask(Stream::Tcp(stream), endpoint.host(), &authority(endpoint)).await
        };
        (endpoint.host().to_owned(), within(asked).await)
    });
    let (sites, sources) = join(join_all(sites), join_all(sources)).await;
    let answers: Vec<_> = sources.into_iter().chain(sites).collect();
    if answers.iter().all(|(_, answer)| answer.is_err()) {
        let why: Vec<String> = answers
            .iter()
            .filter_map(|(name, answer)| Some(format!("{name}: {}", answer.as_ref().err()?)))
            .collect();
        let message = match why.is_empty() {
            true => "nobody is there to compare it with".to_owned(),
            false => format!("nobody tells the time ({})", why.join("; ")),
        };
        let advice = "name sites in `clocks`, such as \"https://core.telegram.org\"";
        return vec![Finding::warn("clock", message, advice)];
    }
    let told = answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().ok()?)));
    told.map(|(name, skew)| judge(name, *skew)).collect()
}

async fn within<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(WAIT_MAX, asked).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

fn authority(endpoint: &Endpoint) -> String {
    match endpoint.port() {
        443 => endpoint.host().to_owned(),
        _ => endpoint.to_string(),
    }
}

/// Seconds that our clock is ahead of a site's, negative where it is behind.
async fn ask(stream: impl Io + 'static, name: &str, authority: &str) -> Result<i64, String> {
    let tls = Authorities::unasked().connect(name, stream).await;
    let mut tls = tls.map_err(|error| error.to_string())?;
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: chappe\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    let exchange = async {
        tls.write_all(request.as_bytes()).await?;
        tls.flush().await?;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_MAX {
            if tls.read_buf(&mut head).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(head)
    };
    let head = exchange.await.map_err(|error| error.to_string())?;
    let date = date(&head).ok_or("it does not say the time")?;
    Ok(seconds(SystemTime::now()) - seconds(date))
}

/// The field `Date` of the head of an answer.
fn date(head: &[u8]) -> Option<SystemTime> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut dates = fields.filter(|(name, _)| name.eq_ignore_ascii_case("date"));
    httpdate::parse_http_date(dates.next()?.1.trim()).ok()
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn judge(name: &str, skew: i64) -> Finding {
    let (amount, side) = (skew.unsigned_abs(), if skew < 0 { "behind" } else { "ahead of" });
    if Duration::from_secs(amount) <= SKEW_MAX {
        return Finding::ok("clock", format!("as {name} has it, to {amount} s"));
    }
    let message = format!("{amount} s {side} that of {name}; middle mode cannot work like this");
    Finding::warn("clock", message, "set it, best by NTP")
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    /// Rule: PRX-39: more than 30 seconds either way are told, and what they hinder.
    #[test]
    fn skew_over_thirty_seconds_is_told() {
        for (skew, expected) in
            [(0, Outcome::Ok), (30, Outcome::Ok), (-30, Outcome::Ok), (31, Outcome::Warn)]
        {
            assert_eq!(judge("site", skew).outcome, expected, "{skew}");
        }
        let behind = judge("site", -31);
        assert_eq!(behind.outcome, Outcome::Warn);
        assert!(behind.message.contains("31 s behind") && behind.message.contains("middle mode"));
    }

    #[test]
    fn dates_are_read_off_heads() {
        let head = b"HTTP/1.1 301 Moved\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        assert_eq!(date(head).map(seconds), Some(784_111_777));
        assert_eq!(date(b"HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n"), None);
        assert_eq!(date(b"\xff"), None);
    }
}
