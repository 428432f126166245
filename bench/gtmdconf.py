#!/usr/bin/env python3
"""gtmdconf.py HARNESS_ROOT NAMES [INSTANCES]: writes HARNESS_ROOT/data/gtmd-NAMES/gtmd.toml with the work that the harness gives its
peers.

Zone bench.test, NAMES names of INSTANCES instances, at most 1,000 unless said: name i is an access domain or an alias of instance
i % INSTANCES, as gdnsd's names share its resources. Zone static.test has an A record for each name; clients in Europe get one address, all others another. Europe is the continent of the
country database that the harness made for its peers (data/country.mmdb, from tor-geoipdb): gtmd reads the same file.
"""
import os
import sys

ROOT, NAMES = os.path.abspath(sys.argv[1]), int(sys.argv[2])
INSTANCES = min(NAMES, int(sys.argv[3]) if len(sys.argv) > 3 else 1000)


def address(kind, i):
    return f"10.{kind}.{i >> 8 & 255}.{i & 255}" if i < 65536 else f"10.{kind + 100}.{i >> 8 & 255}.{i & 255}"


out = os.path.join(ROOT, "data", f"gtmd-{NAMES}")
os.makedirs(out + "/state", exist_ok=True)
with open(out + "/bench.zone", "w") as f:
    f.write("ns1 3600 A 127.0.0.1\n")
with open(out + "/static.zone", "w") as f:
    f.write("ns1 3600 A 127.0.0.1\n")
    for i in range(NAMES):
        f.write(f"w{i:06d} 60 A {address(1, i)}\n")
with open(out + "/gtmd.toml", "w") as f:
    f.write(f"""[dns]
listen = ["127.0.0.1:5500"]
workers = 1
[admin]
listen = "127.0.0.1:5580"
socket = "{out}/admin.sock"
[state]
dir = "{out}/state"
[geo]
databases = ["{ROOT}/data/country.mmdb"]
[[zone]]
name = "bench.test"
nameservers = ["ns1.bench.test"]
contact = "host@bench.test"
file = "bench.zone"
[[zone]]
name = "static.test"
nameservers = ["ns1.static.test"]
contact = "host@static.test"
file = "static.zone"
""")
    for i in range(INSTANCES):
        aliases = ", ".join(f'"w{k:06d}.bench.test"' for k in range(i + INSTANCES, NAMES, INSTANCES))
        f.write(f"""[[pool]]
name = "eu{i}"
type = "ipv4"
addresses = ["{address(1, i)}"]
[[pool]]
name = "us{i}"
type = "ipv4"
addresses = ["{address(2, i)}"]
[[instance]]
name = "w{i:06d}"
access_domain = "w{i:06d}.bench.test"
aliases = [{aliases}]
ttl = 60
  [[instance.policy]]
  name = "Europe"
  sources = ["continent:EU"]
  primary = {{ pools = ["eu{i}"] }}
  backup = {{ pools = ["us{i}"] }}
  [[instance.policy]]
  name = "Global"
  sources = ["global"]
  primary = {{ pools = ["us{i}"] }}
  backup = {{ pools = ["eu{i}"] }}
""")
print(out + "/gtmd.toml")
