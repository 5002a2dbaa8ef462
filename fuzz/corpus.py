#!/usr/bin/env python3
"""Makes the seeds of fuzz/corpus from the fixtures: small, and one of each kind. Standard library only.

Inputs that broke something once are named crash-* and stay as they are.
"""

import json
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
FIXTURES = ROOT.parent / "fixtures" / "media"
CORPUS = ROOT / "corpus"
sys.path.insert(0, str(ROOT.parent / "fixtures" / "tools"))

import mp4  # noqa: E402

# Whole files, small ones that differ in how they are stored.
FILES = """
aac-96k encrypted-cbcs field-pictures-poc1 fragment-per-sample nal-length-1 one-sample one-sample-fragmented
mp3 text-only text-stpp text-wvtt timecode-track
""".split()

# Files whose boxes without media data are seeds of their own.
TREES = """
aac-fragmented base-implied co64 edit-multiple encrypted-cbcs encrypted-cenc fragmented-sidx he-aac-v2-compatible
many-truns one-sample flac stz2 text-track timecode-track two-descriptions unknown-boxes vfr
""".split()

# In the order of BOXES in targets/typed_box.rs.
BOXES = """
avcC co64 ctts elng elst esds frma ftyp hdlr hvcC mdhd mehd mfhd mvhd pssh saio saiz schm sdtp sidx stco stsc stss stsz
stts stz2 tenc tfdt tfhd tkhd trex trun senc alac dac3 dec3 dfLa dOps av1C colr vpcC dac4 ddts udts dvcC sbgp sgpd
""".split()

# Of a typed box, the shortest and longest payload of at most so many bytes.
MAX_PAYLOAD = 512

# H.264: slices, parameter sets in band, fields, sizes of one and two bytes.
AVC = """
avc3-bare cavlc-baseline field-pictures field-pictures-poc1 high422-10-intra interlaced-mbaff nal-length-1
parameter-set-ids slices-42 weighted-cavlc
""".split()

# H.265: parameter sets in band, weights, entry points, slices, formats of chroma.
HEVC = """
hev1-changing hevc hevc-422-10 hevc-gray hevc-nal-length-2 hevc-temporal-layers hevc-wavefront-slices hevc-weighted
""".split()

# Of each so many samples, and of a sample so many bytes.
SAMPLES, SAMPLE_BYTES = 6, 1500

# AV1: tile groups, film grain, sizes from references, switch frames, segments, a reduced header.
AV1 = """
av1 av1-error-resilient av1-global-motion av1-rav1e av1-screen av1-still av1-superres av1-switch-frames av1-tiles
""".split()

# VP9: superframes, tiles, profiles, segments, error resilient frames.
VP9 = """
vp9 vp9-444 vp9-aq vp9-error-resilient vp9-profile-3 vp9-resize vp9-tiles
""".split()

PLAYLIST_OF_RANGES = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MAP:URI="v.mp4",BYTERANGE="878@0"
#EXTINF:2.000,
#EXT-X-BYTERANGE:61334@982
v.mp4
#EXT-X-DISCONTINUITY
#EXT-X-BITRATE:300
#EXTINF:2.000,title
#EXT-X-BYTERANGE:72365
v.mp4
#EXT-X-ENDLIST
"""

PLAYLIST_OF_FILES = """#EXTM3U\r
#EXT-X-TARGETDURATION:4\r
## by hand\r
#EXT-X-MAP:URI="init.mp4"\r
#EXT-X-DATERANGE:ID="ad",START-DATE="2026-01-01T00:00:00Z",X-A="b,c"\r
#EXTINF:4,\r
a%20b/1.m4s\r
#EXTINF:3.96,\r
../2.m4s\r
#EXT-X-ENDLIST\r
"""

MULTIVARIANT = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x, y",URI="a.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="s",URI="s.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="c",INSTREAM-ID="CC1"
#EXT-X-SESSION-DATA:DATA-ID="d",URI="d.json"
#EXT-X-STREAM-INF:BANDWIDTH=362618,AVERAGE-BANDWIDTH=340834,CODECS="avc1.64001e,mp4a.40.2",AUDIO="a"
v.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=38092,URI="i.m3u8"
"""

ENTRY_FIELDS = {"avc1": 78, "avc3": 78, "av01": 78, "vp09": 78, "hvc1": 78, "hev1": 78, "dvh1": 78, "dvhe": 78, "encv": 78, "mp4a": 28, "enca": 28, "ac-3": 28, "ec-3": 28, "ac-4": 28, "dtsc": 28, "dtsx": 28, "Opus": 28, "fLaC": 28, "alac": 28}


