//! Who may sign in to `chappe serve`.

use clap::ValueEnum;
use serde::Deserialize;

/// Which numbers 99966XYYYY have a code that everybody knows: X five times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TestNumbers {
    /// None.
    Off,
    /// Those whose X is the number of this data centre.
    Own,
    /// Those with any X.
    Any,
}

/// What becomes of a number that has no account, once its code is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignUp {
    /// It gets one at once: half of the client libraries cannot register.
    Automatic,
    /// The client is asked to register.
    Explicit,
    /// It is refused.
    Closed,
}

impl From<TestNumbers> for chappe_telegram::TestNumbers {
    fn from(numbers: TestNumbers) -> Self {
        match numbers {
            TestNumbers::Off => Self::Off,
            TestNumbers::Own => Self::Own,
            TestNumbers::Any => Self::Any,
        }
    }
}

impl From<SignUp> for chappe_telegram::SignUp {
    fn from(sign_up: SignUp) -> Self {
        match sign_up {
            SignUp::Automatic => Self::Automatic,
            SignUp::Explicit => Self::Explicit,
            SignUp::Closed => Self::Closed,
        }
    }
}
