//! What an operator decides.

use std::net::SocketAddr;
use std::sync::Arc;

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
    /// Seconds for which a code counts. Default: 600.
    pub code_life: u32,
    /// Codes that one number may have at once; one more is refused with `PHONE_NUMBER_FLOOD`.
    /// Default: 5.
    pub codes_max: u32,
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
            code_life: 600,
            codes_max: 5,
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
