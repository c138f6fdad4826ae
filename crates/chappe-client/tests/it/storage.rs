//! Key files: whole, private, and clear about what is wrong.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chappe_client::{FileStorage, KeyRecord, ServerId, Storage, StorageError};
use chappe_crypto::AuthKey;

const HERE: ServerId = ServerId { dc: 2, fingerprint: 77 };
const THERE: ServerId = ServerId { dc: -10_004, fingerprint: i64::MIN };

/// What is saved is there for the next run, each server's for itself.
#[test]
fn records_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("me.session");
    let storage = FileStorage::open(&path).unwrap();
    assert_eq!(storage.load(HERE).unwrap(), None);
    assert!(!path.exists());
    storage.save(HERE, &record(1)).unwrap();
    storage.save(THERE, &record(2)).unwrap();
    storage.save(HERE, &record(3)).unwrap();
    let storage = FileStorage::open(&path).unwrap();
    assert_eq!(storage.load(HERE).unwrap(), Some(record(3)));
    assert_eq!(storage.load(THERE).unwrap(), Some(record(2)));
    storage.remove(HERE).unwrap();
    storage.remove(HERE).unwrap();
    let storage = FileStorage::open(&path).unwrap();
    assert_eq!(storage.load(HERE).unwrap(), None);
    assert_eq!(storage.load(THERE).unwrap(), Some(record(2)));
    assert_eq!(files(folder.path()), ["me.session"]);
}

/// Nobody but the owner may read the file, whatever was there before.
#[cfg(unix)]
#[test]
fn the_file_is_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("me.session");
    // A file of the same name as the one that is written first, readable by all, and elsewhere.
    let trap = folder.path().join("trap");
    std::fs::write(&trap, "").unwrap();
    symlink(&trap, folder.path().join("me.session.new")).unwrap();
    let storage = FileStorage::open(&path).unwrap();
    for n in 1..3 {
        storage.save(HERE, &record(n)).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(std::fs::read(&trap).unwrap(), b"");
}

/// A crash between writing and renaming leaves the old state; what was half written is no harm.
#[test]
fn a_crash_while_saving_leaves_the_old_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("me.session");
    FileStorage::open(&path).unwrap().save(HERE, &record(1)).unwrap();
    std::fs::write(folder.path().join("me.session.new"), "half").unwrap();
    let storage = FileStorage::open(&path).unwrap();
    assert_eq!(storage.load(HERE).unwrap(), Some(record(1)));
    storage.save(HERE, &record(2)).unwrap();
    let storage = FileStorage::open(&path).unwrap();
    assert_eq!(storage.load(HERE).unwrap(), Some(record(2)));
}

/// What could not be saved is not believed to be.
#[test]
fn a_save_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let storage = FileStorage::open(inner.join("me.session")).unwrap();
    std::fs::remove_dir(&inner).unwrap();
    let error = storage.save(HERE, &record(1)).unwrap_err();
    assert!(matches!(error, StorageError::Io { doing: "write", .. }), "{error}");
    assert_eq!(storage.load(HERE).unwrap(), None);
}

/// A file cut off anywhere, or with any bit of it turned, is refused by name, and not replaced.
#[test]
fn damage_is_found_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("me.session");
    FileStorage::open(&path).unwrap().save(HERE, &record(1)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for len in 0..whole.len() {
        check_damage(&path, &whole[..len]);
    }
    for at in 0..whole.len() {
        let mut turned = whole.clone();
        turned[at] ^= 1;
        check_damage(&path, &turned);
    }
    check_damage(&path, &[&whole[..], b"more"].concat());
    check_damage(&path, b"something else altogether");
}

/// Rule: CRY-28, SEC-42: under a password no part of the key stands in the file, which opens with
/// that password; it is asked for when a key is opened or made, and not for a new salt.
#[test]
fn a_password_protects_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("me.session");
    let (storage, asked) = protected(&path, "correct horse");
    storage.save(HERE, &record(1)).unwrap();
    let first = std::fs::read(&path).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    storage.save(HERE, &KeyRecord { salt: 99, ..record(1) }).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    let file = std::fs::read(&path).unwrap();
    let key = record(1).key;
    for window in key.full().unwrap().windows(8) {
        assert!(!file.windows(8).any(|at| at == window));
    }
    let (storage, asked) = protected(&path, "correct horse");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(storage.load(HERE).unwrap(), Some(KeyRecord { salt: 99, ..record(1) }));
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    // The same key under the same password looks different in each file.
    let other = folder.path().join("other.session");
    protected(&other, "correct horse").0.save(HERE, &record(1)).unwrap();
    assert_ne!(std::fs::read(&other).unwrap()[80..], first[80..]);
}

/// Rule: CRY-29, SEC-42: a wrong password and a damaged key are one error.
#[test]
fn a_wrong_password_and_a_damaged_key_look_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("me.session");
    protected(&path, "correct horse").0.save(HERE, &record(1)).unwrap();
    let wrong = protected(&path, "wrong horse").0.load(HERE).unwrap_err();
    let mut file = std::fs::read(&path).unwrap();
    *file.last_mut().unwrap() ^= 1;
    std::fs::write(&path, file).unwrap();
    let damaged = protected(&path, "correct horse").0.load(HERE).unwrap_err();
    assert!(matches!(wrong, StorageError::Password { .. }));
    assert_eq!(wrong.to_string(), damaged.to_string());
}

/// Protected and open files are not taken for each other.
#[test]
fn protection_is_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let (open, shut) = (folder.path().join("open"), folder.path().join("shut"));
    FileStorage::open(&open).unwrap().save(HERE, &record(1)).unwrap();
    protected(&shut, "word").0.save(HERE, &record(1)).unwrap();
    let error = FileStorage::open(&shut).unwrap_err();
    assert!(error.to_string().ends_with("open it with their password"), "{error}");
    let error = FileStorage::open_protected(&open, || "word".to_owned()).unwrap_err();
    assert!(error.to_string().ends_with("open it without a password"), "{error}");
}

/// A key without its last part is a server's.
#[test]
fn keys_of_servers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::open(folder.path().join("me.session")).unwrap();
    let mut record = record(1);
    record.key.forget_client_part();
    assert!(matches!(storage.save(HERE, &record), Err(StorageError::Incomplete(_))));
}

fn check_damage(path: &Path, file: &[u8]) {
    std::fs::write(path, file).unwrap();
    let error = FileStorage::open(path).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(error.to_string().starts_with(&path.display().to_string()));
    assert_eq!(std::fs::read(path).unwrap(), file);
}

fn protected(path: &Path, password: &'static str) -> (FileStorage, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let ask = move || {
        count.fetch_add(1, Ordering::Relaxed);
        password.to_owned()
    };
    (FileStorage::open_protected(path, ask).unwrap(), asked)
}

fn record(n: u8) -> KeyRecord {
    // Bytes that differ, so that a part of the key is told from chance.
    KeyRecord {
        key: AuthKey::new(std::array::from_fn(|at| n.wrapping_mul(31).wrapping_add(at as u8))),
        salt: i64::from(n) - 9,
        server_minus_unix: -3,
    }
}

fn files(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    std::fs::read_dir(folder).unwrap().map(|entry| name(entry).into_string().unwrap()).collect()
}
