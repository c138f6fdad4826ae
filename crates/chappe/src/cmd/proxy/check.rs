//! `chappe proxy check`: whether a proxy of these settings would work here and now.
//!
//! | file | looks at |
//! | --- | --- |
//! | `settings` | the settings themselves, and the names in them |
//! | `lists` | what is fetched of middle servers |
//! | `clock` | the time, as web sites have it (PRX-39) |
//! | `upstream` | data centres and middle servers |
//! | `sites` | the sites that the proxy seems to be (PRX-30) |
//! | `links` | the links, from one end to the other (PRX-06) |

mod clock;
mod links;
mod lists;
mod settings;
mod sites;
mod upstream;

use std::fmt;
use std::io::Write;

use anyhow::Result;
use chappe_net::entropy;
use serde::Serialize;

use crate::cli::ProxyArgs;
use crate::config::proxy::ProxySettings;
use crate::exit::Exit;

/// What one look showed.
#[derive(Debug, Serialize)]
struct Finding {
    /// Which check it is of.
    check: &'static str,
    outcome: Outcome,
    /// What was looked at, and what was seen.
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// How good it is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Warn,
    Failed,
}

pub(super) async fn run(args: &ProxyArgs, json: bool) -> Result<Exit> {
    let mut report = Report { json, findings: Vec::new() };
    let mut rng = entropy::rng()?;
    match ProxySettings::load(args) {
        Ok(mut found) => {
            report.add(settings::check(&found))?;
            report.add(lists::check(&mut found).await)?;
            report.add(settings::names(&found).await)?;
            report.add(clock::check(&found).await)?;
            report.add(upstream::check(&found, &mut rng).await)?;
            report.add(sites::check(&found, &mut rng).await)?;
            report.add(links::check(&found, &mut rng).await)?;
        }
        Err(error) => {
            let advice = "mend it; a proxy that runs goes on with what it has";
            report.add([Finding::failed("settings", format!("{error:#}"), advice)])?;
        }
    }
    report.end()
}

struct Report {
    json: bool,
    findings: Vec<Finding>,
}

impl Report {
    /// Shows findings as soon as they are there, but for who wants them all in JSON.
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<()> {
        for finding in findings {
            if !self.json {
                writeln!(std::io::stdout(), "{finding}")?;
            }
            self.findings.push(finding);
        }
        Ok(())
    }

    fn end(self) -> Result<Exit> {
        let worst = self.findings.iter().map(|finding| finding.outcome).max();
        let worst = worst.unwrap_or(Outcome::Ok);
        if self.json {
            let report = serde_json::json!({ "worst": worst, "checks": self.findings });
            writeln!(std::io::stdout(), "{report}")?;
        }
        Ok(match worst {
            Outcome::Ok => Exit::Done,
            Outcome::Warn => Exit::Doubtful,
            Outcome::Failed => Exit::No,
        })
    }
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, message: message.into(), advice: None }
    }

    fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { check, outcome: Outcome::Warn, message: message.into(), advice }
    }

    fn failed(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, ..Self::warn(check, message, advice) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Failed => "FAILED",
        };
        // Errors of libraries may have several lines.
        let message = self.message.replace('\n', " ");
        write!(f, "{outcome:<6}  {:<8}  {message}", self.check)?;
        match &self.advice {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}
