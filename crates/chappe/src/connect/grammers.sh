# sh sign_in.sh, where Rust is installed
#
# grammers has the keys of Telegram compiled in. This makes a program beside a copy of the crate that
# holds them, which knows the key of this server as well.
set -e
mkdir -p grammers-here/src
cd grammers-here
cat > src/main.rs <<'END'
use std::sync::Arc;

use grammers_client::session::storages::MemorySession;
use grammers_client::session::types::DcOption;
use grammers_client::session::Session;
use grammers_client::{Client, SenderPool};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let session = Arc::new(MemorySession::default());
    let address: std::net::SocketAddrV4 = "{{HOST}}:{{PORT}}".parse()?;
    let ipv6 = std::net::SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0);
    let here = DcOption { id: {{DC}}, ipv4: address, ipv6, auth_key: None };
    session.set_dc_option(&here).await?;
    session.set_home_dc_id({{DC}}).await?;
    let SenderPool { runner, handle, .. } = SenderPool::new(session, 1);
    let client = Client::new(handle);
    tokio::spawn(runner.run());

    let token = client.request_login_code("{{NUMBER}}", &"0".repeat(32)).await?;
    let code = {{CODE}};
    let me = client.sign_in(&token, code.trim()).await?;
    println!("signed in as {}", me.full_name());
    client.send_message(me.to_ref().await?.ok_or("nobody")?, "a note to myself").await?;
    Ok(())
}
END
cat > Cargo.toml <<'END'
[package]
name = "grammers-here"
version = "0.0.0"
edition = "2021"

[dependencies]
grammers-client = { version = "=0.11.0", default-features = false }
tokio = { version = "1", features = ["macros", "rt"] }

[workspace]
exclude = ["grammers-mtproto"]
END
rm -rf grammers-mtproto
cp -R "$(cargo metadata --format-version 1 | tr ',' '\n' |
    sed -n 's|.*"manifest_path":"\(.*/grammers-mtproto-[0-9.]*\)/Cargo.toml".*|\1|p')" grammers-mtproto
chmod -R u+w grammers-mtproto
sed '/Some(match fingerprint {/a\
        {{FINGERPRINT}} => rsa::Key::new("{{MODULUS_DECIMAL}}", "65537").unwrap(),
' grammers-mtproto/src/authentication.rs > authentication.rs
mv authentication.rs grammers-mtproto/src/authentication.rs
cat >> Cargo.toml <<'END'

[patch.crates-io]
grammers-mtproto = { path = "grammers-mtproto" }
END
cargo run --quiet
