//! `--captions`: what playlists say of captions inside of video, of which media says no more than that they are there.

use std::collections::HashSet;

use anyhow::{Context, anyhow, ensure};
use vylux_pack::codec::Captions;
use vylux_pack::package::{CaptionsLabels, Labels};

use super::failure::Failure;
use super::track_options;

/// What was given, as it stands on the command line.
#[derive(clap::Args)]
pub struct CaptionsOptions {
    /// What playlists say of captions inside of video, e.g. CC1,language=en,name=English
    ///
    /// ID is CC1 to CC4 or SERVICE1 to SERVICE63, as the video carries it. Keys are name, language, default, autoselect and
    /// characteristics, as those of --track.
    #[arg(long = "captions", value_name = "ID,KEY=VALUE...")]
    captions: Vec<String>,
}

impl CaptionsOptions {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.captions.is_empty()
    }

    /// What was given of each.
    pub fn read(&self) -> Result<Vec<CaptionsLabels>, Failure> {
        let mut all: Vec<CaptionsLabels> = Vec::new();
        for text in &self.captions {
            let captions = read(text)
                .with_context(|| format!("--captions {text}"))
                .map_err(Failure::usage)?;
            all.push(captions);
        }
        check(&all).map_err(Failure::usage)?;
        Ok(all)
    }
}

fn read(text: &str) -> anyhow::Result<CaptionsLabels> {
    let (id, options) = text
        .split_once(',')
        .context("expected ID,KEY=VALUE, such as CC1,language=en")?;
    ensure!(
        Captions::is_instream_id(id),
        "'{id}' is none of CC1 to CC4 and SERVICE1 to SERVICE63"
    );
    let (language, labels) = track_options::read(options)?;
    let of_captions = Labels {
        name: labels.name.clone(),
        is_default: labels.is_default,
        is_autoselected: labels.is_autoselected,
        characteristics: labels.characteristics.clone(),
        ..Labels::default()
    };
    ensure!(
        labels == of_captions,
        "captions have the keys name, language, default, autoselect and characteristics alone"
    );
    Ok(CaptionsLabels {
        instream_id: id.to_owned(),
        language,
        labels,
    })
}

/// Refuses what playlists can't say: captions are one group.
fn check(all: &[CaptionsLabels]) -> anyhow::Result<()> {
    let mut ids = HashSet::new();
    for CaptionsLabels { instream_id, .. } in all {
        ensure!(
            ids.insert(instream_id),
            "--captions: {instream_id} stands there twice; put all keys into one"
        );
    }
    let labels = all.iter().map(|captions| ("", &captions.labels));
    track_options::check_group_labels(labels).context("--captions")
}

/// Refuses what is said of captions that no video carries.
pub fn check_carried(chosen: &[CaptionsLabels], carried: Captions) -> Result<(), Failure> {
    let carried: Vec<String> = carried.instream_ids().collect();
    let missing = chosen.iter().find(|of| !carried.contains(&of.instream_id));
    missing.map_or(Ok(()), |CaptionsLabels { instream_id, .. }| {
        let carried = if carried.is_empty() {
            "none".to_owned()
        } else {
            carried.join(", ")
        };
        let what = format!("--captions: no video carries {instream_id}; the captions inside of it are {carried}");
        Err(Failure::usage(anyhow!(what)))
    })
}
