//! `chappe connect`: a program by which a library signs in to this very server.

use anyhow::{Result, bail};
use chappe_crypto::rsa::PublicKey;
use clap::ValueEnum;

use super::files::read_public_key;
use crate::cli::ConnectArgs;
use crate::exit::Exit;

/// A library, whose program is in `connect/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    /// Python.
    Telethon,
    /// Python.
    Kurigram,
    /// JavaScript.
    Mtcute,
    /// JavaScript.
    Gramjs,
    /// Rust.
    Grammers,
    /// Rust.
    Ferogram,
    /// C++, by way of Python.
    Tdlib,
    /// Go.
    Gotd,
    /// PHP.
    Madelineproto,
}

/// How the languages ask for a code that is not known.
struct Words {
    program: &'static str,
    ask: &'static str,
}

impl Library {
    fn words(self) -> Words {
        const PYTHON: &str = r#"input("code: ")"#;
        const JAVASCRIPT: &str = "(await import('node:readline/promises'))\
            .createInterface(process.stdin, process.stdout).question('code: ')";
        const RUST: &str = "{ let mut code = String::new(); \
            std::io::stdin().read_line(&mut code)?; code }";
        let (program, ask) = match self {
            Self::Telethon => (include_str!("../connect/telethon.py"), PYTHON),
            Self::Kurigram => (include_str!("../connect/kurigram.py"), "None"),
            Self::Mtcute => (include_str!("../connect/mtcute.mjs"), JAVASCRIPT),
            Self::Gramjs => (include_str!("../connect/gramjs.mjs"), JAVASCRIPT),
            Self::Grammers => (include_str!("../connect/grammers.sh"), RUST),
            Self::Ferogram => (include_str!("../connect/ferogram.sh"), RUST),
            Self::Tdlib => (include_str!("../connect/tdlib.py"), PYTHON),
            Self::Gotd => (include_str!("../connect/gotd.go"), "ask(), nil"),
            Self::Madelineproto => {
                (include_str!("../connect/madelineproto.php"), "readline('code: ')")
            }
        };
        Words { program, ask }
    }

    /// A code as the language writes it.
    fn literal(self, code: &str) -> String {
        match self {
            Self::Mtcute | Self::Gramjs | Self::Madelineproto => format!("'{code}'"),
            Self::Grammers | Self::Ferogram => format!("String::from(\"{code}\")"),
            Self::Gotd => format!("\"{code}\", nil"),
            Self::Telethon | Self::Kurigram | Self::Tdlib => format!("\"{code}\""),
        }
    }
}

pub(crate) fn run(args: ConnectArgs) -> Result<Exit> {
    let key = read_public_key(args.key.as_deref().unwrap_or(&args.data))?;
    print!("{}", program(&args, &key)?);
    Ok(Exit::Done)
}

fn program(args: &ConnectArgs, key: &PublicKey) -> Result<String> {
    let Words { program, ask } = args.library.words();
    let (number, code) = match &args.phone {
        Some(phone) => {
            let is_number = phone.bytes().all(|byte| byte.is_ascii_digit() || byte == b'+');
            if phone.is_empty() || !is_number {
                bail!("phone: `{phone}` is no number; give digits, the country code first");
            }
            (phone.clone(), ask.to_owned())
        }
        // The number of a test account names its data centre in one digit.
        None if !(1..=9).contains(&args.dc) => {
            bail!("data centre {} has no test accounts; name a number by --phone", args.dc)
        }
        None => {
            let code = args.dc.to_string().repeat(5);
            (format!("99966{}0001", args.dc), args.library.literal(&code))
        }
    };
    let secret = match &args.secret {
        Some(secret) => secret.clone(),
        None if program.contains("{{SECRET}}") => bail!(
            "MadelineProto has its addresses compiled in and comes by a secret: start \
             `chappe serve --secret SECRET`, and name it here, too"
        ),
        None => String::new(),
    };
    let modulus: String = key.modulus().iter().map(|byte| format!("{byte:02x}")).collect();
    let fingerprint = key.fingerprint().to_string();
    let values = [
        ("HOST", args.address.ip().to_string()),
        ("PORT", args.address.port().to_string()),
        ("DC", args.dc.to_string()),
        ("KEY", key.to_pem().trim_end().to_owned()),
        ("MODULUS", modulus),
        ("MODULUS_DECIMAL", decimal(&key.modulus())),
        ("FINGERPRINT", fingerprint),
        ("NUMBER", number),
        ("CODE", code),
        ("SECRET", secret),
    ];
    let mut text = program.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), &value);
    }
    Ok(text)
}

