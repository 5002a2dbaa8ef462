//! The key server as a process, and a client that says exactly what it is told.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No answer of a test takes longer, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, which is killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    reads: Arc<AtomicBool>,
}

impl Server {
    /// Starts `command`, a `vylux-pack serve` on port 0, and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = None;
        while address.is_none() {
            let Some(line) = lines.next() else {
                panic!(
                    "the server ended before it listened: {:?}; {}",
                    child.wait(),
                    log.lock().unwrap()
                );
            };
            let line = line.unwrap();
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["message"] == "listening" {
                let (_, authority) = event["url"].as_str().unwrap().split_once("://").unwrap();
                address = Some(authority.parse().unwrap());
            }
            writeln!(log.lock().unwrap(), "{line}").unwrap();
        }
        let shared = Arc::clone(&log);
        let reads = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&reads);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writeln!(shared.lock().unwrap(), "{line}").unwrap();
                if !goes_on.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        Self {
            child,
            address: address.unwrap(),
            log,
            reader: Some(reader),
            reads,
        }
    }

    /// Closes the log's other end, as a reader does that crashed.
    pub fn close_log(&mut self) {
        self.reads.store(false, Ordering::Relaxed);
        // The reader waits for a line.
        self.ask("GET /health", &[]);
        self.reader.take().unwrap().join().unwrap();
    }

    /// The memory that it has, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Everything that it has logged so far: it gathers lines for some milliseconds before it prints them.
    pub fn log(&self) -> String {
        std::thread::sleep(Duration::from_millis(300));
        self.printed()
    }

    fn printed(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The line of the log about the request of that ID.
    pub fn logged(&self, request_id: &str) -> serde_json::Value {
        let begun = Instant::now();
        loop {
            let log = self.printed();
            let mut lines = log
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            if let Some(line) = lines.find(|line| line["request_id"] == request_id) {
                return line;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "request {request_id} is not in the log: {log}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Opens a connection.
    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends `METHOD PATH` with header lines, and waits for the answer.
    pub fn ask(&self, request: &str, headers: &[&str]) -> Answer {
        Answer::of(self.address, request, headers)
    }

    /// The same with a body.
    pub fn post(&self, request: &str, headers: &[&str], body: &[u8]) -> Answer {
        Answer::to(self.address, request, headers, body)
    }

    /// Sends bytes as they are, and reads until the server closes the connection.
    pub fn send(&self, request: &[u8]) -> Answer {
        Answer::to_bytes(self.address, request)
    }

    /// Sends a signal, by `kill`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits until it has ended by itself; its exit code and everything it printed.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status.code(), self.printed())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The rest.
    pub body: Vec<u8>,
}

impl Answer {
    /// Sends `METHOD PATH` with header lines to whoever listens at `address`.
    pub fn of(address: SocketAddr, request: &str, headers: &[&str]) -> Self {
        Self::to(address, request, headers, b"")
    }

    /// The same with a body.
    pub fn to(address: SocketAddr, request: &str, headers: &[&str], body: &[u8]) -> Self {
        let mut text = format!("{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n").into_bytes();
        for header in headers {
            text.extend_from_slice(header.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        if !body.is_empty() {
            text.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(body);
        Self::to_bytes(address, &text)
    }

    fn to_bytes(address: SocketAddr, request: &[u8]) -> Self {
        let mut stream = connect(address);
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request);
        Self::read(&mut stream)
    }

    /// Reads until the server closes the connection.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self {
            status,
            headers: lines.map(header).collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} came twice: {self:?}");
        value
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
