//! Throwaway databases on loopback: a PostgreSQL, and a `PgBouncer` in front of it in transaction mode.
//!
//! Each lives in a folder of its own with a port of its own, knows nothing of those of the system, and ends when it is dropped;
//! if a test is killed, with the thread that started it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{make_certificate, run, skip, tool};

/// The user of all tests' databases, and its password, which must be seen nowhere.
pub const USER: &str = "films";
/// See [`USER`].
pub const PASSWORD: &str = "hunter2 is/no@password";
const PASSWORD_IN_URL: &str = "hunter2%20is%2Fno%40password";

/// How long a database may take to start or stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// Servers refuse to run as root; as root, they run as this user and group.
const NOBODY: &str = "65534";

/// A PostgreSQL server.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    server: Option<Server>,
}

impl Postgres {
    /// Starts a new one, or skips the test where it is not installed.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        tool("setpriv")?;
        let folder = folder();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        give_to_nobody(&password);
        let mut initdb = as_nobody(programs.join("initdb"));
        initdb
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .arg("--pwfile")
            .arg(&password)
            .args(["--username", USER, "--auth", "scram-sha-256", "--no-sync"])
            // A collation that is not that of bytes, if the system has it: ICU's always is there.
            .args([
                "--encoding",
                "UTF8",
                "--locale-provider",
                "icu",
                "--icu-locale",
                "en-US",
            ]);
        run(&mut initdb);
        let mut postgres = Self {
            port: free_port(),
            server: None,
            folder,
            programs,
        };
        postgres.resume();
        Some(postgres)
    }

    /// Starts it again after [`Postgres::stop`], where it was.
    pub fn resume(&mut self) {
        let mut command = as_nobody(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-F"]);
        let log = self.folder.path().join("log");
        self.server = Some(Server::start(&mut command, &log, self.port));
        self.wait_until_it_answers(&log);
    }

    /// It listens before it is ready.
    fn wait_until_it_answers(&self, log: &Path) {
        let began = Instant::now();
        while !self.psql("postgres", "SELECT 1").output().unwrap().status.success() {
            assert!(began.elapsed() < PATIENCE, "{}", said(log));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Turns TLS on, under a certificate of its own, and returns the certificate's file.
    pub fn speak_tls(&mut self) -> Option<PathBuf> {
        let openssl = tool("openssl")?;
        self.stop();
        let data = self.folder.path().join("data");
        make_certificate(as_nobody(openssl), &data.join("server.crt"), &data.join("server.key"));
        let settings = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, format!("{text}\nssl = on\n")).unwrap();
        self.resume();
        let certificate = self.folder.path().join("certificate");
        std::fs::copy(data.join("server.crt"), &certificate).unwrap();
        Some(certificate)
    }

    /// Stops it, with everybody's connections.
    pub fn stop(&mut self) {
        self.server.take().unwrap().end("-INT");
    }

    /// Keeps it from answering, and its connections open, as a network that fails does. `false` lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let server = self.server.as_ref().unwrap();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        // Each connection has a process of its own; the new ones are the first one's.
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
        run(Command::new("kill")
            .arg(signal)
            .arg(server.pid())
            .args(children.split_whitespace()));
    }

    /// A new, empty database's URL.
    pub fn create(&self, database: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE \"{database}\""));
        self.url(database)
    }

    /// A database's URL.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// What a statement prints, run by PostgreSQL's own client.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = run(&mut self.psql(database, sql));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn psql(&self, database: &str, sql: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .env("PGPASSWORD", PASSWORD)
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                USER,
                "-d",
                database,
            ])
            .args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql]);
        command
    }
}

/// A `PgBouncer` in transaction mode, in front of a [`Postgres`].
pub struct PgBouncer {
    _folder: tempfile::TempDir,
    port: u16,
    _server: Server,
}

impl PgBouncer {
    /// Starts a new one, or skips the test where it is not installed.
    ///
    /// Transactions go round over at least four connections, so that no two of a client are on the same one by chance.
    pub fn start(postgres: &Postgres) -> Option<Self> {
        let program = tool_of_system("pgbouncer")?;
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        let port = free_port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 8\nmin_pool_size = 4\nserver_round_robin = 1\n",
            postgres.port,
            path("users").display()
        );
        for (name, text) in [
            ("settings", settings),
            ("users", format!("\"{USER}\" \"{PASSWORD}\"\n")),
        ] {
            std::fs::write(path(name), text).unwrap();
            give_to_nobody(&path(name));
        }
        let mut command = as_nobody(program);
        command.arg(path("settings"));
        Some(Self {
            _server: Server::start(&mut command, &path("log"), port),
            _folder: folder,
            port,
        })
    }

    /// A database's URL.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{port}/{database}")
}

/// A server that runs.
struct Server(Child);

impl Server {
    /// Starts it, and waits until it listens.
    fn start(command: &mut Command, log: &Path, port: u16) -> Self {
        let file = std::fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let mut server = Self(command.spawn().unwrap());
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.0.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{}", said(log));
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Ends it with a signal, and waits for its end.
    fn end(mut self, signal: &str) {
        run(Command::new("kill").args([signal, &self.pid()]));
        let began = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // To PostgreSQL this is to end at once, with its other processes.
            let _ = Command::new("kill").args(["-QUIT", &self.pid()]).status();
            let began = Instant::now();
            while matches!(self.0.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// PostgreSQL's programs, of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, programs)| programs.join("initdb").is_file())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, programs)| programs);
    if newest.is_none() {
        skip("PostgreSQL is not installed; fixtures/oracles.sh installs it");
    }
    newest
}

/// A program that stands where a user's `PATH` need not look.
fn tool_of_system(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/sbin").join(name);
    if path.is_file() { Some(path) } else { tool(name) }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A folder that a server may use.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("vylux-pack-test-").tempdir().unwrap();
    give_to_nobody(folder.path());
    folder
}

fn give_to_nobody(path: &Path) {
    if is_root() {
        let nobody = NOBODY.parse().ok();
        std::os::unix::fs::chown(path, nobody, nobody).unwrap();
    }
}

/// A program that is run without root's rights, and ends with the thread that starts it.
fn as_nobody(program: PathBuf) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "QUIT"]).arg(program).current_dir("/");
    command
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn said(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
