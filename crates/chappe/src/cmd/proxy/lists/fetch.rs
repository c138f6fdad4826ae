//! Fetching what is published for proxies, with bounds: of time, of bytes, of whom to believe.

use std::time::Duration;

use anyhow::{Error, anyhow};
use chappe_net::connect::WebError;
use chappe_proxy::Fetched;
use tokio::time::timeout;

use crate::config::lists::{Role, check};
use crate::config::upstream::Fetch;
use crate::web::WebAddress;

/// Longest time that one may take.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFetched {
    /// Nobody answers who is believed.
    #[error("{0:#}")]
    Unanswered(Error),
    /// It is not there.
    #[error("it answers with status {0}")]
    Status(u16),
    /// Somewhere else perhaps, where nobody is followed to.
    #[error("it answers with status {0}, and nobody is followed elsewhere: name the right address")]
    Elsewhere(u16),
    /// What is there is something else.
    #[error("what it answers is of no use: {0:#}")]
    Unusable(Error),
}

impl NotFetched {
    /// How that is counted.
    pub(super) fn outcome(&self) -> Fetched {
        match self {
            Self::Unusable(_) => Fetched::Unusable,
            Self::Unanswered(_) | Self::Status(_) | Self::Elsewhere(_) => Fetched::Failed,
        }
    }
}

/// What is at an address, which is of use.
pub(crate) async fn fetch(
    how: &Fetch,
    role: Role,
    address: &WebAddress,
) -> Result<Vec<u8>, NotFetched> {
    let asked = timeout(WAIT_MAX, ask(how, role, address)).await;
    let late = || NotFetched::Unanswered(anyhow!("no answer within {WAIT_MAX:?}"));
    let content = asked.map_err(|_| late())??;
    check(role, &content).map_err(NotFetched::Unusable)?;
    Ok(content)
}

async fn ask(how: &Fetch, role: Role, address: &WebAddress) -> Result<Vec<u8>, NotFetched> {
    let (proxy, authorities) = (how.proxy.as_ref(), &how.authorities);
    let connected = address.connect(address.site(), proxy, authorities, WAIT_MAX).await;
    let mut connection = connected.map_err(NotFetched::Unanswered)?;
    let answer = connection.get(role.bytes_max(), WAIT_MAX).await.map_err(|error| match error {
        WebError::TooLong(_) => NotFetched::Unusable(error.into()),
        error => NotFetched::Unanswered(error.into()),
    })?;
    match answer.status {
        200 => Ok(answer.body.into()),
        status @ 300..=399 => Err(NotFetched::Elsewhere(status)),
        status => Err(NotFetched::Status(status)),
    }
}