def boxes(data):
    """All boxes in `data`, as (type, payload), those in sample entries and sinf too."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1:
            size, header = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = size or len(data) - at
        kind, body = kind.decode("latin-1"), data[at + header : at + size]
        yield kind, body
        if kind.encode() in mp4.CONTAINERS or kind in ("sinf", "schi"):
            yield from boxes(body)
        elif kind in ("stsd", "dref"):
            yield from boxes(body[8:])
        elif kind in ENTRY_FIELDS:
            yield from boxes(body[ENTRY_FIELDS[kind] :])
        at += max(size, header)


def save(folder, name, data):
    path = CORPUS / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def read(name):
    return (FIXTURES / f"{name}.mp4").read_bytes()


def box(kind, body):
    return struct.pack(">I", 8 + len(body)) + kind.encode("latin-1") + body


def trees():
    for name in TREES:
        seen, tree = set(), b""
        at, data = 0, read(name)
        while at + 8 <= len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            size = size or len(data) - at
            if size > 1 and kind not in (b"mdat", b"free") and kind not in seen:
                seen.add(kind)
                tree += data[at : at + size]
            at += size if size > 1 else struct.unpack_from(">Q", data, at + 8)[0]
        save("box_tree", name, tree)


def typed_boxes():
    payloads = {kind: set() for kind in BOXES}
    for path in sorted(FIXTURES.glob("*.mp4")):
        for kind, body in boxes(path.read_bytes()):
            if kind in payloads and len(body) <= MAX_PAYLOAD:
                payloads[kind].add(body)
    for index, kind in enumerate(BOXES):
        ordered = sorted(payloads[kind], key=lambda body: (len(body), body))
        for size, body in zip(("short", "long"), dict.fromkeys(ordered[:1] + ordered[-1:])):
            save("typed_box", f"{kind}-{size}", bytes([index]) + body)


def samples_of(folder, names, configuration, length_size_at):
    for name in names:
        track = mp4.load(FIXTURES / f"{name}.mp4").track("vide")
        config = next(child.body for child in track.entry()[2] if child.kind == configuration)
        if configuration == b"hvcC":
            config = without_sei(config)
        data = bytes([len(config)]) + config
        for sample in track.samples[:SAMPLES]:
            # Whole NAL units, as many as fit.
            length_size, end = (config[length_size_at] & 3) + 1, 0
            while end < len(sample.data):
                length = int.from_bytes(sample.data[end : end + length_size], "big")
                if end and end + length_size + length > SAMPLE_BYTES:
                    break
                end += length_size + length
            data += struct.pack(">H", end) + sample.data[:end]
        save(folder, name, data)


def whole_samples_of(folder, names, configuration, most_bytes):
    for name in names:
        track = mp4.load(FIXTURES / f"{name}.mp4").track("vide")
        config = next(child.body for child in track.entry()[2] if child.kind == configuration)
        data = bytes([len(config)]) + config
        for sample in track.samples[: 2 * SAMPLES]:
            # Whole samples, as many as are small: later headers depend on all before them.
            if len(sample.data) > most_bytes:
                break
            data += struct.pack(">H", len(sample.data)) + sample.data
        save(folder, name, data)


def without_sei(config):
    """hvcC without SEI, in which x265 tells its options: the target has but a byte for its length."""
    at, arrays = 23, []
    for _ in range(config[22]):
        start, kind = at, config[at] & 63
        count, at = int.from_bytes(config[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            at += 2 + int.from_bytes(config[at : at + 2], "big")
        if kind in (32, 33, 34):
            arrays.append(config[start:at])
    return config[:22] + bytes([len(arrays)]) + b"".join(arrays)


def aac_configs():
    seen = {}
    for path in sorted(FIXTURES.glob("*.mp4")):
        for kind, body in boxes(path.read_bytes()):
            if kind == "esds":
                seen.setdefault(body, path.stem)
    for body, name in seen.items():
        save("aac_config", name, body)


def texts():
    record = {
        "content_id": "fuzz-film",
        "kid": "02" * 16,
        "scheme": "cbcs",
        "key_uri": "https://keys.example.com/api/key/fuzz-film",
        "wrapped_key": "04" * 32,
        "wrap_nonce": "05" * 12,
        "kek_version": "v1",
        "master_key_id": "06" * 8,
        "created_at": "2025-01-02T03:04:05Z",
        "tool_version": "0.1.0",
        "media_fingerprint": "07" * 32,
    }
    named = {**record, "key_name": "hd", "kid": "08" * 16}
    for name, records in {"none": [], "one": [record], "two": [record, named]}.items():
        save("keys_file", name, json.dumps({"version": 1, "records": records}, indent=2).encode())
    save("keys_file", "later-version", b'{"version": 2, "records": {}}')
    playlists = {
        "ranges": PLAYLIST_OF_RANGES,
        "files": PLAYLIST_OF_FILES,
        "iframes": PLAYLIST_OF_RANGES.replace("#EXTM3U\n", "#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n"),
        "multivariant": MULTIVARIANT,
    }
    for name, text in playlists.items():
        save("playlist", name, text.encode())
    settings = {
        "secret": "A=" + "0123456789abcdef" * 4,
        "url": "A=https://keys.example.com/path/\n",
        "content-id": "export A='movie_1-x' # quoted\n",
        "quotes": 'B="two\\nlines"\nA="${B} and $B"\n\n# note\nC=\n',
    }
    for name, text in settings.items():
        save("settings", name, text.encode())
    cues = {
        "header": "WEBVTT words\nKind: captions\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\nSTYLE\n::cue {}\n\nREGION\nid:a\n",
        "carriage-returns": "\ufeffWEBVTT\r\rNOTE a\r\r\r1\r00:01.000 --> 00:02.000\rA\r",
        "hours": "WEBVTT\n\n99:59:59.999 --> 123456789:00:00.000 line:0\nA\n",
        "out-of-order": "WEBVTT\n\n00:02.000 --> 00:03.000\nA\n\n00:01.000 --> 00:02.000\nB\n",
    }
    for name, text in cues.items():
        save("webvtt", name, text.encode())
    for path in FIXTURES.glob("*.vtt"):
        save("webvtt", path.stem, path.read_bytes())


def main():
    for name in FILES:
        save("file", f"{name}.mp4", read(name))
    trees()
    typed_boxes()
    samples_of("avc_sample", AVC, b"avcC", 4)
    samples_of("hevc_sample", HEVC, b"hvcC", 21)
    whole_samples_of("av1_sample", AV1, b"av1C", 2 * SAMPLE_BYTES)
    whole_samples_of("vp9_sample", VP9, b"vpcC", 5 * SAMPLE_BYTES)
    aac_configs()
    texts()


if __name__ == "__main__":
    main()
