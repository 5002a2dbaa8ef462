//! Takes questions to webhooks over HTTP.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use reqwest::{Client, Url, header};

use super::address_ranges::AddressRanges;
use super::causes::chain;
use super::outbound::{Blocked, Guard, GuardedNames, SystemNames};
use crate::access::webhook::{Message, Post, PostError};

/// The status is the answer. So much of the body is read, in bytes, for the sake of the connection, which is closed where there is
/// more.
const MAX_BODY_BYTES: usize = 4 << 10;

/// Connections to one host that are kept for the next question, and for how long.
const IDLE_CONNECTIONS: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The signatures of a [`Message`].
const SIGNATURE: &str = "x-vylux-signature";
const SIGNATURE_V2: &str = "x-vylux-signature-v2";

/// Webhooks over HTTP: where they may be, and connections to them.
pub struct HttpPost {
    with_tls: Guarded,
    without_tls: Guarded,
}

struct Guarded {
    names: GuardedNames,
    client: Client,
}

impl Guarded {
    fn new(guard: Guard, names: Arc<dyn Resolve>) -> Result<Self, reqwest::Error> {
        let names = GuardedNames { guard, names };
        let client = Client::builder()
            .dns_resolver(Arc::new(names.clone()))
            .redirect(Policy::none())
            // One of the environment would resolve names by itself, behind the guard.
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIME)
            .user_agent(concat!("vylux-pack/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { names, client })
    }

    /// Whether a URL may be asked now. Its name is looked up here, as a connection that was kept is used without; one that is dialled
    /// looks it up again, and is guarded by itself.
    async fn check(&self, url: &Url) -> Result<(), PostError> {
        let blocked = |blocked: Blocked| PostError::Blocked(blocked.to_string());
        self.names.guard.check_url(url).map_err(blocked)?;
        let Some(name) = url.domain() else { return Ok(()) };
        let name = name
            .parse()
            .map_err(|_| PostError::Network("the host has no name that can be looked up".to_owned()))?;
        match self.names.resolve(name).await {
            Ok(_) => Ok(()),
            Err(error) => Err(told(&*error)),
        }
    }
}

impl HttpPost {
    /// To webhooks at public addresses, and at `allowed` ones.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn new(allowed: AddressRanges) -> Result<Self, reqwest::Error> {
        Self::with_names(allowed, &(Arc::new(SystemNames) as Arc<dyn Resolve>))
    }

    fn with_names(allowed: AddressRanges, names: &Arc<dyn Resolve>) -> Result<Self, reqwest::Error> {
        let allowed = Arc::new(allowed);
        Ok(Self {
            with_tls: Guarded::new(Guard::with_tls(Arc::clone(&allowed)), Arc::clone(names))?,
            without_tls: Guarded::new(Guard::without_tls(allowed), Arc::clone(names))?,
        })
    }
}

#[async_trait]
impl Post for HttpPost {
    async fn post(&self, url: &Url, message: &Message) -> Result<u16, PostError> {
        let guarded = match url.scheme() {
            "https" => &self.with_tls,
            "http" => &self.without_tls,
            _ => return Err(PostError::Blocked(Blocked::Url.to_string())),
        };
        guarded.check(url).await?;
        let request = guarded
            .client
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE, &message.signature)
            .header(SIGNATURE_V2, &message.signature_v2)
            .body(message.body.clone());
        let mut response = request.send().await.map_err(failed)?;
        let mut read = 0;
        while read <= MAX_BODY_BYTES {
            match response.chunk().await.map_err(failed)? {
                Some(chunk) => read += chunk.len(),
                None => break,
            }
        }
        Ok(response.status().as_u16())
    }
}

/// The URL may hold a secret, so it is not shown.
fn failed(error: reqwest::Error) -> PostError {
    told(&error.without_url())
}

