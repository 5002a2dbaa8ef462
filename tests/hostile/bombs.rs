//! Files made to harm: a few bytes that claim billions. Each is refused at its box, in little memory and time, and
//! nothing is written.

use std::fs::File;

use vylux_pack::isobmff::{Content, FourCc, Node};

use crate::common::{Workspace, fixture, for_each};
use crate::running::limited;

/// A file's name, what the error must name, and its bytes.
type Bomb = (&'static str, &'static str, fn() -> Vec<u8>);

const BOMBS: &[Bomb] = &[
    ("stts-count", "stbl/stts at byte", || {
        in_stbl(*b"stts", |body| set(body, 4, u32::MAX))
    }),
    ("stts-run", "stbl/stts at byte", || {
        in_stbl(*b"stts", |body| set(body, 8, u32::MAX))
    }),
    ("ctts-count", "stbl/ctts at byte", || {
        in_stbl(*b"ctts", |body| set(body, 4, u32::MAX))
    }),
    ("ctts-run", "stbl/ctts at byte", || {
        in_stbl(*b"ctts", |body| set(body, 8, u32::MAX))
    }),
    ("stsc-count", "stbl/stsc at byte", || {
        in_stbl(*b"stsc", |body| set(body, 4, u32::MAX))
    }),
    ("stsc-falls", "chunk numbers do not rise", || {
        in_stbl(*b"stsc", |body| set(body, 20, 0))
    }),
    ("stsc-samples", "stbl/stsc at byte", || {
        in_stbl(*b"stsc", |body| set(body, 12, u32::MAX))
    }),
    ("stsz-count", "stbl/stsz at byte", || {
        in_stbl(*b"stsz", |body| set(body, 8, u32::MAX))
    }),
    ("stsz-size", "stbl at byte", || {
        in_stbl(*b"stsz", |body| set(body, 12, u32::MAX))
    }),
    ("stsz-constant", "a track with more than", || {
        in_stbl(*b"stsz", |body| *body = [0, 1, u32::MAX].map(u32::to_be_bytes).concat())
    }),
    ("stsz-constant-large", "stbl at byte", || {
        in_stbl(*b"stsz", |body| {
            *body = [0, u32::MAX, 1 << 25].map(u32::to_be_bytes).concat();
        })
    }),
    ("stco-count", "stbl/stco at byte", || {
        in_stbl(*b"stco", |body| set(body, 4, u32::MAX))
    }),
    ("stco-far", "stbl at byte", || {
        in_stbl(*b"stco", |body| set(body, 8, u32::MAX))
    }),
    ("stss-count", "stbl/stss at byte", || {
        in_stbl(*b"stss", |body| set(body, 4, u32::MAX))
    }),
    ("elst-count", "edts/elst at byte", || {
        in_elst(|body| set(body, 4, u32::MAX))
    }),
    ("elst-before", "starts before its media", || {
        in_elst(|body| set(body, 12, 0x8000_0000))
    }),
    ("elst-far", "2^62", || in_elst(|body| *body = elst(1, &[(0, i64::MAX)]))),
    ("elst-empty", "2^62", || {
        in_elst(|body| *body = elst(1, &[(u64::MAX, -1), (0, 0)]))
    }),
    ("elst-empty-scaled", "2^62", || {
        in_elst(|body| *body = elst(1, &[(1 << 61, -1), (0, 0)]))
    }),
    ("mvhd-timescale", "timescale of 0", || {
        edit(PROGRESSIVE, &[b"moov", b"mvhd"], |body| set(body, 12, 0))
    }),
    ("mdhd-timescale", "mdia/mdhd at byte", || {
        edit(PROGRESSIVE, &[b"moov", b"trak", b"mdia", b"mdhd"], |body| {
            set(body, 12, 0);
        })
    }),
    ("nal-length", "sample 1 at", || {
        edit(PROGRESSIVE, &[b"mdat"], |body| set(body, 0, u32::MAX))
    }),
    ("avcc-empty", "avc1/avcC at byte", || in_avcc(Vec::clear)),
    ("sps-frame-num", "log2_max_frame_num_minus4", || {
        in_avcc(|body| *body = avcc(&sps(&[20]), &[]))
    }),
    ("sps-order", "ends too early", || {
        in_avcc(|body| *body = avcc(&sps(&[0, 1]), &[]))
    }),
    ("sps-width", "macroblocks", || {
        in_avcc(|body| *body = avcc(&sps(&[0, 2, 0, FLAG, u32::MAX - 2, u32::MAX - 2]), &[]))
    }),
    ("pps-groups", "ends too early", || {
        in_avcc(|body| *body = avcc(&[], &pps(&[0, 0, FLAG, FLAG, 7, 6, u32::MAX - 1])))
    }),
    ("esds-length", "esds at byte", || {
        edit("aac-mono.mp4", ESDS, |body| {
            body.iter_mut().skip(5).take(4).for_each(|byte| *byte = 0xff);
        })
    }),
    ("esds-empty", "esds at byte", || {
        edit("aac-mono.mp4", ESDS, |body| body.truncate(5))
    }),
    ("trun-count", "traf/trun at byte", || {
        in_moof(&[b"traf", b"trun"], |body| set(body, 4, u32::MAX))
    }),
    ("trun-bare-count", "traf/trun at byte", || {
        in_moof(&[b"traf", b"trun"], |body| *body = bare_trun(u32::MAX))
    }),
    ("trun-bare", "without any fields or data", || {
        in_moof(&[b"traf"], |traf| *traf = bare_traf(0))
    }),
    ("trun-bare-data", "not inside one 'mdat'", || {
        in_moof(&[b"traf"], |traf| *traf = bare_traf(1 << 20))
    }),
    ("trun-offset", "traf/trun at byte", || {
        in_moof(&[b"traf", b"trun"], |body| set(body, 8, 0x8000_0000))
    }),
    ("tfhd-track", "traf/tfhd at byte", || {
        in_moof(&[b"traf", b"tfhd"], |body| set(body, 4, 77))
    }),
    ("tfdt-far", "2^62", || {
        in_moof(&[b"traf", b"tfdt"], |body| *body = tfdt(u64::MAX))
    }),
    ("trex-track", "mvex/trex at byte", || {
        edit(FRAGMENTED, &[b"moov", b"mvex", b"trex"], |body| set(body, 4, 77))
    }),
    ("sidx-far", "sidx at byte", || {
        edit("fragmented-sidx.mp4", &[b"sidx"], |body| set(body, 20, u32::MAX))
    }),
    ("moov-twice", "a second movie box", || {
        let mut nodes = std::fs::read(fixture(PROGRESSIVE)).unwrap();
        nodes.extend(top_box(PROGRESSIVE, *b"moov"));
        nodes
    }),
    ("moov-2-gb", "moov at byte", || {
        [&0x7fff_ffff_u32.to_be_bytes()[..], b"moov", &[0; 100]].concat()
    }),
    ("moov-huge", "moov at byte", || {
        [&1_u32.to_be_bytes()[..], b"moov", &u64::MAX.to_be_bytes()].concat()
    }),
    ("moov-small", "moov at byte", || {
        [&1_u32.to_be_bytes()[..], b"moov", &15_u64.to_be_bytes(), &[0; 9]].concat()
    }),
    ("moov-deep", "deeper than", || nested(10_000)),
    ("moov-wide", "more than 200000 boxes", || {
        leaf(*b"moov", &leaf(*b"free", &[]).repeat(300_000))
    }),
    ("size-0-inside", "smaller than its own header", || {
        let mut moov = top_box(PROGRESSIVE, *b"moov");
        let at = moov.windows(4).position(|kind| kind == b"mdia").unwrap();
        set(&mut moov, at - 4, 0);
        [top_box(PROGRESSIVE, *b"ftyp"), moov].concat()
    }),
    ("tracks-sharing", "share media data", || tracks(900)),
    ("tracks-many", "more than 1024 tracks", || tracks(1100)),
    ("chunks-sharing", "truncated or damaged", || {
        // Every sample is as large as the file, and lies at its start.
        in_stbl(*b"stsz", |body| {
            let count = u32::from_be_bytes(body[8..12].try_into().unwrap());
            *body = [0, 20_000, count].map(u32::to_be_bytes).concat();
        })
    }),
];