/// A number in decimal digits, from its bytes, the highest first.
fn decimal(bytes: &[u8]) -> String {
    // Nine digits each, the lowest first.
    let mut groups: Vec<u64> = vec![0];
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for group in &mut groups {
            let value = *group * 256 + carry;
            (*group, carry) = (value % 1_000_000_000, value / 1_000_000_000);
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let (first, rest) = groups.split_last().map_or((&0, &[][..]), |(first, rest)| (first, rest));
    rest.iter().rev().fold(first.to_string(), |text, group| format!("{text}{group:09}"))
}

#[cfg(test)]
mod tests {
    use chappe_crypto::Rng;
    use chappe_crypto::rsa::PrivateKey;

    use super::*;

    fn arguments(library: Library) -> ConnectArgs {
        ConnectArgs {
            library,
            address: "192.0.2.7:4431".parse().unwrap(),
            dc: 3,
            data: "chappe-data".into(),
            key: None,
            phone: None,
            secret: Some("00112233445566778899aabbccddeeff".to_owned()),
        }
    }

    /// Rule:   every library's program names this server, its key, and an account that can sign in;
    ///         nothing is left to fill in.
    /// Source: 20-telegram-api-service §9, ACC-07.
    #[test]
    fn programs_are_complete() {
        let key = PrivateKey::generate(&mut Rng::from_seed([1; 32])).public().clone();
        for library in Library::value_variants() {
            let text = program(&arguments(*library), &key).unwrap();
            assert!(!text.contains("{{"), "{library:?}: {text}");
            assert!(text.contains("192.0.2.7") && text.contains("4431"), "{library:?}");
            assert!(text.contains("9996630001") && text.contains("33333"), "{library:?}");
            let modulus: String = key.modulus().iter().map(|byte| format!("{byte:02x}")).collect();
            let decimal = decimal(&key.modulus());
            let forms = [&*modulus, key.to_pem().trim(), &*decimal].map(|form| text.contains(form));
            assert!(forms.contains(&true), "{library:?}");
            let ordinary = ConnectArgs { phone: Some("15550100001".into()), ..arguments(*library) };
            let text = program(&ordinary, &key).unwrap();
            assert!(text.contains("15550100001") && !text.contains("33333"), "{library:?}");
        }
    }

    #[test]
    fn numbers_are_written_in_decimal_digits() {
        for (bytes, text) in [
            (&[][..], "0"),
            (&[0, 7], "7"),
            (&[0x3b, 0x9a, 0xca, 0], "1000000000"),
            (&[255; 16], "340282366920938463463374607431768211455"),
        ] {
            assert_eq!(decimal(bytes), text);
        }
    }

    /// What could not run is refused, with the mend.
    #[test]
    fn what_cannot_run_is_refused() {
        let key = PrivateKey::generate(&mut Rng::from_seed([1; 32])).public().clone();
        let no_secret = ConnectArgs { secret: None, ..arguments(Library::Madelineproto) };
        assert!(program(&no_secret, &key).unwrap_err().to_string().contains("--secret"));
        let far = ConnectArgs { dc: 12, ..arguments(Library::Telethon) };
        assert!(program(&far, &key).unwrap_err().to_string().contains("--phone"));
        let text = ConnectArgs { phone: Some("\"; exit".into()), ..arguments(Library::Telethon) };
        assert!(program(&text, &key).unwrap_err().to_string().contains("no number"));
    }
}
