//! `chappe proxy import`: what others' settings become, and what is said of the rest.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::{chappe, run, stderr, stdout};

const TELEMT: &str = r#"
# Ours, in telemt's words.
[general]
use_middle_proxy = true
ad_tag = "0123456789abcdef0123456789abcdef"
log_level = "normal"
prefer_ipv6 = true

[general.modes]
classic = false
secure = true
tls = true

[general.links]
show = "*"
public_host = "proxy.example.net"

[server]
port = 8443
metrics_port = 9090
[[server.listeners]]
ip = "0.0.0.0"
[[server.listeners]]
ip = "::"
announce = "198.51.100.1"

[censorship]
tls_domain = "www.example.org"
tls_domains = ["Other.example.org", "www.example.org"]
mask_host = "127.0.0.1"
mask_port = 4443
unknown_sni_action = "reject_handshake"
[censorship.exclusive_mask]
"other.example.org" = "192.0.2.7:443"

[access]
user_max_tcp_conns_global_each = 64
replay_check_len = 65536

[access.users]
ann = "5F8E1C0B7A69D4F3E2C1B0A998877665"
"ben from work" = "0f8e1c0b7a69d4f3e2c1b0a998877666"

[access.user_enabled]
"ben from work" = false
[access.user_ad_tags]
ann = "fedcba9876543210fedcba9876543210"
[access.user_max_tcp_conns]
ann = 16
"ben from work" = 0
carl = 5
[access.user_expirations]
ann = "2030-12-31T23:59:59Z"
[access.user_data_quota]
ann = 1073741824
[access.user_max_unique_ips]
ann = 3
[access.user_rate_limits]
ann = { up_bps = 8000000, down_bps = 0 }
[access.user_source_deny]
ann = ["203.0.113.0/24"]
"#;

const UPSTREAMS: &str = r#"
[[upstreams]]
type = "socks5"
address = "127.0.0.1:1080"
username = "u"
password = "p"
"#;

const TELEMT_OURS: &str = r#"listen = ["0.0.0.0:8443", "[::]:8443"]
metrics = "127.0.0.1:9090"
modes = ["padded", "tls"]
public = "proxy.example.net:8443"
unknown-domain = "alert"

[direct]
family = "prefer-v6"

[[domain]]
at = "127.0.0.1:4443"
name = "www.example.org"

[[domain]]
at = "192.0.2.7:443"
name = "other.example.org"

[middle]
ad-tag = "0123456789abcdef0123456789abcdef"

[user.ann]
ad-tag = "fedcba9876543210fedcba9876543210"
addresses-max = 3
connections-max = 16
expires = 2030-12-31T23:59:59Z
quota = 1073741824
rate-up = 1000000
secret = "5f8e1c0b7a69d4f3e2c1b0a998877665"

[user."ben from work"]
connections-max = 64
enabled = false
secret = "0f8e1c0b7a69d4f3e2c1b0a998877666"
"#;

const PYTHON: &str = r#"# -*- coding: utf-8 -*-
import os
PORT = 8443

USERS = {
    "ann":  "5f8e1c0b7a69d4f3e2c1b0a998877665",  # she
    'carl': "1f8e1c0b7a69d4f3"
            "e2c1b0a998877667",
}
USER_MAX_TCP_CONNS = {"ann": 8 * 2}
USER_EXPIRATIONS = dict(ann="x")
USER_EXPIRATIONS = {"carl": "31/12/2030"}
USER_DATA_QUOTA = {
    "ann": 50 * 1024 * 1024 * 1024,
    "dora": 1_000,
}
MODES = {"classic": True, "secure": False, "tls": True}
TLS_DOMAIN = "www.example.org"
AD_TAG = "0123456789abcdef0123456789abcdef"
MY_DOMAIN = "proxy.example.net"
TO_CLT_BUFSIZE = (16384, 100, 131072)
SOCKS5_HOST, SOCKS5_PORT = "a", 1
SECRET_COUNT = len(USERS)
os.system("touch ran")
"#;

const PYTHON_OURS: &str = r#"listen = ["0.0.0.0:8443", "[::]:8443"]
modes = ["plain", "tls"]
public = "proxy.example.net:8443"

[[domain]]
name = "www.example.org"

[middle]
ad-tag = "0123456789abcdef0123456789abcdef"

[user.ann]
connections-max = 16
quota = 53687091200
secret = "5f8e1c0b7a69d4f3e2c1b0a998877665"

