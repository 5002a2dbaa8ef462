//! Representations that a player may switch between (5.3.3).

use std::io;

use quick_xml::events::BytesText;

use super::descriptor::ROLE;
use super::representation::{Representation, Segments};
use super::{Xml, content_protection, descriptor};
use crate::codec::{Captions, VideoRange};
use crate::content_key::Kid;
use crate::media::{MediaKind, Time, language};
use crate::package::{CaptionsLabels, WrittenRendition};
use crate::protect::Protection;

/// `CHARACTERISTICS` of HLS that have a word in DASH.
const DESCRIBES_VIDEO: &str = "public.accessibility.describes-video";
const TRANSCRIBES_DIALOG: &str = "public.accessibility.transcribes-spoken-dialog";

/// Says which other sets a player may switch to (5.3.3.5).
const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";

/// Representations of the same [`Form`] and the same key.
pub struct AdaptationSet<'a> {
    form: Form<'a>,
    key: Option<Kid>,
    representations: Vec<Representation<'a>>,
}

/// What representations have in common that a player may switch between.
#[derive(PartialEq, Eq)]
struct Form<'a> {
    kind: MediaKind,
    /// Of video, the sample entry type: profiles and levels are qualities.
    codec: String,
    range: Option<VideoRange>,
    supplemental_codecs: Option<String>,
    channels: Option<String>,
    said: Said<'a>,
}

/// What people are told.
#[derive(PartialEq, Eq, Clone, Copy)]
pub struct Said<'a> {
    language: Option<&'a str>,
    name: Option<&'a str>,
    characteristics: &'a [String],
    is_forced: bool,
}

impl<'a> Form<'a> {
    fn of(representation: &Representation<'a>) -> Self {
        let media = representation.media;
        let (track, labels) = (media.track(), media.labels());
        let codec = track.map_or_else(String::new, |track| track.codec.rfc6381());
        Self {
            kind: media.kind(),
            codec: match (media.kind(), codec.split_once('.')) {
                (MediaKind::Video, Some((entry, _))) => entry.to_owned(),
                _ => codec,
            },
            range: track.map(|track| track.video_range),
            supplemental_codecs: track.and_then(|track| track.codec.supplemental_codecs()),
            channels: track.and_then(|track| track.codec.hls_channels()),
            said: Said {
                language: media.language(),
                name: labels.name.as_deref(),
                characteristics: &labels.characteristics,
                is_forced: labels.is_forced,
            },
        }
    }
}

impl<'a> AdaptationSet<'a> {
    /// Sets in the order of their first representations.
    pub fn all(representations: impl Iterator<Item = Representation<'a>>) -> Vec<Self> {
        let mut sets: Vec<Self> = Vec::new();
        for representation in representations {
            let form = Form::of(&representation);
            let key = representation.protection.map(|keyed| keyed.protection.kid());
            match sets.iter_mut().find(|set| set.form == form && set.key == key) {
                Some(set) => set.representations.push(representation),
                None => sets.push(Self {
                    form,
                    key,
                    representations: vec![representation],
                }),
            }
        }
        sets
    }

