//! Reading and writing files, with errors that name the file and the mend.

use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chappe_crypto::rsa::{PrivateKey, PublicKey};

/// Name of the private key in a data directory.
pub(crate) const PRIVATE_KEY: &str = "server.pem";
/// Name of its public half.
pub(crate) const PUBLIC_KEY: &str = "server.pub.pem";

/// Name of the database in a data directory.
pub(crate) const DATABASE: &str = "chappe.db";

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a new file with this mode; the file appears whole or not at all, and never over another.
pub(crate) fn write_new(path: &Path, mode: u32, text: &str) -> Result<()> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    let fail = || format!("cannot write {}", path.display());
    let _ = fs::remove_file(&staged);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&staged)
        .with_context(fail)?;
    file.write_all(text.as_bytes()).with_context(fail)?;
    file.sync_all().with_context(fail)?;
    let linked = fs::hard_link(&staged, path);
    let _ = fs::remove_file(&staged);
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists already; it was left as it is", path.display())
        }
        linked => linked.with_context(fail),
    }
}

/// Replaces the text of a file that is there, as a whole or not at all, and keeps its owner and mode;
/// of root's, where nobody else may give files away, its group and mode.
/// Where the path is a link, what it leads to is replaced.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let replace = || {
        let path = path.canonicalize()?;
        let old = path.metadata()?;
        put(&path, text, |file| {
            keep_owner(file, &old, &file.metadata()?)?;
            file.set_permissions(old.permissions())
        })
    };
    replace().with_context(|| format!("cannot replace {}", path.display()))
}

/// Writes a file that its owner alone reads, as a whole or not at all, whatever is there.
pub(crate) fn keep(path: &Path, text: &str) -> Result<()> {
    put(path, text, |_| Ok(())).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a text beside a path, has it made what it is to be, and puts it in its place.
fn put(
    path: &Path,
    text: &str,
    prepare: impl FnOnce(&fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Its owner's alone until it is told otherwise.
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(text.as_bytes())?;
    prepare(staged.as_file())?;
    staged.as_file().sync_all()?;
    staged.persist(path)?;
    fs::File::open(folder)?.sync_all()
}

/// Gives a new file to whom the old one is: else somebody else could read it, or its owner no more.
fn keep_owner(file: &fs::File, old: &Metadata, new: &Metadata) -> std::io::Result<()> {
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    match fchown(file, Some(old.uid()), Some(old.gid())) {
        // Root reads it as before, and whoever replaces it has read it.
        Err(_) if old.uid() == 0 && new.gid() == old.gid() => Ok(()),
        Err(error) => Err(std::io::Error::other(format!(
            "it belongs to user {} and group {} and would not any more, so give it to user {} and \
             group {}: {error}",
            old.uid(),
            old.gid(),
            new.uid(),
            new.gid()
        ))),
        Ok(()) => Ok(()),
    }
}

/// Reads the public key out of a PEM file of either half, or a server's data directory.
pub(crate) fn read_public_key(path: &Path) -> Result<PublicKey> {
    if path.is_dir() {
        return read_public_key(&path.join(PRIVATE_KEY));
    }
    let text = read(path)?;
    let key = if text.contains("PRIVATE KEY") {
        PrivateKey::from_pem(&text).map(|key| key.public().clone())
    } else {
        PublicKey::from_pem(&text)
    };
    key.with_context(|| {
        format!(
            "{} holds no RSA key of 2048 bits in PEM; `chappe keys new` makes one",
            path.display()
        )
    })
}
