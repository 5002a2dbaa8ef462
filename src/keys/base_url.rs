//! Where players reach the key server.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::ContentId;
use crate::content_key::Kid;

/// An absolute http(s) URL that key URIs begin with, without a trailing slash, query, fragment or user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Text that is no base URL. It isn't shown, as it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Not `http://` or `https://`.
    #[error(
        "the base URL doesn't begin with http:// or https://; expected an absolute one such as https://keys.example.com"
    )]
    NotHttp,
    /// A blank or a control character.
    #[error("the base URL holds a blank or a control character")]
    Blank,
    /// Malformed in another way.
    #[error("the base URL is malformed: {0}")]
    Malformed(#[from] url::ParseError),
    /// A user name or password, which would stand in every playlist.
    #[error("the base URL holds a user name or password, which every playlist would show; leave it out")]
    UserInfo,
    /// A query or fragment, to which no path can be appended.
    #[error("the base URL holds a query or fragment (? or #); key URIs append a path to it, so leave it out")]
    QueryOrFragment,
}

impl BaseUrl {
    /// The URL's text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI of a content's primary key, or with a `kid`, of every other key of it.
    #[must_use]
    pub fn key_uri(&self, content_id: &ContentId, kid: Option<&Kid>) -> String {
        match kid {
            None => format!("{self}/api/key/{content_id}"),
            Some(kid) => format!("{self}/api/key/{content_id}/{kid}"),
        }
    }

    /// Where Clear Key licences of a content are to be had, with any of its keys.
    #[must_use]
    pub fn licence_url(&self, content_id: &ContentId) -> String {
        format!("{self}/api/key/{content_id}/clearkey")
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The URL standard forgives blanks and slashes that people would rather hear of.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(BaseUrlError::Blank);
        }
        let begins_with = |scheme: &str| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        if !begins_with("http://") && !begins_with("https://") {
            return Err(BaseUrlError::NotHttp);
        }
        let url = Url::parse(text)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::QueryOrFragment);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_in_its_standard_form() {
        for (text, kept) in [
            ("http://localhost:4100", "http://localhost:4100"),
            ("http://localhost:4100/", "http://localhost:4100"),
            ("HTTPS://Keys.Example.com:443/drm//", "https://keys.example.com/drm"),
            ("https://[::1]:8443/a%20b", "https://[::1]:8443/a%20b"),
            ("https://münchen.example/\"", "https://xn--mnchen-3ya.example/%22"),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(url.as_str(), kept);
            assert_eq!(url.as_str().parse::<BaseUrl>().unwrap(), url);
        }
    }

    #[test]
    fn other_text_is_refused_and_not_shown() {
        use BaseUrlError::{Blank, Malformed, NotHttp, QueryOrFragment, UserInfo};
        for (text, expected) in [
            ("", NotHttp),
            ("hunter2.example.com", NotHttp),
            ("/hunter2", NotHttp),
            ("ftp://hunter2", NotHttp),
            ("http:/hunter2", NotHttp),
            ("http:\\\\hunter2", NotHttp),
            (" http://hunter2", Blank),
            ("http://hunter2\n", Blank),
            ("http://hunter2:99999", Malformed(url::ParseError::InvalidPort)),
            ("http://", Malformed(url::ParseError::EmptyHost)),
            ("http://hunter2@host", UserInfo),
            ("http://:hunter2@host", UserInfo),
            ("http://hunter2?", QueryOrFragment),
            ("http://host/#hunter2", QueryOrFragment),
        ] {
            let error = text.parse::<BaseUrl>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn key_uris_follow_the_primary_and_the_other_keys() {
        let url: BaseUrl = "https://keys.example.com/drm/".parse().unwrap();
        let id: ContentId = "movie-1".parse().unwrap();
        assert_eq!(url.key_uri(&id, None), "https://keys.example.com/drm/api/key/movie-1");
        assert_eq!(
            url.key_uri(&id, Some(&Kid([0xab; 16]))),
            "https://keys.example.com/drm/api/key/movie-1/abababababababababababababababab"
        );
    }
}