    /// What is said of the audio that is played where nobody chooses: the one of `DEFAULT=YES`, or else the first.
    pub fn default_audio(sets: &[Self]) -> Option<Said<'a>> {
        let audios = || sets.iter().filter(|set| set.form.kind == MediaKind::Audio);
        let default = audios().find(|set| set.has_default());
        default.or_else(|| audios().next()).map(|set| set.form.said)
    }

    /// Whether a player may go on in `other`, which differs from it in nothing but the key.
    pub fn switches_to(&self, other: &Self) -> bool {
        let first = |set: &Self| set.representations.first().map(|of| of.timeline);
        self.form == other.form
            && self.key != other.key
            && [self, other].iter().all(|set| set.is_aligned())
            && first(self) == first(other)
    }

    /// Writes it under an ID, with the IDs of those that it [switches to](Self::switches_to); `default` is what
    /// [`Self::default_audio`] says, and `captions` what was chosen of captions.
    pub fn write(
        &self,
        xml: &mut Xml,
        (id, others): (u32, &[String]),
        (default, captions): (Option<Said<'_>>, &[CaptionsLabels]),
        licence_url: Option<&str>,
    ) -> io::Result<()> {
        let content_type = match self.form.kind {
            MediaKind::Video => "video",
            MediaKind::Audio => "audio",
            MediaKind::Text => "text",
        };
        let is_mp4 = !self.form.codec.is_empty();
        let mime_type = match self.form.kind {
            _ if !is_mp4 => "text/vtt",
            MediaKind::Video => "video/mp4",
            MediaKind::Audio => "audio/mp4",
            MediaKind::Text => "application/mp4",
        };
        let mut element = xml
            .create_element("AdaptationSet")
            .with_attribute(("id", &*id.to_string()))
            .with_attribute(("contentType", content_type))
            .with_attribute(("mimeType", mime_type));
        if let Some(language) = self.form.said.language {
            element = element.with_attribute(("lang", language));
        }
        // Of segments that an index tells apart, the same is said by other names (5.3.3.2).
        let is_indexed = self
            .representations
            .iter()
            .any(|of| matches!(of.segments, Segments::Single(_)));
        let (alignment, starts) = if is_indexed {
            ("subsegmentAlignment", "subsegmentStartsWithSAP")
        } else {
            ("segmentAlignment", "startWithSAP")
        };
        if self.is_aligned() {
            element = element.with_attribute((alignment, "true"));
        }
        if let Some(sap) = self.start_with_sap() {
            element = element.with_attribute((starts, sap));
        }
        // A template that is alike in all stands here once.
        let template = self.representations.first().and_then(|first| match &first.segments {
            Segments::Files(template) => Some(template),
            Segments::Single(_) => None,
        });
        let has_template = |of: &Representation<'_>| match &of.segments {
            Segments::Files(of) => Some(of) == template,
            Segments::Single(_) => false,
        };
        let template = template.filter(|_| self.representations.iter().all(has_template));
        element.write_inner_content(|xml| {
            self.write_protection(xml, licence_url)?;
            self.write_range(xml)?;
            if !others.is_empty() {
                descriptor::write(xml, "SupplementalProperty", SWITCHING, &others.join(","))?;
            }
            if let Some(name) = self.form.said.name {
                xml.create_element("Label").write_text_content(BytesText::new(name))?;
            }
            self.write_accessibility(xml, captions)?;
            for role in self.roles(default) {
                descriptor::write(xml, "Role", ROLE, role)?;
            }
            if let Some(template) = template {
                template.write(xml)?;
            }
            for representation in &self.representations {
                representation.write(xml, template.is_none())?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn has_default(&self) -> bool {
        let mut labels = self.representations.iter().map(|of| of.media.labels());
        labels.any(|labels| labels.is_default == Some(true))
    }

    /// Whether segments of all begin and end at the same times.
    fn is_aligned(&self) -> bool {
        let mut timelines = self.representations.iter().map(|of| of.timeline);
        let first: &[Time] = timelines.next().unwrap_or_default();
        timelines.all(|timeline| timeline == first)
    }

    /// What each segment begins with (ISO/IEC 14496-12, annex I): pictures may be decoded behind its first one and shown in front
    /// of it, but need none of the segment before.
    fn start_with_sap(&self) -> Option<&'static str> {
        let mut written = self.representations.iter().map(|of| of.written);
        let sap = if self.form.kind == MediaKind::Video { "2" } else { "1" };
        written.all(WrittenRendition::has_independent_segments).then_some(sap)
    }

    fn write_protection(&self, xml: &mut Xml, licence_url: Option<&str>) -> io::Result<()> {
        let mut protections = self.representations.iter().filter_map(|of| of.protection);
        match protections.find_map(|keyed| Protection::of_samples(keyed.protection)) {
            None => Ok(()),
            Some(protection) => content_protection::write(xml, protection, licence_url),
        }
    }

    /// The range of brightness, where it is not the standard one (ISO/IEC 23091-2, 8.2).
    fn write_range(&self, xml: &mut Xml) -> io::Result<()> {
        let value = match self.form.range {
            Some(VideoRange::Pq) => "16",
            Some(VideoRange::Hlg) => "18",
            Some(VideoRange::Sdr) | None => return Ok(()),
        };
        let scheme = "urn:mpeg:mpegB:cicp:TransferCharacteristics";
        descriptor::write(xml, "SupplementalProperty", scheme, value)
    }

    /// Captions inside of video (SCTE 214-1), with languages by ISO 639-2, and what serves those who don't see or hear.
    fn write_accessibility(&self, xml: &mut Xml, chosen: &[CaptionsLabels]) -> io::Result<()> {
        let captions = self.representations.iter().map(|of| of.written.captions);
        let captions = captions.fold(Captions::default(), Captions::and);
        let mut channels = Vec::new();
        let mut services = Vec::new();
        for CaptionsLabels {
            instream_id, language, ..
        } in CaptionsLabels::of(captions, chosen)
        {
            let code = language.as_deref().map_or("und", language::code);
            match instream_id.strip_prefix("SERVICE") {
                Some(number) => services.push(format!("{number}=lang:{code}")),
                None => channels.push(format!("{instream_id}={code}")),
            }
        }
        for (scheme, values) in [
            ("urn:scte:dash:cc:cea-608:2015", channels),
            ("urn:scte:dash:cc:cea-708:2015", services),
        ] {
            if !values.is_empty() {
                descriptor::write(xml, "Accessibility", scheme, &values.join(";"))?;
            }
        }
        if self.has(DESCRIBES_VIDEO) {
            descriptor::write(xml, "Accessibility", ROLE, "description")?;
        }
        if self.has(TRANSCRIBES_DIALOG) {
            descriptor::write(xml, "Accessibility", ROLE, "caption")?;
        }
        Ok(())
    }

    fn has(&self, characteristic: &str) -> bool {
        self.form.said.characteristics.iter().any(|of| of == characteristic)
    }

    /// 5.8.5.5.
    fn roles(&self, default: Option<Said<'_>>) -> Vec<&'static str> {
        let mut roles = Vec::new();
        match self.form.kind {
            MediaKind::Video => roles.push("main"),
            MediaKind::Audio if default == Some(self.form.said) => roles.push("main"),
            MediaKind::Audio => roles.push("alternate"),
            MediaKind::Text => {
                roles.push(match self.form.said.is_forced {
                    true => "forced-subtitle",
                    false if self.has(TRANSCRIBES_DIALOG) => "caption",
                    false => "subtitle",
                });
                if self.has_default() {
                    roles.push("main");
                }
            }
        }
        roles
    }
}
