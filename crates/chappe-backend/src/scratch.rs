//! A PostgreSQL server of a test's own, started from the programs that this machine has and gone
//! with the test's process, however that ends.
//!
//! Everything here panics where it fails: it is for tests alone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

/// A PostgreSQL server with its data in a temporary folder.
///
/// It listens on a Unix socket in that folder. Whoever comes there is believed to be who they say.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    programs: PathBuf,
    /// Whom it runs as, where we are root, as whom it does not run.
    user: Option<(u32, u32)>,
    settings: Vec<String>,
    /// Stops the server when its input ends; `None` after [`kill`](Self::kill).
    guard: Option<Child>,
}

/// Schemas made so far.
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

impl Scratch {
    /// The server that the tests of a process share, which writes nothing through to the disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Scratch> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start(&[
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "max_connections=500",
            ])
        })
    }

    /// A server with these settings (`name=value`) beside its defaults.
    pub fn start(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("chappe-postgres-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).expect("the folder is given away");
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder, programs: programs(), user, settings, guard: None };
        let initdb = server.programs.join("initdb");
        let initdb = initdb.to_str().expect("a path in UTF-8");
        let output = server
            .command(initdb)
            .args(["--username=chappe", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--pgdata"])
            .arg(server.data())
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.resume();
        server
    }

    /// The address of its database.
    pub fn url(&self) -> String {
        format!("postgres://chappe@localhost/postgres?host={}", self.folder.display())
    }

    /// The address of an empty schema in it, which nobody else has.
    pub async fn schema(&self) -> String {
        let name = format!("s{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url()).await.expect("it answers");
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.expect("the schema is made");
        connection.close().await.expect("the connection ends");
        format!("{}&options=-csearch_path%3D{name}", self.url())
    }

    /// Where its data are; `pg_hba.conf` among them.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Puts a file among its data, for its own eyes.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("the file is written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, mode).expect("the file is closed to others");
        if let Some((uid, gid)) = self.user {
            chown(&path, Some(uid), Some(gid)).expect("the file is given away");
        }
    }

    /// Ends all of its processes at once, by SIGKILL: as they end when memory is out.
    pub fn kill(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        let main = self.main_process();
        let mut all = vec![main.clone()];
        all.extend(children_of(&main));
        // The first of them first: it would clean up after the others.
        let killed = Command::new("kill").arg("-KILL").args(&all).status();
        // Some end by themselves before their turn comes.
        killed.expect("kill runs");
        let mut input = guard.stdin.take().expect("it is piped");
        input.write_all(b"keep\n").expect("the guard listens");
        guard.wait().expect("the guard ends");
        let begun = Instant::now();
        while all.iter().any(|process| is_alive(process)) {
            assert!(begun.elapsed() < START_MAX, "a process survives SIGKILL");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again after [`kill`](Self::kill); back once it takes connections.
    pub fn resume(&mut self) {
        let mut command = self.command("sh");
        command.args(["-c", GUARD, "sh"]).arg(&self.folder).arg(self.programs.join("postgres"));
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.guard = Some(command.spawn().expect("sh runs"));
        let begun = Instant::now();
        while !self.is_ready() {
            if begun.elapsed() > START_MAX {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("PostgreSQL does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its state is in the last line of the file with its process id.
    fn is_ready(&self) -> bool {
        let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let is_ours = state.lines().next().is_some_and(is_alive);
        is_ours && state.lines().nth(7).is_some_and(|state| state.trim() == "ready")
    }

    fn main_process(&self) -> String {
        let state = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        state.lines().next().expect("its process id").to_owned()
    }

    /// A command as whoever the server runs as.
    fn command(&self, program: &str) -> Command {
        let Some((uid, gid)) = self.user else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
        command.args(["--clear-groups", "--", program]);
        // Not where we are: others may not look there.
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match self.guard.take() {
            // Its input ends with it.
            Some(mut guard) => {
                drop(guard.stdin.take());
                let _ = guard.wait();
            }
            None => {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// Runs the server until its input ends, that is until nobody holds the other end: by then the test
/// is over, or was killed.
const GUARD: &str = "\
folder=$1; postgres=$2; shift 2
\"$postgres\" -D \"$folder/data\" -c listen_addresses= -c unix_socket_directories=\"$folder\" \
    -c shared_buffers=32MB \"$@\" >>\"$folder/log\" 2>&1 &
read -r word || word=
kill -QUIT $! 2>/dev/null
wait $!
[ \"$word\" = keep ] || rm -rf \"$folder\"";

/// Longest wait for the server to start or to end.
const START_MAX: Duration = Duration::from_secs(60);

/// Where the programs are; Debian has them on no path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders.reverse();
    let whole = |folder: &PathBuf| ["postgres", "initdb"].iter().all(|p| folder.join(p).exists());
    folders.into_iter().find(whole).expect(
        "PostgreSQL on this machine: install Debian's package postgresql, as `cargo xtask test` does",
    )
}

/// Somebody to run the server as, where we are root.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().expect("id runs");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let of = |name| Some((id(&["-u", name])?, id(&["-g", name])?));
    Some(of("postgres").or_else(|| of("nobody")).expect("a user postgres or nobody"))
}

/// Processes that a process began.
fn children_of(parent: &str) -> Vec<String> {
    let output = Command::new("ps").args(["-o", "pid=", "--ppid", parent]).output();
    let output = output.expect("ps runs").stdout;
    String::from_utf8_lossy(&output).split_whitespace().map(str::to_owned).collect()
}

/// Whether a process runs, and is not one that has ended and is still listed.
fn is_alive(process: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", process]).output();
    let state = output.expect("ps runs").stdout;
    !state.is_empty() && !state.starts_with(b"Z")
}
