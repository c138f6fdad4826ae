//! `weather_client ADDRESS PUBLIC_KEY_FILE CITY [DEGREES]`: reports a temperature, if one is given,
//! and prints what the server knows of the city.

use anyhow::Context;
use chappe_client::RawClient;
use chappe_crypto::rsa::PublicKey;
use own_schema::schema::functions::weather::{GetForecast, Report};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key_file, city, degrees @ ..] = &arguments[..] else {
        anyhow::bail!("usage: weather_client ADDRESS PUBLIC_KEY_FILE CITY [DEGREES]");
    };
    let key = PublicKey::from_pem(&std::fs::read_to_string(key_file).context(key_file.clone())?)?;
    let client = RawClient::connect(address, &key).await?;
    if let [degrees] = degrees {
        let degrees = degrees.parse().with_context(|| format!("{degrees} is no number"))?;
        client.invoke(&Report { city: city.as_str().into(), degrees }).await?;
    }
    let forecast = client.invoke(&GetForecast { city: city.as_str().into() }).await?;
    println!("{}: {} °C at second {}", forecast.city, forecast.degrees, forecast.at);
    client.close().await;
    Ok(())
}
