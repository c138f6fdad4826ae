//! What an operator decides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::codes::{CodeLog, CodeSender};
use crate::files::Blobs;

/// How the service presents itself, and whom it lets in.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Number of this data centre. Default: 2, which most libraries expect (§7.2).
    pub dc: i32,
    /// Address that clients are told to connect to. Default: none; each is told the one it came to.
    pub advertise: Option<SocketAddr>,
    /// Whether this is a test server, to clients in test mode. Default: no.
    pub test_mode: bool,
    /// Country that clients preselect when they ask for a phone number. Default: `XX`, none.
    pub country: String,
    /// What becomes of a number that nobody has. Default: [`SignUp::Automatic`].
    pub sign_up: SignUp,
    /// Which numbers have a code that everybody knows (ACC-01). Default: none. On a server that
    /// strangers reach, whoever knows the pattern is whoever they like among them.
    pub test_numbers: TestNumbers,
    /// Applications that may sign in, by their `api_id` (ACC-08). Default: none named, so all.
    pub api_ids: Vec<i32>,
    /// Seconds for which a code counts. Default: 600.
    pub code_life: u32,
    /// Codes that one number may have at once; one more is refused with `PHONE_NUMBER_FLOOD`.
    /// Default: 5.
    pub codes_max: u32,
    /// Codes within an hour for one number. Default: 10.
    pub codes_of_number_max: u32,
    /// Codes within an hour that one address may ask for; with IPv6 a network of 64 bits, and sixteen
    /// times as many one of 48. Default: 50; many may be behind one.
    pub codes_of_address_max: u32,
    /// Codes within an hour for one test number. Default: 1000, more than a long test needs.
    pub test_codes_max: u32,
    /// Wrong codes within an hour for one number. Default: 20.
    pub wrong_of_number_max: u32,
    /// Wrong codes, passwords and tokens within an hour from one address, as of codes. Default: 200.
    pub wrong_of_address_max: u32,
    /// Phone numbers within an hour whose owners one account may ask for, most of them by its address
    /// book. Default: 5000, five address books as large as one call takes.
    pub lookups_max: u32,
    /// Seconds for which a device that has just signed in may not end those that were there before.
    /// Default: a day. Test accounts have no such bound.
    pub fresh_session: u32,
    /// Seconds for which events are kept for clients that were away (UPD-13). Default: 7 days.
    pub log_life: u32,
    /// Events that are kept of one account (UPD-13). Default: 100,000; each takes some 100 bytes.
    pub log_max: i32,
    /// How long a bot may take to say what a pressed button shows. Default: 15 s.
    pub callback_wait: Duration,
    /// How long a bot may take to answer an inline query. Default: 10 s.
    pub inline_wait: Duration,
    /// How codes reach people. Default: they are logged, for an operator who passes them on.
    pub code_sender: Arc<dyn CodeSender>,
    /// Where files are kept. Default: in memory, until the process ends.
    pub blobs: Blobs,
    /// Seconds for which the parts of a file are kept that nobody has used yet (FLS-06). Default:
    /// a day.
    pub upload_life: u32,
    /// Bytes of such parts that an account may have; one more is refused with `FLOOD_WAIT_X`.
    /// Default: 8 GiB.
    pub uploads_max_bytes: i64,
    /// Seconds for which a file may be fetched once it was shown; clients then ask for the message
    /// anew. Default: a day. `None`: for ever.
    pub file_reference_life: Option<u32>,
}

/// What becomes of a number that nobody has, once its code is right (ACC-06).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUp {
    /// It gets an account at once, named after its last digits: half of the libraries cannot
    /// register.
    #[default]
    Automatic,
    /// The client is asked to register.
    Explicit,
    /// It is refused.
    Closed,
}

/// Which numbers `99966XYYYY` are test accounts, whose code is X, five or six times (ACC-01).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestNumbers {
    /// None.
    #[default]
    Off,
    /// Those of this data centre.
    Own,
    /// Those of any.
    Any,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dc: 2,
            advertise: None,
            test_mode: false,
            country: "XX".to_owned(),
            sign_up: SignUp::default(),
            test_numbers: TestNumbers::default(),
            api_ids: Vec::new(),
            code_life: 600,
            codes_max: 5,
            codes_of_number_max: 10,
            codes_of_address_max: 50,
            test_codes_max: 1000,
            wrong_of_number_max: 20,
            wrong_of_address_max: 200,
            lookups_max: 5000,
            fresh_session: 86_400,
            log_life: 604_800,
            log_max: 100_000,
            callback_wait: Duration::from_secs(15),
            inline_wait: Duration::from_secs(10),
            code_sender: Arc::new(CodeLog),
            blobs: Blobs::memory(),
            upload_life: 86_400,
            uploads_max_bytes: 8 << 30,
            file_reference_life: Some(86_400),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("dc", &self.dc)
            .field("advertise", &self.advertise)
            .field("test_mode", &self.test_mode)
            .field("sign_up", &self.sign_up)
            .field("blobs", &self.blobs)
            .field("test_numbers", &self.test_numbers)
            .finish_non_exhaustive()
    }
}