const PROGRESSIVE: &str = "progressive-moov-end.mp4";
const FRAGMENTED: &str = "fragmented.mp4";
const ESDS: &[&[u8; 4]] = &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a", b"esds"];

#[test]
fn each_is_refused_where_it_is_wrong() {
    let names: Vec<String> = BOMBS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    for_each(&names, |name| {
        let (_, expected, make) = BOMBS.iter().find(|(bomb, ..)| *bomb == name).unwrap();
        let workspace = Workspace::new();
        std::fs::write(workspace.path("bomb.mp4"), make()).unwrap();
        let output = limited(
            &workspace,
            &["encrypt", "bomb.mp4", "--content-id", "bomb", "--no-store"],
        );
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(3) || !error.contains(expected) || !error.contains(" byte ") {
            return Err(format!("{}, expected 3 and \"{expected}\": {error}", output.status));
        }
        if std::fs::read_dir(workspace.path("out")).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err("something was written".to_owned());
        }
        // Inspecting it tells more than refusing it, at no more cost.
        let output = limited(&workspace, &["inspect", "bomb.mp4", "--json"]);
        match output.status.code() {
            Some(0 | 3) => Ok(()),
            _ => Err(format!(
                "inspect: {}, {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    });
}

/// A sparse file of 2 GB that is a movie box: there, and still too much to read.
#[test]
fn a_movie_box_of_two_gigabytes_is_not_read() {
    let workspace = Workspace::new();
    let path = workspace.path("bomb.mp4");
    std::fs::write(&path, [&0x7fff_ffff_u32.to_be_bytes()[..], b"moov"].concat()).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0x7fff_ffff)
        .unwrap();
    let output = limited(
        &workspace,
        &["encrypt", "bomb.mp4", "--content-id", "bomb", "--no-store"],
    );
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("moov at byte 0: more than 268435456 bytes"), "{error}");
}

/// A pause of a hundred years in the audio is no hundred years of segments.
#[test]
fn an_endless_pause_ends() {
    let workspace = Workspace::new();
    let mut nodes = std::fs::read(fixture("aac-fragmented.mp4")).unwrap();
    let last = nodes.windows(4).rposition(|kind| kind == b"tfdt").unwrap();
    assert_eq!(nodes[last + 4], 1, "64 bits");
    nodes[last + 8..last + 16].copy_from_slice(&(1_u64 << 61).to_be_bytes());
    std::fs::write(workspace.path("pause.mp4"), nodes).unwrap();
    let output = limited(
        &workspace,
        &["encrypt", "pause.mp4", "--content-id", "pause", "--no-store"],
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A fixture with one box changed: the first down a path of types.
fn edit(name: &str, path: &[&[u8; 4]], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let data = std::fs::read(fixture(name)).unwrap();
    let mut nodes = Node::parse_all(&data, 0).unwrap();
    let (top, below) = path.split_first().unwrap();
    let node = nodes.iter_mut().find(|node| node.kind.0 == **top).unwrap();
    let node = node.descend_mut(below).unwrap();
    let mut content = Vec::new();
    node.write(&mut content);
    content.drain(..8);
    change(&mut content);
    node.content = Content::Leaf(content.into());
    let mut written = Vec::new();
    for node in nodes {
        node.write(&mut written);
    }
    written
}

fn in_stbl(kind: [u8; 4], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    edit(
        PROGRESSIVE,
        &[b"moov", b"trak", b"mdia", b"minf", b"stbl", &kind],
        change,
    )
}

fn in_elst(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    edit(PROGRESSIVE, &[b"moov", b"trak", b"edts", b"elst"], change)
}

fn in_avcc(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let path: &[&[u8; 4]] = &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1", b"avcC"];
    edit(PROGRESSIVE, path, change)
}

fn in_moof(path: &[&[u8; 4]], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    edit(FRAGMENTED, &[&[b"moof"], path].concat(), change)
}

fn set(body: &mut [u8], at: usize, value: u32) {
    body[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn leaf(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Node::leaf(FourCc(kind), payload.to_vec()).write(&mut out);
    out
}

/// A box at the top of a fixture.
fn top_box(name: &str, kind: [u8; 4]) -> Vec<u8> {
    let data = std::fs::read(fixture(name)).unwrap();
    let nodes = Node::parse_all(&data, 0).unwrap();
    let mut out = Vec::new();
    nodes.iter().find(|node| node.kind.0 == kind).unwrap().write(&mut out);
    out
}

/// Containers inside each other.
fn nested(depth: u32) -> Vec<u8> {
    let boxes = (0..depth).rev();
    boxes
        .flat_map(|inner| [&(8 * (inner + 1)).to_be_bytes()[..], b"moov"].concat())
        .collect()
}

/// A film of so many tracks, all of the same media data.
fn tracks(count: u32) -> Vec<u8> {
    let data = std::fs::read(fixture(PROGRESSIVE)).unwrap();
    let mut nodes = Node::parse_all(&data, 0).unwrap();
    let moov = nodes.iter_mut().find(|node| node.kind.0 == *b"moov").unwrap();
    let children = moov.children_mut().unwrap();
    let trak = children.iter().find(|child| child.kind.0 == *b"trak").unwrap().clone();
    children.retain(|child| child.kind.0 != *b"trak");
    for id in 1..=count {
        let mut trak = trak.clone();
        let tkhd = trak.descend_mut(&[b"tkhd"]).unwrap();
        let mut payload = tkhd.fields().to_vec();
        set(&mut payload, 12, id);
        tkhd.content = Content::Leaf(payload.into());
        children.push(trak);
    }
    let mut out = Vec::new();
    for node in nodes {
        node.write(&mut out);
    }
    out
}

/// `elst` of edits of a length and a media time, at normal speed.
fn elst(version: u8, edits: &[(u64, i64)]) -> Vec<u8> {
    let mut body = vec![version, 0, 0, 0];
    body.extend(u32::try_from(edits.len()).unwrap().to_be_bytes());
    for (duration, media_time) in edits {
        body.extend(duration.to_be_bytes());
        body.extend(media_time.to_be_bytes());
        body.extend([0, 1, 0, 0]);
    }
    body
}

fn tfdt(time: u64) -> Vec<u8> {
    [&[1, 0, 0, 0][..], &time.to_be_bytes()].concat()
}

/// `trun` without fields.
fn bare_trun(samples: u32) -> Vec<u8> {
    [[0; 4], samples.to_be_bytes()].concat()
}

/// `traf` of a hundred runs of a million samples of `size` bytes.
fn bare_traf(size: u32) -> Vec<u8> {
    const DEFAULT_SAMPLE_SIZE: u32 = 0x10;
    let tfhd = [DEFAULT_SAMPLE_SIZE, 1, size].map(u32::to_be_bytes).concat();
    [leaf(*b"tfhd", &tfhd), leaf(*b"trun", &bare_trun(1 << 20)).repeat(100)].concat()
}

/// `avcC` with these parameter sets.
fn avcc(sps: &[u8], pps: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 66, 0, 30, 0xff];
    for set in [sps, pps] {
        body.push(u8::from(!set.is_empty()));
        if !set.is_empty() {
            body.extend(u16::try_from(set.len()).unwrap().to_be_bytes());
            body.extend(set);
        }
    }
    body
}

/// Among Exp-Golomb codes, one bit that is zero.
const FLAG: u32 = u32::MAX;

/// A sequence parameter set of Baseline profile that ends behind these codes.
fn sps(codes: &[u32]) -> Vec<u8> {
    [&[0x67, 66, 0, 30][..], &exp_golomb(&[&[0], codes].concat())].concat()
}

/// A picture parameter set that ends behind these codes.
fn pps(codes: &[u32]) -> Vec<u8> {
    [&[0x68][..], &exp_golomb(codes)].concat()
}

/// Unsigned Exp-Golomb codes (ISO/IEC 14496-10, 9.1), filled up with zeros.
fn exp_golomb(codes: &[u32]) -> Vec<u8> {
    let mut bits = String::new();
    for code in codes {
        if *code == FLAG {
            bits.push('0');
        } else {
            let code = format!("{:b}", u64::from(*code) + 1);
            bits.extend(std::iter::repeat_n('0', code.len() - 1));
            bits.push_str(&code);
        }
    }
    let bytes = bits.as_bytes().chunks(8);
    let bytes = bytes.map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')) << (8 - byte.len()));
    // Emulation prevention, as zeros are frequent here.
    let mut out: Vec<u8> = Vec::new();
    for byte in bytes {
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}
