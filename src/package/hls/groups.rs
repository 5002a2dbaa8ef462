//! Groups of renditions (RFC 8216bis, 4.4.6.1.1): a variant plays one rendition of each group that it names.

use crate::codec::Codec;
use crate::media::{Track, language};
use crate::package::Labels;

/// The group of audio that nobody chose one for, where forms have no groups of their own.
pub const AUDIO_GROUP: &str = "audio";

/// The group of subtitles that nobody chose one for.
const TEXT_GROUP: &str = "text";

/// The group of captions inside of video.
pub const CAPTIONS_GROUP: &str = "captions";

/// An audio rendition in a group.
pub struct AudioMember {
    /// `GROUP-ID`.
    pub group: String,
    /// Which of the renditions it is.
    pub rendition: usize,
    /// The rendition that has its place in the group of the form that is complete: its folder tells members of one language
    /// apart, in all groups by the same name.
    pub same_as: usize,
    /// What is said of it, in all groups the same.
    pub labels: Labels,
}

/// The groups of audio, in order, with all their members: the one that somebody chose for a rendition, else [`AUDIO_GROUP`].
///
/// Where renditions differ in codec or channels, and one form is complete, so has whatever any form has, each form has a group of its
/// own, such as `audio-ec-3-6`: a player changes rendition within a group as it likes, and not all can play every form. What a
/// form lacks is in its group in the form that is complete, for groups must have the same members (RFC 8216bis, 4.4.6.1.1), and what
/// is the default in one form is so in all groups. Where no form is complete, something would be out of reach beside each of them, so
/// all share a group.
///
/// Without video, a group is a variant, and a player changes variants by the network: so what comes twice in one form is in two of
/// them, in the one of the lower bit rate that with the lower one. Where there is nothing to choose there are no groups, and each
/// rendition is a variant.
pub fn audio_groups<'a>(
    renditions: impl Iterator<Item = (&'a Track, &'a Labels)>,
    has_video: bool,
) -> Vec<AudioMember> {
    let renditions: Vec<(&Track, &Labels)> = renditions.collect();
    let forms = Form::all(&renditions, has_video);
    let is_labelled = renditions.iter().any(|(_, labels)| **labels != Labels::default());
    if !has_video && !is_labelled && !Form::leave_a_choice(&forms) {
        return Vec::new();
    }
    let complete = Form::complete(&forms);
    let mut members = Vec::new();
    for (index, (_, labels)) in renditions.iter().enumerate() {
        let alone = |group: &str| AudioMember {
            group: group.to_owned(),
            rendition: index,
            same_as: index,
            labels: (*labels).clone(),
        };
        match (&labels.group, complete) {
            (Some(chosen), _) => members.push(alone(chosen)),
            (None, None) => members.push(alone(AUDIO_GROUP)),
            (None, Some(complete)) => {
                // The whole group stands where its form comes first.
                let form = forms.iter().find(|form| form.begins_with(index));
                members.extend(form.into_iter().flat_map(|form| form.group(complete, &forms)));
            }
        }
    }
    members
}

/// What people are told of a rendition: others with the same are the same in other forms.
#[derive(PartialEq)]
struct Said<'a> {
    language: Option<&'a str>,
    name: Option<String>,
    characteristics: &'a [String],
}

impl<'a> Said<'a> {
    fn of(track: &'a Track, labels: &'a Labels) -> Self {
        let language = track.language.as_deref();
        Self {
            language,
            name: labels.name.clone().or_else(|| language.map(language::name)),
            characteristics: &labels.characteristics,
        }
    }
}

/// A rendition among those of its form.
struct Place<'a> {
    said: Said<'a>,
    /// How many in front of it say the same.
    ordinal: usize,
    rendition: usize,
    labels: &'a Labels,
}

/// Renditions that have codec and channels in common, and that players don't choose between by the network.
struct Form<'a> {
    /// `GROUP-ID` of its group.
    id: String,
    places: Vec<Place<'a>>,
}

