#!/usr/bin/env bash
# The key route under load, beside a bare handler of the same framework in the same run: requests a second, latency, memory.
#
#   benches/load.sh [--rounds N] [--seconds N] [--connections N] [--requests N] [--postgres] [--jwt] [--leases]
#
# Everything is on: HMAC tokens (with --jwt, a policy that asks for ES256, and with --leases, a lease besides), CORS, rate limits, metrics, logs (to a file), and the record store: SQLite, or with --postgres
# a PostgreSQL that lives as long as the run.
# With fewer than the 64 connections that are the default, the one thread that sends and the server wait for each other.
# --requests sends so many to the key route at the end, and prints its memory on the way (default: none).
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3 seconds=5 connections=64 requests=0 postgres=no jwt=no
while (($#)); do
  case $1 in
  --rounds) rounds=$2; shift 2 ;;
  --seconds) seconds=$2; shift 2 ;;
  --connections) connections=$2; shift 2 ;;
  --requests) requests=$2; shift 2 ;;
  --postgres) postgres=yes; shift ;;
  --jwt) jwt=yes; shift ;;
  --leases) jwt=yes; export LEASE_TTL_MS=3600000 RATE_LIMIT_LEASES=1000; shift ;;
  *) echo "usage: $0 [--rounds N] [--seconds N] [--connections N] [--requests N] [--postgres] [--jwt] [--leases]" >&2; exit 2 ;;
  esac
done
type -P wrk >/dev/null || { echo "$0: there is no 'wrk': apt-get install wrk" >&2; exit 1; }
cargo build --release --quiet --bins --example bare_server
release=${CARGO_TARGET_DIR:-$PWD/target}/release

work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
input=$PWD/fixtures/demo.mp4 sign=$PWD/docs/access-control/play_token.mjs
cd "$work"
digits() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
export MASTER_KEY_HEX SALT_HEX KEY_TOKEN_SECRET BASE_URL=http://localhost:4100 RATE_LIMIT_KEYS=4000000000
export CORS_ORIGINS=https://player.example.com
MASTER_KEY_HEX=$(digits) SALT_HEX=$(digits) KEY_TOKEN_SECRET=$(digits)
if [[ $postgres == yes ]]; then
  programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)
  # It refuses to run as root.
  as=()
  if ((EUID == 0)); then as=(setpriv --reuid=65534 --regid=65534 --clear-groups) && chown 65534 "$work"; fi
  "${as[@]}" "$programs/initdb" -D "$work/data" -U bench -A trust >/dev/null
  port=$((RANDOM % 20000 + 20000))
  "${as[@]}" "$programs/postgres" -D "$work/data" -h 127.0.0.1 -p $port -k "$work" 2>postgres.log &
  pids+=($!)
  until "$programs/pg_isready" -q -h 127.0.0.1 -p $port; do sleep 0.1; done
  export DATABASE_URL=postgres://bench@127.0.0.1:$port/postgres
fi
"$release/vylux-pack" encrypt "$input" --content-id bench --quiet
token=$("$release/vylux-pack" token mint --content-id bench --ttl 10h)
if [[ $jwt == yes ]]; then
  SIGNING_KEY_FILE=$work/key.pem
  SIGNING_KEY_ID=$("$release/vylux-pack" signing-key create --name bench --out "$SIGNING_KEY_FILE")
  export SIGNING_KEY_FILE SIGNING_KEY_ID
  "$release/vylux-pack" policy set --content-id bench jwt >/dev/null
  # It lives five minutes.
  token=$(node "$sign" bench viewer)
fi

"$release/vylux-pack" serve --listen 127.0.0.1:0 >log &
pids+=($!)
server=$!
until grep -q listening log; do sleep 0.05; done
url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' log)
lease=none
if [[ -v LEASE_TTL_MS ]]; then
  lease=$(curl -fsS -H "Authorization: Bearer $token" --data '{"contentId":"bench"}' "$url/keys/leases" | sed 's/.*"leaseId":"\([^"]*\)".*/\1/')
fi
bare=127.0.0.1:$((RANDOM % 20000 + 20000))
"$release/examples/bare_server" "$bare" &
bare_server=$!
pids+=("$bare_server")
until curl -s "http://$bare/api/key/bench" >/dev/null; do sleep 0.05; done

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; } # of CPU, a hundredth of a second each
load() { # NAME URL SECONDS PID
  : >log
  local before
  before=$(ticks "$4")
  wrk --latency -t1 -c"$connections" -d"$3"s -H "Authorization: Bearer $token" -H "Origin: $CORS_ORIGINS" -H "X-Lease-Id: $lease" "$2/api/key/bench" >wrk.txt
  if grep -q 'Non-2xx' wrk.txt; then cat wrk.txt >&2; exit 1; fi
  awk -v name="$1" -v ticks=$(($(ticks "$4") - before)) '/requests in/ { requests = $1 } /Requests\/sec/ { rate = $2 } $1 == "50%" { median = $2 } $1 == "99%" { p99 = $2 }
    END { print name, rate, "a second, median", median, "p99", p99, "CPU", ticks * 1e4 / requests, "us" }' wrk.txt | tee -a results
}
memory() { awk '/VmRSS/ { printf "%.1f MB", $2 / 1024 }' "/proc/$server/status"; }

for ((round = 0; round < rounds; round++)); do
  load bare "http://$bare" "$seconds" "$bare_server"
  load key "$url" "$seconds" "$server"
done
awk '{ rate[$1] = rate[$1] " " $2; if ($2 > best[$1]) best[$1] = $2 } END { printf "key route: %.2f of the bare handler (best of each)\n", best["key"] / best["bare"] }' results
echo "memory of the server: $(memory)"
sent=0
while ((sent < requests)); do
  load key "$url" 10 "$server" >/dev/null
  sent=$((sent + $(awk '/requests in/ { print $1 }' wrk.txt)))
  echo "after $sent requests: $(memory)"
done
