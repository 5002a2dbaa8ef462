#!/usr/bin/env bash
# Many small files, a process each: files a second of vylux-pack, with its record store and without, beside Shaka Packager.
# The first and the last tenth are told apart, so that what slows down with the number of files shows. Prints a Markdown table.
#
#   benches/small_files.sh [--files N] [--shaka-files N] [--dir DIR]
#
# Each run packages fixtures/demo.mp4 (12 s) under another content ID to another folder. DIR (default: target/bench) takes 1 MB a file.
set -euo pipefail
cd "$(dirname "$0")/.."

files=10000 shaka_files=1000 dir=target/bench
while (($#)); do
  case $1 in
    --files) files=$2; shift 2 ;;
    --shaka-files) shaka_files=$2; shift 2 ;;
    --dir) dir=$2; shift 2 ;;
    *) echo "usage: $0 [--files N] [--shaka-files N] [--dir DIR]" >&2; exit 2 ;;
  esac
done

fixtures/oracles.sh >&2
cargo build --release --quiet
ours=${CARGO_TARGET_DIR:-$PWD/target}/release/vylux-pack
shaka=$PWD/target/oracles/bin/packager
input=$PWD/fixtures/demo.mp4
key=00112233445566778899aabbccddeeff
export MASTER_KEY_HEX=$key$key SALT_HEX=${key}0123456789abcdef0123456789abcdef BASE_URL=http://localhost:4100
mkdir -p "$dir"
out=$(mktemp -d "$dir/small.XXXXXX")
trap 'rm -rf "$out"' EXIT
export DATABASE_URL=sqlite://$out/records.db

with_ours() { "$ours" encrypt "$input" --content-id "file-$1" --no-store --out "$2" --quiet; }
with_store() { "$ours" encrypt "$input" --content-id "stored-$1" --out "$2" --quiet; }
with_shaka() {
  "$shaka" --quiet \
    "in=$input,stream=video,init_segment=$2/v/init.mp4,segment_template=$2/v/\$Number\$.m4s,playlist_name=v.m3u8" \
    "in=$input,stream=audio,init_segment=$2/a/init.mp4,segment_template=$2/a/\$Number\$.m4s,playlist_name=a.m3u8" \
    --enable_raw_key_encryption --keys "label=:key_id=$key:key=$key:iv=$key" --protection_scheme cbcs --clear_lead 0 \
    --hls_master_playlist_output "$2/master.m3u8"
}
measure() { # NAME COMMAND COUNT
  local tenth=$(($3 / 10)) number start=$EPOCHREALTIME first=0 last=0
  ((tenth > 0)) || { echo "$0: at least 10 files" >&2; exit 2; }
  for ((number = 1; number <= $3; number++)); do
    ((number == $3 - tenth + 1)) && last=$EPOCHREALTIME
    "$2" "$number" "$out/$1/$number"
    ((number == tenth)) && first=$EPOCHREALTIME
  done
  awk -v name="$1" -v count="$3" -v tenth="$tenth" -v start="$start" -v first="$first" -v last="$last" -v end="$EPOCHREALTIME" \
    'BEGIN { printf "| %s | %d | %.1f | %.1f | %.1f |\n", name, count, count / (end - start), tenth / (first - start), tenth / (end - last) }'
}

echo "$(nproc) cores, $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1), $("$ours" --version), $(date -u +%F)"
echo
echo '| program | files | files a second | of the first tenth | of the last tenth |'
echo '|---|---|---|---|---|'
measure vylux-pack with_ours "$files"
measure vylux-pack-with-store with_store "$files"
measure shaka-packager with_shaka "$shaka_files"
