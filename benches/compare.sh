#!/usr/bin/env bash
# Wall time, CPU time and peak memory of vylux-pack beside cp, Shaka Packager and ffmpeg's HLS copy,
# over the same files in one run. Prints a Markdown table of medians for docs/benchmarks.md.
#
#   benches/compare.sh [--rounds N] [--shapes] [--large] [--dir DIR]
#
# --shapes takes H.265, AV1 and a file of 30 tracks instead, of 0.5 GB each. --large adds a file of 10 GB, for memory.
# DIR (default: target/bench) takes 20 GB, with --large 40 GB.
#
# Runs take turns. Each writes to a place of its own, and nothing is removed before all are done: ext4 is slow in making
# files right after others were removed. Before each run 3 GB of memory are used and given back: a virtual machine is
# slow in handing out memory that was not in use a moment ago.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=7 shapes=no large=no dir=target/bench
while (($#)); do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    --shapes) shapes=yes; shift ;;
    --large) large=yes; shift ;;
    --dir) dir=$2; shift 2 ;;
    *) echo "usage: $0 [--rounds N] [--shapes] [--large] [--dir DIR]" >&2; exit 2 ;;
  esac
done

fixtures/oracles.sh >&2
type -P time >/dev/null || { echo "$0: there is no 'time': apt-get install time hyperfine" >&2; exit 1; }
cargo build --release --quiet
mkdir -p "$dir"
ours=$PWD/target/release/vylux-pack
shaka=$PWD/target/oracles/bin/packager
key=00112233445566778899aabbccddeeff

# --- media: one minute of H.264 and AAC at 8 Mbit/s, repeated -------------------------------------------------
encode() { # OUTPUT ENCODER-OPTIONS...: a minute
  [[ -f $1 ]] && return
  ffmpeg -v error -f lavfi -i testsrc2=s=1280x720:r=30 -f lavfi -i sine=r=48000 -t 60 "${@:2}" \
    -b:v 8M -g 60 -c:a aac -b:a 128k -f mp4 -y "$1.part"
  mv "$1.part" "$1"
}
minute=$dir/minute.mp4
encode "$minute" -c:v libx264 -preset ultrafast -bf 2
repeat() { # INPUT OUTPUT TIMES FLAGS OPTIONS...
  [[ -f $2 ]] && return
  ffmpeg -v error -stream_loop $(($3 - 1)) -i "$1" "${@:5}" -c copy -movflags "$4" -f mp4 -y "$2.part"
  mv "$2.part" "$2"
}
if [[ $shapes == yes ]]; then
  with_configuration=frag_keyframe+delay_moov+default_base_moof # without it, ffmpeg writes no av1C
  encode "$dir/minute-h265.mp4" -c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1
  encode "$dir/minute-av1.mp4" -c:v libsvtav1 -preset 12
  repeat "$dir/minute-h265.mp4" "$dir/h265.mp4" 9 $with_configuration
  repeat "$dir/minute-av1.mp4" "$dir/av1.mp4" 9 $with_configuration
  audio=()
  for ((track = 1; track < 30; track++)); do audio+=(-map 0:a); done
  repeat "$minute" "$dir/tracks-30.mp4" 6 $with_configuration -map 0:v "${audio[@]}"
  files=("$dir/h265.mp4" "$dir/av1.mp4" "$dir/tracks-30.mp4")
else
  repeat "$minute" "$dir/fragmented.mp4" 17 frag_keyframe+empty_moov+default_base_moof
  repeat "$minute" "$dir/progressive.mp4" 17 faststart
  files=("$dir/fragmented.mp4" "$dir/progressive.mp4")
fi
[[ $large == yes ]] && repeat "$minute" "$dir/large.mp4" 166 frag_keyframe+empty_moov+default_base_moof

