#!/usr/bin/env bash
# probes.sh: CPU, memory and punctuality of health probes of gtmd beside HAProxy, gdnsd and blackbox-style net/http, in one run
# (docs/performance.md). Arguments go to bench/probes/probes.py; --quick takes two minutes, without it a quarter of an hour, or twice that
# when others use the machine.
#
# Needs Debian and root, and gcc; peers that are not installed are left out. All traffic stays on the loopback of a network namespace
# that ends with the run, and every load is bounded in time.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-$PWD/bin}
CGO_ENABLED=0 go build -trimpath -o "$bin/blackbox" ./bench/probes/blackbox
gcc -O2 -Wall -o "$bin/origin" bench/probes/origin.c

# A probe takes a descriptor, and so does each of the origin's connections: as many as are allowed.
ulimit -n "$(ulimit -Hn)"
exec unshare --net sh -c 'ip link set lo up && exec python3 -B bench/probes/probes.py "$@"' probes --bin "$bin" "$@"
