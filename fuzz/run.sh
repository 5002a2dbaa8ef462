#!/usr/bin/env bash
# Fuzzes every target for SECONDS, one after the other, on a stable toolchain: `fuzz/run.sh 60`, or
# `fuzz/run.sh 600 typed_box` for some. Starts from fuzz/corpus; what is found on the way goes to fuzz/work, which is not
# checked in. What breaks a promise is left in fuzz/artifacts: mend the code, and keep the input as
# fuzz/corpus/FOLDER/crash-WHAT, so that `cargo test --test fuzz_corpus` runs it for ever.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?"usage: fuzz/run.sh SECONDS [TARGET...]"}
shift
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "fuzz/run.sh: there is no cargo-fuzz; install it by: cargo install --locked cargo-fuzz" >&2
  exit 1
fi
# Inputs are written to files a thousand times a second: to memory, where there is such a place.
if [ -d /dev/shm ]; then
  export TMPDIR=${TMPDIR:-/dev/shm}
fi

failed=()
fuzzed=0
while read -r target corpus; do
  if [ $# -gt 0 ] && [[ " $* " != *" $target "* ]]; then
    continue
  fi
  echo "=== $target"
  fuzzed=$((fuzzed + 1))
  mkdir -p "fuzz/work/$target"
  # Without a sanitizer, which needs a nightly compiler: there is no unsafe code here that it could watch.
  cargo fuzz run --sanitizer none "$target" "fuzz/work/$target" "fuzz/corpus/$corpus" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 ||
    failed+=("$target")
done < <(sed -n 's/^    ("\([a-z0-9_]*\)", "\([a-z0-9_]*\)".*/\1 \2/p' fuzz/targets/mod.rs)

if [ "$fuzzed" -eq 0 ]; then
  echo "fuzz/run.sh: no target is called $*; fuzz/targets/mod.rs lists them" >&2
  exit 1
fi

if [ ${#failed[@]} -gt 0 ]; then
  echo "fuzz/run.sh: broken promises in ${failed[*]}; the inputs are in fuzz/artifacts" >&2
  exit 1
fi
