//! Finds packaged media below a folder, for the list that the player page shows.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use m3u8_rs::{AlternativeMediaType, MasterPlaylist, MediaPlaylist};
use serde::Serialize;

use crate::keys::ContentId;

/// The name that the packager gives the playlist of an output.
const MASTER_PLAYLIST: &str = "master.m3u8";

/// Outputs are no deeper below the folder.
const MAX_DEPTH: usize = 6;

/// No more are listed.
const MAX_ASSETS: usize = 1000;

/// Folders that are looked into.
const MAX_FOLDERS: usize = 20_000;

/// A playlist of ten hours has about 300 kB.
const MAX_PLAYLIST_BYTES: u64 = 8 << 20;

/// Something to play.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asset {
    /// Its master playlist, below the folder.
    pub path: String,
    /// The content whose key its playlists ask for; `None` if it is clear.
    pub content_id: Option<ContentId>,
    /// How long it is.
    pub duration_seconds: f32,
    /// Its qualities.
    pub video: Vec<Video>,
    /// Its languages, or whatever its audio renditions are named by.
    pub audio: Vec<String>,
}

/// A quality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Video {
    /// Width in pixels.
    pub width: Option<u64>,
    /// Height in pixels.
    pub height: Option<u64>,
    /// The highest bit rate.
    pub bits_per_second: u64,
}

/// All assets below `root`, sorted by their paths. What can't be read is no asset.
pub fn find(root: &Path) -> Vec<Asset> {
    let mut assets = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    let mut looked_into = 0;
    while let Some((folder, depth)) = folders.pop() {
        looked_into += 1;
        if looked_into > MAX_FOLDERS || assets.len() >= MAX_ASSETS {
            break;
        }
        if let Some(asset) = read(root, &folder) {
            assets.push(asset);
            // An output's own folders hold no others.
            continue;
        }
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // Links are not followed: two of them could make a circle.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !is_hidden && depth < MAX_DEPTH {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    assets.sort_by(|one, other| one.path.cmp(&other.path));
    assets
}

fn read(root: &Path, folder: &Path) -> Option<Asset> {
    let path = folder.join(MASTER_PLAYLIST);
    let (_, master) = m3u8_rs::parse_master_playlist(&text(&path)?).ok()?;
    let media = first_media_playlist(&master, folder)?;
    Some(Asset {
        path: path.strip_prefix(root).ok()?.to_str()?.to_owned(),
        content_id: content_id(&media),
        duration_seconds: media.segments.iter().map(|segment| segment.duration).sum(),
        video: videos(&master),
        audio: audios(&master),
    })
}

fn text(path: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_PLAYLIST_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

fn first_media_playlist(master: &MasterPlaylist, folder: &Path) -> Option<MediaPlaylist> {
    let uri = &master.variants.first()?.uri;
    // The packager writes paths below its folder; another's playlist may name anything.
    let path = Path::new(uri);
    let is_below = path
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let text = text(&is_below.then(|| folder.join(path))?)?;
    m3u8_rs::parse_media_playlist(&text).ok().map(|(_, playlist)| playlist)
}

/// The content of the first key URI: `{BASE_URL}/api/key/{content_id}`, and for some keys their ID behind that.
fn content_id(playlist: &MediaPlaylist) -> Option<ContentId> {
    let mut keys = playlist.segments.iter().filter_map(|segment| segment.key.as_ref());
    let uri = keys.find_map(|key| key.uri.as_deref())?;
    let (_, behind) = uri.split_once("/api/key/")?;
    behind.split('/').next()?.parse().ok()
}

fn videos(master: &MasterPlaylist) -> Vec<Video> {
    let variants = master.variants.iter().filter(|variant| !variant.is_i_frame);
    let video = |variant: &m3u8_rs::VariantStream| Video {
        width: variant.resolution.map(|resolution| resolution.width),
        height: variant.resolution.map(|resolution| resolution.height),
        bits_per_second: variant.bandwidth,
    };
    variants.map(video).collect()
}

fn audios(master: &MasterPlaylist) -> Vec<String> {
    let all = master.alternatives.iter();
    let audio = all.filter(|media| media.media_type == AlternativeMediaType::Audio);
    let mut names: Vec<String> = Vec::new();
    // Each form and quality has them all.
    for name in audio.map(|media| media.language.as_ref().unwrap_or(&media.name)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
