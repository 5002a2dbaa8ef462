//! What came of each rule.

use std::path::PathBuf;

use serde::Serialize;

use super::REVISION;
use super::presentation::{At, Presentation};
use super::rules::{Level, RULES, Rule};

/// At most this many places are kept of a rule; the others are counted. A wrong option may break a rule in each segment.
pub const MAX_PLACES: usize = 20;

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A rule that must be kept is broken.
    Fail,
    /// A rule that should be kept is not.
    Warn,
    /// It is kept wherever it speaks of something.
    Pass,
    /// There is nothing that it speaks of.
    NotApplicable,
    /// It speaks of something that can't be looked into.
    NotChecked,
}

/// Where a rule is broken.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// Relative to the presentation's folder.
    pub file: PathBuf,
    /// The line of a playlist; the first is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What was found.
    pub found: String,
    /// What to do.
    pub action: String,
}

/// A rule, and what came of it.
#[derive(Debug, Serialize)]
pub struct RuleReport {
    /// Its number in the specification, or `RFC 8216bis` and a section.
    pub id: &'static str,
    /// Whether it must or should be kept.
    pub level: Level,
    /// What it asks for, in short.
    pub statement: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// Where it is broken: the first `MAX_PLACES`.
    pub places: Vec<Place>,
    /// In how many places it is broken.
    pub place_count: usize,
    /// What of it was not checked, and why: the first `MAX_PLACES`.
    pub not_checked: Vec<String>,
}

/// How many rules came out how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// [`Verdict::Fail`].
    pub fail: usize,
    /// [`Verdict::Warn`].
    pub warn: usize,
    /// [`Verdict::Pass`].
    pub pass: usize,
    /// [`Verdict::NotApplicable`].
    pub not_applicable: usize,
    /// [`Verdict::NotChecked`].
    pub not_checked: usize,
}

/// What came of all rules.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The playlist that the presentation begins with.
    pub playlist: PathBuf,
    /// Which revision of the specification the rules are of.
    pub revision: &'static str,
    /// Whether no rule failed.
    pub ok: bool,
    /// How many rules came out how.
    pub counts: Counts,
    /// All rules, in the specification's order.
    pub rules: Vec<RuleReport>,
}

impl Report {
    pub(super) fn of(presentation: &Presentation) -> Self {
        let rules: Vec<RuleReport> = RULES.iter().map(|rule| RuleReport::of(rule, presentation)).collect();
        let mut counts = Counts::default();
        for rule in &rules {
            *match rule.verdict {
                Verdict::Fail => &mut counts.fail,
                Verdict::Warn => &mut counts.warn,
                Verdict::Pass => &mut counts.pass,
                Verdict::NotApplicable => &mut counts.not_applicable,
                Verdict::NotChecked => &mut counts.not_checked,
            } += 1;
        }
        Self {
            playlist: presentation.path(),
            revision: REVISION,
            ok: counts.fail == 0,
            counts,
            rules,
        }
    }
}

impl RuleReport {
    fn of(rule: &Rule, presentation: &Presentation) -> Self {
        let mut outcome = Outcome::default();
        (rule.check)(presentation, &mut outcome);
        let verdict = match (outcome.place_count, rule.level) {
            (1.., Level::Must) => Verdict::Fail,
            (1.., Level::Should) => Verdict::Warn,
            (0, _) if !outcome.not_checked.is_empty() => Verdict::NotChecked,
            (0, _) if outcome.has_looked => Verdict::Pass,
            (0, _) => Verdict::NotApplicable,
        };
        Self {
            id: rule.id,
            level: rule.level,
            statement: rule.statement,
            verdict,
            places: outcome.places,
            place_count: outcome.place_count,
            not_checked: outcome.not_checked,
        }
    }
}

/// What a rule finds.
#[derive(Default)]
pub(super) struct Outcome {
    has_looked: bool,
    places: Vec<Place>,
    place_count: usize,
    not_checked: Vec<String>,
}

impl Outcome {
    /// The rule speaks of something that is here, and was looked at.
    pub const fn look(&mut self) {
        self.has_looked = true;
    }

    /// Looks at a place where the rule is kept if `holds`; else says what was found and what to do.
    pub fn expect(&mut self, holds: bool, at: At<'_>, found: impl Into<String>, action: impl Into<String>) {
        self.has_looked = true;
        if holds {
            return;
        }
        self.place_count += 1;
        if self.places.len() < MAX_PLACES {
            self.places.push(Place {
                file: at.file.to_owned(),
                line: at.line,
                found: found.into(),
                action: action.into(),
            });
        }
    }

    /// The rule speaks of something that can't be looked into.
    pub fn skip(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.not_checked.len() < MAX_PLACES && !self.not_checked.contains(&what) {
            self.not_checked.push(what);
        }
    }
}
