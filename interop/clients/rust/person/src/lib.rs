//! A person's device in a process of its own, driven by lines of JSON; see `remote_person.py`, which says what they are.

mod key;
mod password;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::exit;

use serde_json::{json, Value};
use tokio::io::{stdin, AsyncBufReadExt, BufReader};

pub use password::verifier;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where the server is, and who signs in.
pub struct Target {
    pub address: SocketAddrV4,
    pub dc: i32,
    /// Of a test account, with the sign before it.
    pub number: String,
    pub folder: PathBuf,
}

/// One library, driven by orders.
#[allow(async_fn_in_trait)]
pub trait Person {
    const LAYER: i32;
    const VERSION: &str;
    /// Cells of the table that the library has no means for, and why.
    const CANNOT: &[(&str, &str)];

    fn new(target: Target) -> Self;

    async fn obey(&mut self, order: &str, words: Words) -> Result<Value, Failure>;
}

/// Takes orders until there are no more.
pub async fn main<P: Person>() {
    let mut person = P::new(read_arguments());
    let cannot: Value =
        P::CANNOT.iter().map(|&(cell, reason)| (cell.to_owned(), json!(reason))).collect();
    tell(&json!({"ready": P::LAYER, "version": P::VERSION, "cannot": cannot}));
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let said: Value = serde_json::from_str(&line).expect("orders are lines of JSON");
        let order = said["do"].as_str().expect("an order has a name");
        match person.obey(order, Words(said["with"].clone())).await {
            Ok(done) => tell(&json!({"did": done})),
            Err(failure) => tell(&json!({"failed": failure.to_string()})),
        }
    }
    // Tasks of the library are of no interest any more.
    exit(0)
}

/// Says what the person hears.
pub fn hear(heard: Value) {
    tell(&json!({"heard": heard}));
}

/// As an order is answered that finds somebody.
pub fn found(peer: usize) -> Value {
    json!({"peer": peer})
}

/// What is not done, by this library or by any.
pub fn unknown(order: &str) -> Failure {
    format!("there is no order {order}").into()
}

/// What an order comes with.
pub struct Words(Value);

impl Words {
    pub fn peer(&self, place: usize) -> Result<usize, Failure> {
        let peer = self.0[place]["peer"].as_u64().ok_or("no peer")?;
        Ok(peer.try_into()?)
    }

    pub fn text(&self, place: usize) -> Result<&str, Failure> {
        Ok(self.0[place].as_str().ok_or("no text")?)
    }

    pub fn number(&self, place: usize) -> Result<i32, Failure> {
        self.maybe_number(place).ok_or("no number".into())
    }

    pub fn maybe_text(&self, place: usize) -> Option<&str> {
        self.0[place].as_str()
    }

    pub fn maybe_number(&self, place: usize) -> Option<i32> {
        self.0[place].as_i64().and_then(|number| number.try_into().ok())
    }

    pub fn texts(&self, place: usize) -> Result<Vec<&str>, Failure> {
        let texts = self.0[place].as_array().ok_or("no texts")?;
        texts.iter().map(|text| text.as_str().ok_or("no text".into())).collect()
    }

    /// Labels, and what they stand for.
    pub fn pairs(&self, place: usize) -> Result<Vec<(&str, &str)>, Failure> {
        let pairs = self.0[place].as_array().ok_or("no pairs")?;
        pairs.iter().map(|pair| pair_of(pair).ok_or("no pair".into())).collect()
    }
}

fn pair_of(pair: &Value) -> Option<(&str, &str)> {
    Some((pair[0].as_str()?, pair[1].as_str()?))
}

fn read_arguments() -> Target {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1));
        value.unwrap_or_else(|| panic!("{name} is needed")).as_str()
    };
    key::publish(value("--key"));
    Target {
        address: value("--address").parse().expect("an address of IPv4"),
        dc: value("--dc").parse().expect("a number"),
        number: format!("+{}", value("--number")),
        folder: value("--folder").into(),
    }
}

fn tell(said: &Value) {
    println!("{said}");
}