[user.carl]
expires = 2030-12-31
secret = "1f8e1c0b7a69d4f3e2c1b0a998877667"
"#;

#[test]
fn settings_of_telemt_are_carried_over() {
    let folder = tempfile::tempdir().unwrap();
    let (output, ours) = import(folder.path(), "config.toml", TELEMT);
    assert_eq!(ours, TELEMT_OURS, "{}", stderr(&output));
    let left: Vec<String> =
        stderr(&output).lines().map(|line| line.split('`').nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        left,
        [
            "access.user_max_tcp_conns.carl",
            "server.listeners.announce",
            "server.metrics_port",
            "access.replay_check_len",
            "access.user_source_deny.ann",
            "general.links.show",
            "general.log_level",
        ]
    );
    accept(folder.path(), &ours, "ben from work");
}

/// Tags are carried over where middle servers can be had, which need no more settings, and named where
/// they cannot: through a proxy, where they are switched off, or where a tag is none.
#[test]
fn tags_are_carried_over_where_they_can_take_effect() {
    let folder = tempfile::tempdir().unwrap();
    let ad_tag = "0123456789abcdef0123456789abcdef";
    let python =
        |more: &str| format!("MY_DOMAIN = 'p'\nUSERS = {{'ann': '{}'}}\n{more}\n", "5f".repeat(16));
    let tag = format!("AD_TAG = '{ad_tag}'");
    let (off, proxied) = ("USE_MIDDLE_PROXY = False", "SOCKS5_HOST = 'p'\nSOCKS5_PORT = 1080");
    for (name, text, why) in [
        ("a.toml", TELEMT.to_owned(), ""),
        ("a.py", python(&tag), ""),
        ("a.toml", format!("{TELEMT}{UPSTREAMS}"), "cannot be reached through `direct.proxy`"),
        ("a.toml", TELEMT.replace("proxy = true", "proxy = false"), "switched off"),
        ("a.toml", TELEMT.replace("cdef\"\nlog", "cdeg\"\nlog"), "32 hexadecimal digits"),
        ("a.py", python(&format!("{tag}\n{off}")), "switched off"),
        ("a.py", python(&format!("{tag}\n{proxied}")), "cannot be reached through `direct.proxy`"),
        ("a.py", python("AD_TAG = 'x'"), "32 hexadecimal digits"),
    ] {
        let (output, ours) = import(folder.path(), name, &text);
        let said = stderr(&output);
        assert_eq!(ours.contains(&format!("[middle]\nad-tag = \"{ad_tag}\"")), why.is_empty());
        assert!(
            said.contains(why) && said.to_lowercase().contains("ad_tag`") != why.is_empty(),
            "{said}"
        );
        if text.contains(UPSTREAMS) {
            assert!(ours.contains("proxy = \"socks5://u:p@127.0.0.1:1080\""), "{ours}");
            assert!(
                said.contains("`access.user_ad_tags.ann`") && !ours.contains("ad-tag"),
                "{ours}"
            );
        }
        accept(folder.path(), &ours, "ann");
    }
}

#[test]
fn settings_of_mtprotoproxy_are_carried_over_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let (output, ours) = import(folder.path(), "config.py", PYTHON);
    assert_eq!(ours, PYTHON_OURS, "{}", stderr(&output));
    let said = stderr(&output);
    for left in [
        "line 2 gives",
        "line 11 gives",
        "line 22 gives",
        "line 23 gives",
        "line 24 gives",
        "`USER_DATA_QUOTA[\"dora\"]`",
        "`TO_CLT_BUFSIZE`",
    ] {
        assert!(said.contains(left), "{left}: {said}");
    }
    assert_eq!(said.lines().count(), 7, "{said}");
    assert!(!Path::new("ran").exists());
    accept(folder.path(), &ours, "carl");
}

