//! The sites that the proxy seems to be (PRX-30).

use chappe_crypto::Rng;
use chappe_proxy::{Domain, Unsuitable, measure};
use futures_util::future::join_all;

use super::Finding;
use crate::config::proxy::ProxySettings;

pub(super) async fn check(settings: &ProxySettings, rng: &mut Rng) -> Vec<Finding> {
    let wait_max = settings.proxy.strangers.connect_wait_max;
    let sites = settings.proxy.domains.iter().map(|domain| {
        let mut rng = rng.fork();
        async move { (domain, measure(domain, wait_max, &mut rng).await) }
    });
    join_all(sites).await.into_iter().map(|(domain, measured)| judge(domain, measured)).collect()
}

fn judge(domain: &Domain, measured: Result<chappe_proxy::Site, Unsuitable>) -> Finding {
    let name = &domain.name;
    match measured {
        Ok(site) => {
            let key = if site.post_quantum { "X25519MLKEM768" } else { "X25519" };
            let (suite, bytes) = (site.suite, site.encrypted_bytes);
            let message = format!("{name}: TLS 1.3, suite {suite:04x}, {key}, {bytes} bytes");
            Finding::ok("site", message)
        }
        Err(error @ (Unsuitable::Unreachable(_) | Unsuitable::Broken(_))) => Finding::failed(
            "site",
            format!("{name}: {error}"),
            "strangers would see nothing; say where it is, by `at`, or choose another",
        ),
        Err(error) => Finding::warn(
            "site",
            format!("{name}: {error}"),
            "those who look closely can tell the proxy from it; choose another",
        ),
    }
}
