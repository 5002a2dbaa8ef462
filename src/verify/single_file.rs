//! A rendition in one file: its ranges side by side, and its index against its segments (ISO/IEC 14496-12, 8.16.3).

use std::path::Path;

use super::VerifyError;
use super::check::SegmentFacts;
use super::findings::{FileFindings, Findings};
use super::output::{Rendition, read_file};
use crate::isobmff::Node;
use crate::isobmff::TypedBox;
use crate::isobmff::sidx::{Reference, SegmentIndex};

/// Checks the index of a rendition that is one file; others have none.
///
/// # Errors
/// [`VerifyError::Read`].
pub fn check(
    folder: &Path,
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let Some((init_file, init_range)) = rendition.single_file() else {
        return Ok(());
    };
    let Some(first) = rendition.segments.first().and_then(|segment| segment.range.as_ref()) else {
        return Ok(());
    };
    if first.start < init_range.end {
        findings
            .of(init_file)
            .add("the first segment begins within the init segment");
        return Ok(());
    }
    let Some(data) = read_file(folder, init_file, Some(init_range.end..first.start))? else {
        return Ok(());
    };
    let mut file = findings.of_range(init_file, init_range.end);
    let read = |node: Node<'_>| node.read(SegmentIndex::parse).map(|index| (node.kind, index));
    match Node::parse_one(&data, 0).and_then(read) {
        Ok((kind, _)) if kind != SegmentIndex::TYPE => file.add(format!("the box '{kind}', where 'sidx' is expected")),
        Ok((_, index)) => check_index(&index, rendition, facts, &mut file),
        Err(error) => file.add(format!(
            "no index of one box 'sidx' between init segment and segments: {error}"
        )),
    }
    Ok(())
}

fn check_index(
    index: &SegmentIndex,
    rendition: &Rendition,
    facts: &[Option<SegmentFacts>],
    file: &mut FileFindings<'_>,
) {
    let Some(init) = rendition.init() else { return };
    file.expect_at(0, "reference_ID of sidx", &index.reference_id, &init.track_id);
    file.expect_at(0, "the timescale of sidx", &index.timescale, &init.timescale.get());
    file.expect_at(0, "first_offset of sidx", &index.first_offset, &0);
    if index.references.len() != rendition.segments.len() {
        let (references, segments) = (index.references.len(), rendition.segments.len());
        file.add(format!(
            "sidx has {references} references, and there are {segments} segments"
        ));
    }
    // A damaged segment leaves unknown what its index should say.
    let Some(facts) = facts.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else {
        return;
    };
    // In the time of the movie, as the edit list leaves it, which has nothing in front of zero.
    let first = facts.first().map_or(0, |facts| facts.earliest_ticks.max(0));
    let earliest = i64::try_from(index.earliest_presentation_time).unwrap_or(i64::MAX);
    file.expect_at(0, "earliest_presentation_time of sidx", &earliest, &first);
    // Where a segment is shown no later than the one before, the plan's time stands in the index.
    let is_in_order = facts.is_sorted_by(|before, next| before.earliest_ticks < next.earliest_ticks);
    let ends = facts.iter().skip(1).map(|facts| facts.earliest_ticks);
    let ends = ends.chain(facts.iter().map(|facts| facts.latest_end_ticks).max());
    for (number, (((reference, segment), facts), end)) in
        (1..).zip(index.references.iter().zip(&rendition.segments).zip(&facts).zip(ends))
    {
        let Reference {
            is_index,
            size,
            duration_ticks,
            stream_access_point,
        } = *reference;
        let name = |what: &str| format!("{what} of reference {number} of sidx");
        file.expect_at(0, &name("reference_type"), &is_index, &false);
        file.expect_at(0, &name("referenced_size"), &Some(u64::from(size)), &segment.bytes);
        if !is_in_order {
            continue;
        }
        let lasts = end.max(0).saturating_sub(facts.earliest_ticks.max(0));
        file.expect_at(0, &name("subsegment_duration"), &i64::from(duration_ticks), &lasts);
        let is_independent = facts.first.is_sync() && facts.refers_back.is_none();
        let shown = facts.first.composition_ticks().saturating_add(init.shift.ticks);
        let expected = match (is_independent, shown == facts.earliest_ticks) {
            (true, true) => Reference::access_point(1),
            (true, false) => Reference::access_point(2),
            (false, _) => 0,
        };
        file.expect_at(0, &name("the stream access point"), &stream_access_point, &expected);
    }
}
