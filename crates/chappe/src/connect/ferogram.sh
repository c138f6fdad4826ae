# sh sign_in.sh, where Rust is installed
#
# ferogram has the keys of Telegram compiled in. This makes a program beside a copy of the crate that
# holds them, which knows the key of this server as well.
set -e
mkdir -p ferogram-here/src
cd ferogram-here
cat > src/main.rs <<'END'
use std::sync::Arc;

use ferogram::{Client, InMemoryBackend, SendCodeOutcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (client, _shutdown) = Client::builder()
        .api_id(1)
        .api_hash("0".repeat(32))
        .session_backend(Arc::new(InMemoryBackend::new()))
        .dc_addr("{{HOST}}:{{PORT}}")
        .dc_id_override({{DC}})
        .connect()
        .await?;
    let SendCodeOutcome::CodeRequired(token) = client.request_login_code("{{NUMBER}}").await? else {
        return Err("no code was sent".into());
    };
    let code = {{CODE}};
    client.sign_in(&token, code.trim()).await.map_err(|error| format!("{error:?}"))?;
    let me = client.get_me().await?;
    println!("signed in as {} {}", me.first_name.unwrap_or_default(), me.last_name.unwrap_or_default());
    Ok(())
}
END
cat > Cargo.toml <<'END'
[package]
name = "ferogram-here"
version = "0.0.0"
edition = "2024"

[dependencies]
ferogram = "=0.6.6"
tokio = { version = "1", features = ["macros", "rt"] }

[workspace]
exclude = ["ferogram-mtproto"]
END
rm -rf ferogram-mtproto
cp -R "$(cargo metadata --format-version 1 | tr ',' '\n' |
    sed -n 's|.*"manifest_path":"\(.*/ferogram-mtproto-[0-9.]*\)/Cargo.toml".*|\1|p')" ferogram-mtproto
chmod -R u+w ferogram-mtproto
sed '/Some(match fp {/a\
        {{FINGERPRINT}} => rsa::Key::new("{{MODULUS_DECIMAL}}", "65537")?,
' ferogram-mtproto/src/authentication.rs > authentication.rs
mv authentication.rs ferogram-mtproto/src/authentication.rs
cat >> Cargo.toml <<'END'

[patch.crates-io]
ferogram-mtproto = { path = "ferogram-mtproto" }
END
cargo run --quiet