/// Tells a blocked address from a host that can't be reached.
fn told(error: &(dyn Error + 'static)) -> PostError {
    let mut source = Some(error);
    while let Some(cause) = source {
        if let Some(blocked) = cause.downcast_ref::<Blocked>() {
            return PostError::Blocked(blocked.to_string());
        }
        source = cause.source();
    }
    PostError::Network(chain(error))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::net::{IpAddr, SocketAddr};
    use std::process::Command;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jiff::Timestamp;
    use reqwest::dns::{Addrs, Name, Resolving};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;
    use crate::access::DenyReason;
    use crate::access::webhook::{MAX_TIMEOUT, Question, Webhook, Webhooks};
    use crate::secret::SecretText;

    fn message() -> Message {
        Message {
            body: b"{}".to_vec(),
            signature: "sha256=00".to_owned(),
            signature_v2: "t=1,v1=00".to_owned(),
        }
    }

    /// Answers each connection's requests with `answer`, and counts connections.
    async fn webhook(answer: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        if stream.write_all(&answer).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, connections)
    }

    fn post() -> HttpPost {
        HttpPost::new(AddressRanges::parse("127.0.0.0/8").unwrap()).unwrap()
    }

    async fn ask(post: &HttpPost, url: &str) -> Result<u16, PostError> {
        post.post(&url.parse().unwrap(), &message()).await
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[tokio::test]
    async fn the_status_is_the_answer_and_the_connection_is_kept() {
        for (status, expected) in [
            ("200 OK", 200),
            ("204 No Content", 204),
            ("403 Forbidden", 403),
            ("500 Oops", 500),
        ] {
            let (address, connections) = webhook(answer(status, if expected == 204 { "" } else { "yes" })).await;
            let post = post();
            for _ in 0..3 {
                assert_eq!(
                    ask(&post, &format!("http://{address}/?secret=hunter2")).await,
                    Ok(expected)
                );
            }
            assert_eq!(connections.load(Ordering::SeqCst), 1, "{status}");
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let (elsewhere, connections) = webhook(answer("200 OK", "")).await;
        let moved = format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        let (address, _) = webhook(moved.into_bytes()).await;
        assert_eq!(ask(&post(), &format!("http://{address}/")).await, Ok(302));
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_large_body_is_not_read() {
        let (address, connections) = webhook(answer("200 OK", &"x".repeat(10 << 20))).await;
        let post = post();
        for _ in 0..2 {
            assert_eq!(ask(&post, &format!("http://{address}/")).await, Ok(200));
        }
        // Nobody waits for the rest.
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_told_from_what_is_blocked() {
        let (address, connections) = webhook(answer("200 OK", "")).await;
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let shut = HttpPost::new(AddressRanges::default()).unwrap();
        let port = address.port();
        for url in [
            format!("http://127.0.0.1:{port}/?hunter2"),
            format!("https://127.0.0.1:{port}/?hunter2"),
            format!("http://localhost:{port}/?hunter2"),
            format!("https://localhost:{port}/?hunter2"),
            format!("http://[::ffff:127.0.0.1]:{port}/?hunter2"),
            "http://1.1.1.1/?hunter2".to_owned(),
            "ftp://127.0.0.1/?hunter2".to_owned(),
            format!("https://hunter2@127.0.0.1:{port}/"),
        ] {
            let error = ask(&shut, &url).await.unwrap_err();
            assert!(matches!(error, PostError::Blocked(_)), "{url}: {error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0);
        for url in [
            format!("http://{nobody}/?hunter2"),
            // It does not speak TLS.
            format!("https://{address}/?hunter2"),
            "https://no-such-host.invalid/?hunter2".to_owned(),
        ] {
            let error = ask(&post(), &url).await.unwrap_err();
            assert!(matches!(error, PostError::Network(_)), "{url}: {error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_or_no_answer_is_a_network_error() {
        for answer in [
            "",
            "HTTP/1.1 2",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
            let error = ask(&post(), &format!("http://{address}/")).await.unwrap_err();
            assert!(matches!(error, PostError::Network(_)), "{answer}: {error:?}");
        }
    }

    /// Names that resolve to the next of these addresses each time that somebody asks.
    struct Script(Mutex<Vec<Vec<IpAddr>>>);

    impl Resolve for Script {
        fn resolve(&self, _: Name) -> Resolving {
            let addresses = self.0.lock().unwrap().remove(0);
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Box::pin(async { Ok(Box::new(addresses) as Addrs) })
        }
    }

    fn post_with(allowed: &str, script: &[&[&str]]) -> HttpPost {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let names: Arc<dyn Resolve> = Arc::new(Script(Mutex::new(script.iter().map(parse).collect())));
        HttpPost::with_names(AddressRanges::parse(allowed).unwrap(), &names).unwrap()
    }

    /// A name that is allowed at first, and then is not: what is dialled is looked at each time, and once more where that is done.
    #[tokio::test]
    async fn a_name_that_moves_gains_nothing() {
        let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let (address, connections) = webhook(closing.to_vec()).await;
        let url = format!("http://hook.example.com:{}/", address.port());
        let ours: &[&str] = &["127.0.0.1"];
        let post = post_with(
            "127.0.0.1",
            &[
                ours,
                ours,
                &["127.0.0.2"],
                &["127.0.0.1", "10.0.0.1"],
                ours,
                &["127.0.0.2"],
            ],
        );
        assert_eq!(ask(&post, &url).await, Ok(200));
        for _ in 0..3 {
            let error = ask(&post, &url).await.unwrap_err();
            assert!(matches!(error, PostError::Blocked(_)), "{error:?}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    /// A connection that is kept is not used while its name has an address that is blocked.
    #[tokio::test]
    async fn a_kept_connection_does_not_outlive_its_name() {
        let (address, connections) = webhook(answer("200 OK", "")).await;
        let url = format!("http://hook.example.com:{}/", address.port());
        let ours: &[&str] = &["127.0.0.1"];
        let post = post_with(
            "127.0.0.1",
            &[ours, ours, &["127.0.0.2"], &["127.0.0.1", "127.0.0.2"], ours],
        );
        assert_eq!(ask(&post, &url).await, Ok(200));
        for _ in 0..2 {
            let error = ask(&post, &url).await.unwrap_err();
            assert!(matches!(error, PostError::Blocked(_)), "{error:?}");
        }
        assert_eq!(ask(&post, &url).await, Ok(200));
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    /// Two names at one address: a connection serves the name that it was made for.
    #[tokio::test]
    async fn a_connection_serves_one_name() {
        let (address, connections) = webhook(answer("200 OK", "")).await;
        let ours: &[&str] = &["127.0.0.1"];
        // The first one's question and dialling, its next question; the other one's question and dialling.
        let post = post_with("127.0.0.1", &[ours, ours, ours, ours, &["10.0.0.1"]]);
        let url = |host: &str| format!("http://{host}.example.com:{}/", address.port());
        for _ in 0..2 {
            assert_eq!(ask(&post, &url("one")).await, Ok(200));
        }
        let error = ask(&post, &url("another")).await.unwrap_err();
        assert!(matches!(error, PostError::Blocked(_)), "{error:?}");
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    /// Answers one connection with `head`, and then with `part` again and again.
    async fn drips(head: &'static str, part: Vec<u8>, pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(pause).await;
                sent = stream.write_all(&part).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_not_waited_for() {
        let chunk = [b"400\r\n".as_slice(), &[b'x'; 0x400], b"\r\n"].concat();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let address = drips(head, chunk, Duration::ZERO).await;
        let asked = tokio::time::timeout(Duration::from_secs(30), async {
            ask(&post(), &format!("http://{address}/")).await
        });
        assert_eq!(asked.await.unwrap(), Ok(200));
    }

    /// An answer, its head and its body, has the timeout as a whole.
    #[tokio::test]
    async fn a_slow_answer_is_given_up() {
        for head in [
            "",
            "HTTP/1.1 200 OK\r\nX: ",
            "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n",
        ] {
            let address = drips(head, b"x".to_vec(), Duration::from_millis(20)).await;
            let url = Some(format!("http://{address}/").parse().unwrap());
            let secret = SecretText::from("secret".to_owned());
            let webhook = Webhook::new(url, secret, Some(Duration::from_millis(200)));
            let content_id = "film-1".parse().unwrap();
            let question = Question {
                content_id: &content_id,
                kid: None,
                viewer_ip: [192, 0, 2, 7].into(),
                request_url: "/api/key/film-1",
                viewer_token: None,
                request_id: "1",
                timestamp: Timestamp::now(),
            };
            let webhooks = Webhooks::new(Box::new(post()), MAX_TIMEOUT);
            let answer = webhooks.ask(&webhook, &question, webhooks.until()).await;
            // Nothing but letters is no head, which is told before the time is over.
            let expected = match head {
                "" => [DenyReason::WebhookTimeout, DenyReason::WebhookNetwork],
                _ => [DenyReason::WebhookTimeout; 2],
            };
            let reason = answer.verdict.unwrap_err();
            assert!(expected.contains(&reason), "{head:?}: {reason}");
            assert!(answer.latency < Duration::from_secs(5), "{:?}", answer.latency);
        }
    }

    /// Where [`by_an_environment`] finds the certificate and key.
    const FOLDER: &str = "VYLUX_PACK_TEST_FOLDER";

    /// Speaks TLS with certificates of the environment, through no proxy of the environment. A process has one environment,
    /// so the test runs in one of its own.
    #[test]
    fn the_environment_names_certificates_and_no_proxy() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args([
                "-days",
                "2",
                "-subj",
                "/CN=127.0.0.1",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(path("key.pem"))
            .arg("-out")
            .arg(path("cert.pem"))
            .output();
        let Ok(made) = made else { return };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Whoever asks this proxy fails.
        let proxy = "http://127.0.0.1:1";
        for trusts in [true, false] {
            let mut test = Command::new(std::env::current_exe().unwrap());
            test.args(["--exact", "--ignored", "server::webhook_http::tests::by_an_environment"])
                .env(FOLDER, folder.path())
                .env_remove("SSL_CERT_DIR")
                .env_remove("SSL_CERT_FILE")
                .env_remove("NO_PROXY")
                .env_remove("no_proxy");
            for variable in [
                "HTTP_PROXY",
                "http_proxy",
                "HTTPS_PROXY",
                "https_proxy",
                "ALL_PROXY",
                "all_proxy",
            ] {
                test.env(variable, proxy);
            }
            if trusts {
                test.env("SSL_CERT_FILE", path("cert.pem"));
            }
            let output = test.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{trusts}: {text}");
        }
    }

    #[tokio::test]
    #[ignore = "a part of the_environment_names_certificates_and_no_proxy"]
    async fn by_an_environment() {
        let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else {
            return;
        };
        let certificate = CertificateDer::from_pem_slice(&fs::read(folder.join("cert.pem")).unwrap()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&fs::read(folder.join("key.pem")).unwrap()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(&answer("200 OK", "")).await;
            }
        });
        let (plain, _) = webhook(answer("200 OK", "")).await;
        assert_eq!(
            ask(&post(), &format!("http://{plain}/")).await,
            Ok(200),
            "no proxy is asked"
        );
        let asked = ask(&post(), &format!("https://{address}/")).await;
        if std::env::var_os("SSL_CERT_FILE").is_some() {
            assert_eq!(asked, Ok(200));
        } else {
            assert!(matches!(asked, Err(PostError::Network(_))), "{asked:?}");
        }
        // The certificate is for the address, and not for this name.
        let named = post_with("127.0.0.1", &[&["127.0.0.1"], &["127.0.0.1"]]);
        let asked = ask(&named, &format!("https://hook.example.com:{}/", address.port())).await;
        assert!(matches!(asked, Err(PostError::Network(_))), "{asked:?}");
    }
}
