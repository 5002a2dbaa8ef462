//! What the key route is measured against: the same framework, a handler that returns 16 bytes, and nothing else.
//! `cargo run --release --example bare_server -- 127.0.0.1:4101`

#![expect(clippy::expect_used, reason = "a benchmark")]

use axum::Router;
use axum::routing::get;

fn main() {
    let address = std::env::args().nth(1).expect("an address to listen on");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.expect("a free address");
        let router = Router::new().route("/api/key/{content_id}", get(|| async { [0_u8; 16] }));
        axum::serve(listener, router).await.expect("a server");
    });
}
