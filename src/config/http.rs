//! `[http]`: where the API listens, and who is answered.
//!
//! On loopback the machine's own users are answered. On any other address a request must show the token, unless the
//! configuration says in so many words that anybody is answered.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Problem, Secret, ensure};

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port; port 0 takes any that is free.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// What requests must show as `Authorization: Bearer ...`.
    token: Option<Secret>,
    /// A file that holds the token, read once.
    token_file: Option<PathBuf>,
    /// Whether anybody who can reach an address beyond loopback is answered.
    pub allow_anonymous: bool,
    /// What the file held.
    #[serde(skip)]
    read: Option<Secret>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            token: None,
            token_file: None,
            allow_anonymous: false,
            read: None,
        }
    }
}

/// Below this a token can be guessed.
const MIN_TOKEN: usize = 16;
const MAX_TOKEN: usize = 1024;

impl HttpConfig {
    /// The token that requests must show; `None`: nobody is asked.
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref().or(self.read.as_ref())
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        if let Some(token) = &self.token {
            ensure(is_token(token), "http.token", || TOKEN.to_owned())?;
        }
        let has_token = self.token.is_some() || self.token_file.is_some();
        ensure(self.token.is_none() || self.token_file.is_none(), "http.token_file", || {
            "http.token is set as well: only one of them may be".to_owned()
        })?;
        ensure(!has_token || !self.allow_anonymous, "http.allow_anonymous", || {
            "a token is set as well: either requests must show it, or anybody is answered".to_owned()
        })?;
        let listen = self.listen;
        let is_private = listen.ip().to_canonical().is_loopback();
        ensure(is_private || has_token || self.allow_anonymous, "http.listen", || {
            format!(
                "{listen} can be reached from other machines: set http.token_file or http.token, which requests must \
                 then show, or http.allow_anonymous = true if anybody who reaches it may read all figures"
            )
        })
    }

    /// Reads the token's file, where there is one.
    pub(super) fn read_token_file(&mut self) -> Result<(), Problem> {
        let Some(path) = &self.token_file else { return Ok(()) };
        // The path is not said: it may be the token itself, set at the wrong key.
        let problem = |what: String| Problem::new("http.token_file", what);
        let token = Secret::new(read_trimmed(path).map_err(|error| problem(error.to_string()))?);
        if !is_token(&token) {
            return Err(problem(TOKEN.to_owned()));
        }
        self.read = Some(token);
        Ok(())
    }
}

const TOKEN: &str = "expected a token of 16 to 1024 letters, digits and -._~+/=, such as `openssl rand -hex 32` makes";

/// As RFC 6750 has them.
fn is_token(token: &Secret) -> bool {
    let token = token.expose();
    (MIN_TOKEN..=MAX_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

/// A file's text without the white space around it. No more of it is read than a token may have.
fn read_trimmed(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(2 * MAX_TOKEN as u64).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!("expected an address and a port, such as 127.0.0.1:8080, found {text:?}"))
    })
}
