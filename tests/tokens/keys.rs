//! Key pairs that openssl makes and signs with, and key sets of them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::tokens::{base64url, jwt};
use crate::common::{Workspace, run, tool};

/// A key pair in a file of its own.
pub struct KeyPair {
    workspace: Workspace,
    /// `RS256` or `ES256`.
    pub algorithm: &'static str,
}

impl KeyPair {
    /// `None` where openssl is missing.
    pub fn rsa(bits: u32) -> Option<Self> {
        Self::make("RS256", &["RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")])
    }

    /// `None` where openssl is missing.
    pub fn p256() -> Option<Self> {
        Self::make("ES256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    /// One that signs no token: of that type, with that option. `None` where openssl is missing.
    pub fn of(kind: &str, option: &str) -> Option<Self> {
        Self::make("none", &[kind, "-pkeyopt", option])
    }

    /// The pair of P-256 whose private key is given. `None` where openssl is missing.
    pub fn from_pem(private_key: &str) -> Option<Self> {
        tool("openssl")?;
        let workspace = Workspace::new();
        std::fs::write(workspace.folder().join("key.pem"), private_key).unwrap();
        Some(Self {
            workspace,
            algorithm: "ES256",
        })
    }

    fn make(algorithm: &'static str, arguments: &[&str]) -> Option<Self> {
        tool("openssl")?;
        let workspace = Workspace::new();
        let mut openssl = Command::new("openssl");
        openssl
            .current_dir(workspace.folder())
            .args(["genpkey", "-out", "key.pem", "-algorithm"]);
        run(openssl.args(arguments));
        Some(Self { workspace, algorithm })
    }

    fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let mut openssl = Command::new("openssl");
        run(openssl.current_dir(self.workspace.folder()).args(arguments)).stdout
    }

    /// The public key in `PEM` or `DER`.
    pub fn public(&self, form: &str) -> Vec<u8> {
        self.openssl(&["pkey", "-in", "key.pem", "-pubout", "-outform", form])
    }

    /// The public key as a JSON Web Key (RFC 7518, 6), without more than its type needs.
    pub fn jwk(&self) -> Value {
        if self.algorithm == "RS256" {
            let text = String::from_utf8(self.openssl(&["rsa", "-in", "key.pem", "-noout", "-modulus"])).unwrap();
            let modulus = hex::decode(text.trim().strip_prefix("Modulus=").unwrap()).unwrap();
            return json!({"kty": "RSA", "n": base64url(modulus), "e": "AQAB"});
        }
        let der = self.public("DER");
        let point = &der[der.len() - 65..];
        assert_eq!(point[0], 4, "an uncompressed point");
        json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
    }

    /// The same with an ID and more members.
    pub fn jwk_with(&self, more: &Value) -> Value {
        let mut jwk = self.jwk();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    /// The signature as openssl writes it.
    pub fn sign_as_openssl(&self, message: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", "key.pem"])
            .current_dir(self.workspace.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    /// The signature as a JWT has it: of an elliptic curve, both numbers in 32 bytes each (RFC 7518, 3.4).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.sign_as_openssl(message);
        if self.algorithm == "RS256" {
            return signature;
        }
        // SEQUENCE { INTEGER r, INTEGER s }, each of at most 33 bytes.
        let mut rest = &signature[2..];
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let length = usize::from(rest[1]);
            let number = &rest[2..2 + length];
            let number = number.strip_prefix(&[0]).unwrap_or(number);
            numbers.extend(vec![0; 32 - number.len()]);
            numbers.extend_from_slice(number);
            rest = &rest[2 + length..];
        }
        numbers
    }

    /// A JWT with this key's algorithm, that key ID if any, and those claims.
    pub fn token(&self, kid: Option<&str>, claims: &str) -> String {
        let mut header = json!({"alg": self.algorithm});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        jwt(&header.to_string(), claims, |message| self.sign(message))
    }
}

/// A key set.
pub fn key_set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}
