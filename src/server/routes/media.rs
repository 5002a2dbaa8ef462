//! `GET /media/...`: packaged media, as a web server or CDN would send them.
//!
//! Only files that players ask for are sent, known by their names' endings; whatever else lies in the folder (`keys.json`,
//! `.env`, a store) is not there, and neither is what lies outside of it or behind a name with a dot in front.
//!
//! A segment's URL says nothing of its bytes: the same command gives the same bytes under the same names, and only
//! `encrypt --replace` gives others. So caches may keep segments for ever (RFC 8246), and content that is to be replaced
//! under its old URLs has to be purged from them; the `ETag` tells old from new. In development they ask each time.

use std::path::{Path, PathBuf};

use axum::extract::{Path as Captured, Request};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::Routes;
use crate::server::config::Media;
use crate::server::problem::Problem;

/// Whoever has it may use it without asking again (RFC 8246, 2).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Whoever has it asks whether it is still the same (RFC 9111, 5.2.2.4).
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

/// What a file is, and how long it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    media_type: &'static str,
    is_playlist: bool,
}

/// Adds the route.
pub fn add(routes: &mut Routes, media: Media) {
    let answer =
        move |Captured(path): Captured<String>, request: Request| async move { file(&media, &path, request).await };
    routes.add("/media/{*path}", get(answer));
}

async fn file(media: &Media, path: &str, request: Request) -> Response {
    let Some((path, kind)) = find(&media.root, path).await else {
        return Problem::not_found("no-media").into_response();
    };
    let service = match kind.media_type.parse() {
        Ok(media_type) => ServeFile::new_with_mime(path, &media_type),
        Err(_) => ServeFile::new(path),
    };
    let mut response = service.oneshot(request).await.into_response();
    let headers = response.headers_mut();
    let cache = if media.immutable && !kind.is_playlist {
        FOR_EVER
    } else {
        ASK_FIRST
    };
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The file of a decoded URL path, if it is one to be sent.
async fn find(root: &Path, path: &str) -> Option<(PathBuf, Kind)> {
    kind(path)?;
    // Links are followed, and what they lead to is judged like what was asked for.
    let root = tokio::fs::canonicalize(root).await.ok()?;
    let found = tokio::fs::canonicalize(root.join(path)).await.ok()?;
    let kind = kind(found.strip_prefix(&root).ok()?.to_str()?)?;
    let is_file = tokio::fs::metadata(&found).await.ok()?.is_file();
    is_file.then_some((found, kind))
}

/// What a file is, by its path below the folder; `None` if it is none to be sent.
fn kind(path: &str) -> Option<Kind> {
    let names: Vec<&str> = path.split('/').collect();
    let is_plain = |name: &&str| !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', '\0']);
    if !names.iter().all(is_plain) {
        return None;
    }
    // `OUT/audio/{name}/init.mp4`
    let is_audio = names.iter().rev().nth(2) == Some(&"audio");
    let (media_type, is_playlist) = match Path::new(path).extension()?.to_str()? {
        // RFC 8216, 10
        "m3u8" => ("application/vnd.apple.mpegurl", true),
        // ISO/IEC 23009-1, annex C
        "mpd" => ("application/dash+xml", true),
        // RFC 4337
        "mp4" | "m4s" if is_audio => ("audio/mp4", false),
        "mp4" => ("video/mp4", false),
        "m4s" => ("video/iso.segment", false),
        // WebVTT, 7.1
        "vtt" => ("text/vtt", false),
        _ => return None,
    };
    Some(Kind {
        media_type,
        is_playlist,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_of_players_are_known() {
        let media_type = |path| kind(path).map(|kind| kind.media_type);
        assert_eq!(media_type("film/master.m3u8"), Some("application/vnd.apple.mpegurl"));
        assert_eq!(media_type("film/manifest.mpd"), Some("application/dash+xml"));
        assert_eq!(media_type("film/video/360p/init.mp4"), Some("video/mp4"));
        assert_eq!(media_type("film/video/360p/seg_00001.m4s"), Some("video/iso.segment"));
        assert_eq!(media_type("film/audio/en/init.mp4"), Some("audio/mp4"));
        assert_eq!(media_type("audio/video/360p/init.mp4"), Some("video/mp4"));
    }

    #[test]
    fn nothing_else_is() {
        for path in [
            "film/keys.json",
            "film/KEYS.JSON",
            ".env",
            "vylux-pack.db",
            "film/.staging/init.mp4",
            "film/.m3u8",
            "../film/init.mp4",
            "film/../../init.mp4",
            "film/..\\init.mp4",
            "/etc/init.mp4",
            "film//init.mp4",
            "film/",
            "film",
            "",
        ] {
            assert_eq!(kind(path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn links_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("out");
        fs::create_dir(&root).unwrap();
        fs::create_dir(root.join(".hidden")).unwrap();
        for file in ["out/a.mp4", "out/keys.json", "out/.hidden/b.mp4", "outside.mp4"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        for (link, target) in [
            ("inside.mp4", "a.mp4"),
            ("keys.mp4", "keys.json"),
            ("hidden.mp4", ".hidden/b.mp4"),
            ("outside.mp4", "../outside.mp4"),
        ] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        assert!(find(&root, "a.mp4").await.is_some());
        assert!(find(&root, "inside.mp4").await.is_some());
        assert!(find(&root, "keys.mp4").await.is_none());
        assert!(find(&root, "hidden.mp4").await.is_none());
        assert!(find(&root, "outside.mp4").await.is_none());
        assert!(find(&root, "missing.mp4").await.is_none());
    }
}
