//! ffmpeg as a player of HLS: what it shows, and the key server that it asks.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::{Workspace, derive, run};

/// What lets it read playlists of files whose keys are on a server.
pub const PROTOCOLS: [&str; 4] = [
    "-allowed_extensions",
    "ALL",
    "-protocol_whitelist",
    "file,http,tcp,crypto,data",
];

/// The digests of the frames that ffmpeg makes of the first stream of a kind, `v` or `a`.
pub fn frames(ffmpeg: &Path, work: &Workspace, input: &Path, kind: &str, options: &[&str]) -> Vec<String> {
    let output = work.path("frames");
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-y", "-v", "error"]).args(options);
    command.arg("-i").arg(input);
    command.args(["-map", &format!("0:{kind}:0"), "-fps_mode", "passthrough"]);
    run(command.args(["-f", "framemd5"]).arg(&output));
    let text = fs::read_to_string(output).unwrap();
    let digest = |line: &str| line.split(',').nth(5).unwrap().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(digest).collect()
}

/// Answers every request with the tests' key, until somebody connects and asks nothing; returns the request lines.
pub fn serve_key(server: &TcpListener) -> Vec<String> {
    let mut requests = Vec::new();
    loop {
        let (mut client, _) = server.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&client).read_line(&mut request).unwrap();
        if request.is_empty() {
            return requests;
        }
        requests.push(request.trim_end().to_owned());
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n";
        client.write_all(&[answer, &derive::key()[..]].concat()).unwrap();
    }
}
