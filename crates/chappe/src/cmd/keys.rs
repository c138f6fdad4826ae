//! `chappe keys`: make RSA keys and look at them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use chappe_crypto::rsa::{PrivateKey, PublicKey};

use super::files::{read_public_key, write_new};
use crate::cli::KeysCommand;
use crate::exit::Exit;

pub(crate) fn run(command: KeysCommand) -> Result<Exit> {
    match command {
        KeysCommand::Show { path, spki } => {
            let key = read_public_key(&path)?;
            print!("{}", if spki { key.to_spki_pem() } else { key.to_pem() });
            println!("fingerprint: {}", fingerprint(&key));
        }
        KeysCommand::New { path } => {
            let key = PrivateKey::generate(&mut chappe_net::entropy::rng()?);
            let public = write_pair(&key, &path)?;
            println!("private key: {}", path.display());
            println!("public key:  {}", public.display());
            println!("fingerprint: {}", fingerprint(key.public()));
        }
        KeysCommand::Fingerprint { path } => println!("{}", fingerprint(&read_public_key(&path)?)),
    }
    Ok(Exit::Done)
}

/// A fingerprint as 16 hexadecimal digits of the unsigned number.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    format!("{:016x}", key.fingerprint())
}

/// Writes both halves of a key; gives the path of the public one.
pub(crate) fn write_pair(key: &PrivateKey, path: &Path) -> Result<PathBuf> {
    let public = path.with_extension("pub.pem");
    write_new(path, 0o600, &key.to_pem())?;
    write_new(&public, 0o644, &key.public().to_pem())?;
    Ok(public)
}