/// Users and sites come behind what is there, which stays to the letter; who is there already stays,
/// and nothing changes where that cannot be.
#[test]
fn users_are_added_to_settings() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("proxy.toml");
    let before = "# Mine.\nlisten = [\"127.0.0.1:1\"] # here\npublic = \"here.example.org:1\"\n\
                  [[domain]]\nname = \"www.example.org\"\n[user.ann]\n\
                  secret = \"5f8e1c0b7a69d4f3e2c1b0a998877665\"\n";
    fs::write(&into, before).unwrap();
    let (telemt, python) = (folder.path().join("a.toml"), folder.path().join("b.py"));
    fs::write(&telemt, TELEMT.replace("ann = 16", "ann = 0")).unwrap();
    fs::write(&python, PYTHON).unwrap();
    let add = |source: &Path| {
        let mut command = chappe(&["proxy", "import", "--into"]);
        command.arg(&into).arg(source).output().unwrap()
    };
    for source in [&telemt, &python, &python] {
        let output = add(source);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("only users and sites"));
    }
    let after = fs::read_to_string(&into).unwrap();
    assert!(after.starts_with(before), "{after}");
    for (text, count) in [("[user.ann]", 1), ("[user.carl]", 1), ("www.example.org", 1)] {
        assert_eq!(after.matches(text).count(), count, "{text}: {after}");
    }
    assert!(after.contains("other.example.org") && after.contains("[user.\"ben from work\"]"));
    accept(folder.path(), &after, "carl");

    fs::write(&python, PYTHON.replace("5f8e", "6f8e")).unwrap();
    let output = add(&python);
    assert!(!output.status.success() && stderr(&output).contains("`ann` is there with another"));
    assert_eq!(fs::read_to_string(&into).unwrap(), after);
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, word) in [
        ("a.toml", "[server]\nport = 1\n", "[access.users]"),
        ("a.toml", "[access.users]\nann = \"00\"\n", "`ann`"),
        ("a.txt", "USERS = {'ann': 'x'}", ".py"),
        ("a.py", "PORT = 1\n", "USERS"),
        (
            "a.py",
            "USERS = {'ann': '5f8e1c0b7a69d4f3e2c1b0a998877665'}\nUSER_EXPIRATIONS = {'ann': '31/13/2030'}",
            "31/13",
        ),
        ("a.py", "USERS = {", "USERS"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let output = chappe(&["proxy", "import"]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
    }
}

fn import(folder: &Path, name: &str, text: &str) -> (Output, String) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    let output = chappe(&["proxy", "import"]).arg(&path).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let ours = stdout(&output);
    (output, ours)
}

/// The proxy takes them, and has links for the user.
fn accept(folder: &Path, ours: &str, user: &str) {
    let path = folder.join("ours.toml");
    fs::write(&path, ours).unwrap();
    let output = chappe(&["proxy", "links", "--only", user, "--config"]).arg(&path).output();
    let output = output.unwrap();
    assert!(stdout(&output).contains("https://t.me/proxy?server="), "{}", stderr(&output));
}

/// Settings of root that somebody else may write are written by him, and stay readable to their group
/// alone; those of another group are not made his.
#[test]
fn settings_of_root_are_written_by_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs.toml"), folder.path().join("ours.toml"));
    fs::write(&theirs, format!("[access.users]\nann = \"{}\"\n", "5f".repeat(16))).unwrap();
    fs::write(&ours, "listen = [\"127.0.0.1:0\"]\n").unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o640)).unwrap();
    // Only root can say to whom files belong.
    if chown(folder.path(), Some(NOBODY), Some(NOBODY)).is_err() {
        return;
    }
    chown(&ours, Some(0), Some(NOBODY)).unwrap();
    let import = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
        command.args(["proxy", "import"]).arg(&theirs).arg("--into").arg(&ours);
        command.uid(NOBODY).gid(NOBODY).output().unwrap()
    };
    let output = import();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::read_to_string(&ours).unwrap().contains("[user.ann]"));
    let owned = fs::metadata(&ours).unwrap();
    assert_eq!((owned.gid(), owned.mode() & 0o777), (NOBODY, 0o640));

    fs::write(&theirs, format!("[access.users]\nben = \"{}\"\n", "6f".repeat(16))).unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o644)).unwrap();
    chown(&ours, Some(0), Some(0)).unwrap();
    let output = import();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("give it to user 65534"), "{}", stderr(&output));
    assert!(!fs::read_to_string(&ours).unwrap().contains("ben"));
}

const NOBODY: u32 = 65534;

/// What telemt does that was told nothing is done here, too, or named.
#[test]
fn defaults_of_telemt_are_carried_over_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, format!("[access.users]\nann = \"{}\"\n", "5f".repeat(16))).unwrap();
    let output = run(&["proxy", "import", path.to_str().unwrap()]);
    assert!(stdout(&output).contains("unknown-domain = \"drop\""), "{}", stdout(&output));
    assert!(stderr(&output).contains("censorship.tls_domain"), "{}", stderr(&output));
}
