//! `vylux-pack verify --apple`: anybody's HLS output against what Apple's players ask for.

mod sarif;

use std::io;
use std::path::Path;

use anyhow::anyhow;
use vylux_pack::verify::apple::{self, AppleError, Counts, Report, RuleReport, Verdict};

use super::super::failure::Failure;
use super::super::output::{self, report as print};

/// How the report is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Sarif,
    Nothing,
}

pub fn run(path: &Path, format: Format) -> Result<(), Failure> {
    let report = apple::check(path)?;
    match format {
        Format::Text => print_report(&report)?,
        Format::Json => output::json(&report)?,
        Format::Sarif => output::json(&sarif::log(&report))?,
        Format::Nothing => {}
    }
    match report.rules.iter().find(|rule| rule.verdict == Verdict::Fail) {
        None => Ok(()),
        Some(first) => {
            let (playlist, count) = (report.playlist.display(), report.counts.fail);
            let plural = if count == 1 { "" } else { "s" };
            Err(Failure::different(anyhow!(
                "{playlist} breaks {count} rule{plural}; the first is {}: {}",
                first.id,
                first.statement
            )))
        }
    }
}

impl From<AppleError> for Failure {
    fn from(error: AppleError) -> Self {
        Self::input(error)
    }
}

/// For a person: each rule, and where it is broken.
fn print_report(report: &Report) -> io::Result<()> {
    let Counts {
        fail,
        warn,
        pass,
        not_applicable,
        not_checked,
    } = report.counts;
    print!("{}", report.playlist.display())?;
    print!(
        "Apple's HLS authoring specification of {}, and RFC 8216bis",
        report.revision
    )?;
    print!(
        "  {fail} failed, {warn} warned, {pass} passed, {not_checked} not checked, {not_applicable} not applicable"
    )?;
    for rule in &report.rules {
        print_rule(rule)?;
    }
    Ok(())
}

fn print_rule(rule: &RuleReport) -> io::Result<()> {
    let verdict = match rule.verdict {
        Verdict::Fail => "FAIL",
        Verdict::Warn => "warn",
        Verdict::Pass => "pass",
        Verdict::NotApplicable => "n/a",
        Verdict::NotChecked => "not checked",
    };
    print!("{verdict:<5} {}  {}", rule.id, rule.statement)?;
    for place in &rule.places {
        let line = place.line.map_or_else(String::new, |line| format!(", line {line}"));
        print!(
            "        {}{line}: {}; {}",
            place.file.display(),
            place.found,
            place.action
        )?;
    }
    let left_out = rule.place_count.saturating_sub(rule.places.len());
    if left_out > 0 {
        print!("        and {left_out} more")?;
    }
    for what in &rule.not_checked {
        print!("        not checked: {what}")?;
    }
    Ok(())
}
