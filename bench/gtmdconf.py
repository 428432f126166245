#!/usr/bin/env python3
"""gtmdconf.py HARNESS_ROOT NAMES: writes HARNESS_ROOT/data/gtmd-NAMES/gtmd.toml with the work that the harness gives its peers.

Zone bench.test, NAMES access domains; clients in Europe get one address, all others another. The harness's peers read a
country database; gtmd has custom lines so far, so the networks of the same source (tor-geoipdb) stand in a line "europe".
"""
import ipaddress
import os
import sys

ROOT, NAMES = os.path.abspath(sys.argv[1]), int(sys.argv[2])
EUROPE = set("AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK "
             "MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK EU".split())


def address(kind, i):
    return f"10.{kind}.{i >> 8 & 255}.{i & 255}" if i < 65536 else f"10.{kind + 100}.{i >> 8 & 255}.{i & 255}"


def networks():
    for name, read in (("geoip", lambda s: ipaddress.IPv4Address(int(s))), ("geoip6", ipaddress.IPv6Address)):
        for line in open(f"{ROOT}/tor/usr/share/tor/{name}"):
            if not line.startswith("#"):
                low, high, country = line.strip().split(",")
                if country in EUROPE:
                    yield from ipaddress.summarize_address_range(read(low), read(high))


out = os.path.join(ROOT, "data", f"gtmd-{NAMES}")
os.makedirs(out + "/state", exist_ok=True)
with open(out + "/bench.zone", "w") as f:
    f.write("ns1 3600 A 127.0.0.1\n")
with open(out + "/gtmd.toml", "w") as f:
    f.write(f"""[dns]
listen = ["127.0.0.1:5500"]
workers = 1
[admin]
listen = "127.0.0.1:5580"
socket = "{out}/admin.sock"
[state]
dir = "{out}/state"
[[zone]]
name = "bench.test"
nameservers = ["ns1.bench.test"]
contact = "host@bench.test"
file = "bench.zone"
[[geo.line]]
name = "europe"
prefixes = [
""")
    for n in networks():
        f.write(f'"{n}",\n')
    f.write("]\n")
    for i in range(NAMES):
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
ttl = 60
  [[instance.policy]]
  name = "Europe"
  sources = ["europe"]
  primary = {{ pools = ["eu{i}"] }}
  backup = {{ pools = ["us{i}"] }}
  [[instance.policy]]
  name = "Global"
  sources = ["global"]
  primary = {{ pools = ["us{i}"] }}
  backup = {{ pools = ["eu{i}"] }}
""")
print(out + "/gtmd.toml")
