//! What docs/deployment holds: the nginx configuration, run as it stands but for ports and paths, and the systemd unit, as
//! systemd reads it.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::server::{Answer, Server};
use common::{CONTENT_ID, Workspace, derive, run, tool};

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master process ends its workers when it is asked to stop.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(workspace: &Workspace, nginx: &Path, keys: SocketAddr) -> (Nginx, SocketAddr) {
    let listen = free_port();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deployment/nginx.conf");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in [
        ("127.0.0.1:4100", keys.to_string()),
        ("127.0.0.1:8080", listen.to_string()),
        ("root media;", format!("root {};", workspace.path("media").display())),
        ("access.log", workspace.path("access.log").display().to_string()),
        (
            "pid nginx.pid;",
            format!("pid {}; daemon off; user root;", workspace.path("nginx.pid").display()),
        ),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, &to);
    }
    let conf = workspace.path("nginx.conf");
    std::fs::write(&conf, text).unwrap();
    let mut command = Command::new(nginx);
    command.arg("-p").arg(workspace.folder()).arg("-c").arg(&conf);
    let child = Nginx(command.spawn().unwrap());
    let begun = Instant::now();
    while TcpStream::connect(listen).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nginx does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, listen)
}

#[test]
fn behind_nginx() {
    let Some(nginx) = tool("nginx") else { return };
    let workspace = Workspace::new();
    let mut encrypt = workspace.vylux_pack();
    encrypt.arg("encrypt").arg(common::fixture("demo.mp4"));
    run(encrypt.args(["--content-id", CONTENT_ID, "--out", "media/film", "--quiet"]));
    let secret = [("KEY_TOKEN_SECRET", "the token secret of all the tests")];
    let mut serve = workspace.vylux_pack();
    serve.args(["serve", "--listen", "127.0.0.1:0"]).envs(secret);
    serve.envs([("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_LIMIT_KEYS", "6")]);
    let server = Server::start(&mut serve);
    let (_nginx, address) = start(&workspace, &nginx, server.address);
    let ask = |path: &str, headers: &[&str]| Answer::of(address, &format!("GET {path}"), headers);
    let mut mint = workspace.vylux_pack();
    let token = run(mint.args(["token", "mint", "--content-id", CONTENT_ID]).envs(secret)).stdout;
    let token = format!("Authorization: Bearer {}", String::from_utf8(token).unwrap().trim());

    let key = ask(&format!("/api/key/{CONTENT_ID}"), &[&token]);
    assert!(key.body == derive::key());
    assert_eq!(key.header("cache-control"), Some("no-store"));
    assert_eq!(ask(&format!("/api/key/{CONTENT_ID}"), &[]).status, 401);

    let playlist = ask("/film/master.m3u8", &[]);
    assert_eq!(playlist.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(playlist.header("cache-control"), Some("no-cache"));
    let segment = ask("/film/video/360p/seg_00001.m4s", &["Range: bytes=4-7"]);
    assert_eq!((segment.status, &segment.body[..]), (206, &b"styp"[..]));
    assert_eq!(segment.header("content-type"), Some("video/iso.segment"));
    assert!(segment.header("cache-control").unwrap().contains("immutable"));
    for hidden in ["/film/keys.json", "/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(ask(hidden, &[]).status, 404, "{hidden}");
    }

    // Whoever invents an address is counted under the real one.
    let statuses = (0..8).map(|index| {
        let forwarded = format!("X-Forwarded-For: 192.0.2.{index}");
        ask(&format!("/api/key/{CONTENT_ID}"), &[&forwarded]).status
    });
    assert_eq!(statuses.filter(|status| *status == 429).count(), 4);
    let log = std::fs::read_to_string(workspace.path("access.log")).unwrap();
    assert!(log.contains("/api/key/") && !log.contains(token.rsplit(' ').next().unwrap()));
}

#[test]
fn systemd_understands_the_unit() {
    let Some(analyze) = tool("systemd-analyze") else { return };
    let workspace = Workspace::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deployment/vylux-pack.service");
    let text = std::fs::read_to_string(path).unwrap();
    // It has to be there, and it has to have all the options.
    let installed = "/usr/local/bin/vylux-pack serve";
    assert!(text.contains(installed));
    let ours = format!("{} serve", env!("CARGO_BIN_EXE_vylux-pack"));
    let unit = workspace.path("vylux-pack.service");
    let verify = |text: &str| {
        std::fs::write(&unit, text).unwrap();
        let output = Command::new(&analyze).arg("verify").arg(&unit).output().unwrap();
        // It also says what it thinks of the system's own units.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines()
            .filter(|line| line.contains("vylux-pack.service"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let good = text.replace(installed, &ours);
    assert_eq!(verify(&good), Vec::<String>::new());
    let wrong = verify(&good.replace("ProtectSystem=", "ProtectSystems="));
    assert!(wrong.iter().any(|line| line.contains("ProtectSystems")), "{wrong:?}");
}
