#!/usr/bin/env bash
# peers.sh: CPU per query of gtmd beside gdnsd, knot and the empty UDP echo, in one run (docs/performance.md).
#
# HARNESS is the folder of the load generator and peer harness (setup.sh, bench.py, ratio.py). Needs Debian and root; all
# traffic stays on loopback inside a network namespace of its own, and every load is bounded in time.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${HARNESS:?set HARNESS to the folder of the load generator and peer harness}"
export BENCH_ROOT=${BENCH_ROOT:-/var/tmp/gtmd-bench}
ROUNDS=${ROUNDS:-5}
PEERS=${PEERS:-gdnsd knot echo-b32}

[ -e "$BENCH_ROOT/data/c1k/names.tsv" ] || "$HARNESS/setup.sh"
ip netns list | grep -qw perf || { ip netns add perf; ip netns exec perf ip link set lo up; }
toml=$(python3 bench/gtmdconf.py "$BENCH_ROOT" 1000)
gtmd="own=$PWD/bin/gtmd run --config $toml --log-level warn;5500;HUP"

# shellcheck disable=SC2086 # PEERS is a list
"$HARNESS/bench.py" load --extra "$gtmd" own $PEERS -k "$ROUNDS" -r "${RATES:-50000,100000}" --tag load
# shellcheck disable=SC2086
"$HARNESS/bench.py" max --extra "$gtmd" own $PEERS -k "$ROUNDS" --tag max
"$HARNESS/ratio.py"
