#!/usr/bin/env bash
# Keeps in fuzz/corpus/FOLDER/found what `fuzz/run.sh` found, of at most 2,048 bytes each, as few inputs as reach all code that they
# reach together: `fuzz/minimise.sh`, or `fuzz/minimise.sh TARGET...` for some. `cargo test --test fuzz_corpus` runs them for ever.
set -euo pipefail
cd "$(dirname "$0")/.."

while read -r target corpus; do
  if [ ! -d "fuzz/work/$target" ] || { [ $# -gt 0 ] && [[ " $* " != *" $target "* ]]; }; then
    continue
  fi
  kept=$(mktemp -d)
  mkdir -p "fuzz/corpus/$corpus/found"
  cargo fuzz run --sanitizer none "$target" "$kept" "fuzz/corpus/$corpus" "fuzz/work/$target" -- \
    -set_cover_merge=1 -use_counters=0 -max_len=2048 2>/dev/null
  # What is there already has a name that people read.
  for input in "$kept"/*; do
    known=$(find "fuzz/corpus/$corpus" -maxdepth 1 -type f -exec cmp -s {} "$input" \; -print -quit)
    [ -n "$known" ] || cp "$input" "fuzz/corpus/$corpus/found/"
  done
  rm -r "$kept"
  echo "$target: $(find "fuzz/corpus/$corpus/found" -type f | wc -l) inputs in fuzz/corpus/$corpus/found"
done < <(sed -n 's/^    ("\([a-z0-9_]*\)", "\([a-z0-9_]*\)".*/\1 \2/p' fuzz/targets/mod.rs)