# --- one measured run each ------------------------------------------------------------------------------------
out=$dir/out
results=$dir/results
: >"$results"
export MASTER_KEY_HEX=$key$key SALT_HEX=${key}0123456789abcdef0123456789abcdef BASE_URL=http://localhost:4100
run=0
place=
new_place() { # a folder of its own for the next run
  run=$((run + 1))
  place=$out/$run
  mkdir -p "$place"
  sync
}
measure() { # NAME FILE COMMAND...
  local name=$1 file=$2
  shift 2
  cat "$file" >/dev/null # warm cache
  python3 -c 'b"x" * (3 << 30)' # warm memory
  # seconds of wall time, user and system time; kilobytes at the peak
  command time -f "$name $(basename "$file") %e %U %S %M" -a -o "$results" "$@" >/dev/null 2>"$dir/log" ||
    { cat "$dir/log" >&2; exit 1; }
}
with_cp() {
  new_place
  measure cp "$1" cp "$1" "$place/copy.mp4"
}
with_ours() {
  new_place
  measure vylux-pack "$1" "$ours" encrypt "$1" --content-id bench --no-store --out "$place/asset" --quiet
}
with_single() {
  new_place
  measure vylux-pack--single-file "$1" "$ours" encrypt "$1" --content-id bench --no-store --out "$place/asset" --quiet --single-file
}
with_shaka() {
  new_place
  local streams=() track tracks
  tracks=$(ffprobe -v error -show_entries stream=index -of csv=p=0 "$1" | wc -l)
  for ((track = 0; track < tracks; track++)); do
    local to=$place/$track
    streams+=("in=$1,stream=$track,init_segment=$to/init.mp4,segment_template=$to/\$Number\$.m4s,playlist_name=$track.m3u8")
  done
  measure shaka-packager "$1" "$shaka" --quiet "${streams[@]}" \
    --enable_raw_key_encryption --keys "label=:key_id=$key:key=$key:iv=$key" --protection_scheme cbcs --clear_lead 0 \
    --hls_master_playlist_output "$place/master.m3u8"
}
with_ffmpeg() { # packages without encryption: it has no cbcs for fMP4
  new_place
  measure ffmpeg-hls-copy "$1" ffmpeg -v error -i "$1" -map 0 -c copy -f hls -hls_segment_type fmp4 -hls_time 6 \
    -hls_list_size 0 -hls_segment_filename "$place/%d.m4s" "$place/index.m3u8"
}

for file in "${files[@]}"; do
  for ((round = 0; round < rounds; round++)); do
    with_cp "$file"
    with_ours "$file"
    with_single "$file"
    if ((round < 3)); then with_shaka "$file"; fi
  done
  with_ffmpeg "$file"
  rm -rf "$out"
done
if [[ $large == yes ]]; then
  with_cp "$dir/large.mp4"
  with_ours "$dir/large.mp4"
fi
rm -rf "$out"

# --- the table ------------------------------------------------------------------------------------------------
echo "$(nproc) cores, $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1), $("$ours" --version), $(date -u +%F)"
echo
echo '| file | program | best wall s | of cp | median wall s | of cp | median CPU s | peak MB | runs |'
echo '|---|---|---|---|---|---|---|---|---|'
sort -k2,2 -k1,1 -k3,3n "$results" | awk '
  { key = $2 " | " $1; n[key]++; wall[key, n[key]] = $3; cpu[key, n[key]] = $4 + $5; if ($6 > rss[key]) rss[key] = $6
    if (!(key in seen)) { seen[key] = 1; order[++keys] = key } }
  function median(values, key, count) { return (values[key, int((count + 1) / 2)] + values[key, int(count / 2) + 1]) / 2 }
  END { for (i = 1; i <= keys; i++) { key = order[i]; split(key, part, " [|] ")
      cp = part[1] " | cp"
      printf "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f | %d |\n", key, wall[key, 1], wall[key, 1] / wall[cp, 1],
        median(wall, key, n[key]), median(wall, key, n[key]) / median(wall, cp, n[cp]),
        median(cpu, key, n[key]), rss[key] / 1024, n[key] } }'
echo
echo "Start-up:"
hyperfine -N --warmup 5 --export-json "$dir/startup.json" "$ours --version" >/dev/null 2>&1 &&
  python3 -c "import json,sys; r=json.load(open(sys.argv[1]))['results'][0]; print(f\"vylux-pack --version: {r['mean']*1e3:.2f} ms\")" "$dir/startup.json" ||
  echo "hyperfine is not installed: start-up not measured"
