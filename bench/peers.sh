#!/usr/bin/env bash
# peers.sh: gtmd beside other name servers and the empty UDP echo, in one run: CPU per query, latency, memory, start and reload
# (docs/performance.md). The table at the end is peers.py's.
#
# HARNESS is the folder of the load generator and peer harness (setup.sh, bench.py). Needs Debian and root; all traffic
# stays on loopback inside a network namespace of its own, and every load and every step is bounded in time. About 15 minutes with 5
# rounds; STEPS names some of the steps (load max lat50 small large reload), PEERS the peers, ROUNDS how often each is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${HARNESS:?set HARNESS to the folder of the load generator and peer harness}"
export BENCH_ROOT=${BENCH_ROOT:-/var/tmp/gtmd-bench}
ROUNDS=${ROUNDS:-5}
read -ra PEERS <<<"${PEERS:-gdnsd knot nsd pdns-geo echo-b32}"
STEPS=${STEPS:-load max lat50 small large reload}
OUT=${OUT:-$BENCH_ROOT/peers-$(date +%Y%m%d-%H%M%S).jsonl}

[ -e "$BENCH_ROOT/data/c1k/names.tsv" ] || "$HARNESS/setup.sh"
ip netns list | grep -qw perf || { ip netns add perf; ip netns exec perf ip link set lo up; }

# step NAMES SECONDS WHAT ARGS...: bench.py with gtmd and the peers in their configuration for so many names, for so long at most.
step() {
	local names=$1 seconds=$2 what=$3 toml data
	shift 3
	data=$BENCH_ROOT/data/c$((names / 1000))k
	[ -d "$data" ] || { echo "peers.sh: $data is missing: the peers are not measured with $names names" >&2; return; }
	toml=$(python3 bench/gtmdconf.py "$BENCH_ROOT" "$names")
	echo "== $(date +%T) $what, $names names" >&2
	timeout "$seconds" "$HARNESS/bench.py" "$what" gtmd "${PEERS[@]}" -d "$data" -n "$names" -o "$OUT" \
		--extra "gtmd=$PWD/bin/gtmd run --config $toml --log-level warn;5500;HUP" "$@" >&2 ||
		echo "peers.sh: $what with $names names failed or took more than $seconds s" >&2
}

for s in $STEPS; do
	case $s in
	load) step 1000 1200 load -k "$ROUNDS" -r "${RATES:-50000,100000}" ;;
	max) step 1000 600 max -k "$ROUNDS" ;;
	lat50) step 1000 600 lat50 -k "$ROUNDS" ;;
	small)
		step 1000 300 mem
		step 1000 300 start -k "$ROUNDS"
		;;
	large)
		step 100000 600 mem
		step 100000 600 start -k 3
		;;
	reload) step 1000 600 reload -k 3 -r 20000 -t 4 ;;
	*) echo "peers.sh: there is no step $s" >&2; exit 2 ;;
	esac
done
python3 bench/peers.py "$OUT"
