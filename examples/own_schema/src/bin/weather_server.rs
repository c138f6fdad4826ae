//! `weather_server ADDRESS PUBLIC_KEY_FILE`: serves until interrupted; writes the public key that
//! clients have to trust to the file.

use anyhow::Context;
use chappe_backend::Backend;
use chappe_server::{RsaIdentity, Server};
use own_schema::{App, router};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: weather_server ADDRESS PUBLIC_KEY_FILE";
    let (address, key_file) = arguments.next().zip(arguments.next()).context(usage)?;

    let identity = RsaIdentity::generate(&mut chappe_net::entropy::rng()?);
    std::fs::write(&key_file, identity.public().to_pem()).context(key_file)?;
    let listener = TcpListener::bind(&address).await.context(address)?;
    println!("{}", listener.local_addr()?);

    Server::builder()
        .identity(identity)
        .backend(Backend::memory())
        .router(router(App::default()))
        .build()?
        .serve(listener)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