impl<'a> Form<'a> {
    /// The forms of what nobody chose a group for, in the order of their first renditions.
    fn all(renditions: &[(&'a Track, &'a Labels)], has_video: bool) -> Vec<Self> {
        let mut forms: Vec<Self> = Vec::new();
        for (rendition, (track, labels)) in renditions.iter().enumerate() {
            if labels.group.is_some() {
                continue;
            }
            let mut id = form_id(&*track.codec);
            let said = Said::of(track, labels);
            if !has_video {
                let alike = renditions
                    .iter()
                    .enumerate()
                    .filter(|(_, (other, labels))| form_id(&*other.codec) == id && Said::of(other, labels) == said);
                let rate = |track: &Track, index: usize| (average_bps(track), index);
                let lower = alike.filter(|(index, (other, _))| rate(other, *index) < rate(track, rendition));
                match lower.count() {
                    0 => {}
                    lower => id = format!("{id}-quality-{}", lower + 1),
                }
            }
            let place = Place {
                said,
                ordinal: 0,
                rendition,
                labels,
            };
            match forms.iter_mut().find(|form| form.id == id) {
                Some(form) => form.add(place),
                None => forms.push(Self {
                    id,
                    places: vec![place],
                }),
            }
        }
        forms
    }

    fn add(&mut self, place: Place<'a>) {
        let ordinal = self.places.iter().filter(|other| other.said == place.said).count();
        self.places.push(Place { ordinal, ..place });
    }

    /// Whether they have more than one rendition for people to choose.
    fn leave_a_choice(forms: &[Self]) -> bool {
        let mut places = forms.iter().flat_map(|form| &form.places);
        let first = places.next();
        places.any(|place| first.is_some_and(|first| first.said != place.said))
    }

    /// The first of several forms that has whatever any has.
    fn complete(forms: &[Self]) -> Option<&Self> {
        let places = || forms.iter().flat_map(|form| &form.places);
        let mut complete = forms
            .iter()
            .filter(|form| places().all(|place| form.find(place).is_some()));
        complete.next().filter(|_| forms.len() > 1)
    }

    fn begins_with(&self, rendition: usize) -> bool {
        self.places.first().is_some_and(|place| place.rendition == rendition)
    }

    /// What is in this form at the place that `wanted` has in another.
    fn find(&self, wanted: &Place<'_>) -> Option<&Place<'a>> {
        let is_wanted = |place: &&Place<'a>| place.ordinal == wanted.ordinal && place.said == wanted.said;
        self.places.iter().find(is_wanted)
    }

    /// Its group, which has from `complete` what this form lacks, in the order in which each place is filled first: so the default one
    /// is the same in all groups.
    fn group(&self, complete: &Self, forms: &[Self]) -> Vec<AudioMember> {
        let member = |place: &Place<'a>| AudioMember {
            group: self.id.clone(),
            rendition: self.find(place).unwrap_or(place).rendition,
            same_as: place.rendition,
            labels: labels_in_all(place, forms),
        };
        let first_filled = |place: &&Place<'_>| {
            let filled = forms.iter().filter_map(|form| form.find(place));
            filled.map(|place| place.rendition).min()
        };
        let mut places: Vec<&Place<'_>> = complete.places.iter().collect();
        places.sort_by_key(first_filled);
        places.into_iter().map(member).collect()
    }
}

/// What is said of a place in all groups: somebody may have said it in one form alone.
fn labels_in_all(place: &Place<'_>, forms: &[Form<'_>]) -> Labels {
    let all = || {
        forms
            .iter()
            .filter_map(|form| form.find(place))
            .map(|place| place.labels)
    };
    let is_default = |wanted| all().any(|labels| labels.is_default == Some(wanted));
    let is_not_autoselected = all().any(|labels| labels.is_autoselected == Some(false));
    let mut labels = place.labels.clone();
    // The default one must be one that players choose by themselves (RFC 8216bis, 4.4.6.1).
    (labels.is_default, labels.is_autoselected) = match (is_default(true), is_default(false)) {
        (true, _) => (Some(true), None),
        (false, is_none) => (is_none.then_some(false), is_not_autoselected.then_some(false)),
    };
    labels
}

/// Codec and channels.
fn form_id(codec: &dyn Codec) -> String {
    let mut id = format!("audio-{}", codec.rfc6381());
    if let Some(channels) = codec.hls_channels() {
        id = format!("{id}-{channels}");
    }
    id.replace(['.', '/'], "-").to_lowercase()
}

/// The average bit rate of a track's samples.
fn average_bps(track: &Track) -> u128 {
    let bits = u128::from(track.samples.bytes()) * 8 * u128::from(track.timescale.get());
    bits / u128::from(track.samples.end_ticks()).max(1)
}

/// The `GROUP-ID` of subtitles.
#[must_use]
pub fn text_group(labels: &Labels) -> &str {
    labels.group.as_deref().unwrap_or(TEXT_GROUP)
}
