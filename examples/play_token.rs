//! Prints a token for a content: `cargo run --example play_token -- CONTENT_ID VIEWER`
//!
//! `SIGNING_KEY_FILE` is the file that `vylux-pack signing-key create --out` wrote, `SIGNING_KEY_ID` what it printed.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

/// A token that lives five minutes.
fn token(key: &EncodingKey, kid: String, content_id: &str, viewer: &str) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({"content_id": content_id, "sub": viewer, "iat": now, "exp": now + 300});
    let header = Header {
        kid: Some(kid),
        ..Header::new(Algorithm::ES256)
    };
    Ok(encode(&header, &claims, key)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(content_id), Some(viewer)) = (arguments.next(), arguments.next()) else {
        return Err("expected CONTENT_ID and VIEWER".into());
    };
    let key = EncodingKey::from_ec_pem(&fs::read(env::var("SIGNING_KEY_FILE")?)?)?;
    println!("{}", token(&key, env::var("SIGNING_KEY_ID")?, &content_id, &viewer)?);
    Ok(())
}
