"""The probers that are held side by side: how each is configured and started for the same work.

The work is a Work: so many addresses of 127.0.0.0/8 from 127.1.0.0 on, one port, TCP or HTTP, one interval. Each function writes
its configuration into a directory that it may use and returns the command; Unable says why a prober cannot do this work.
"""
import dataclasses
import os
import shutil

POOL = 100  # addresses of one pool of gtmd
BACKEND = 1000  # servers of one backend of HAProxy
MULTIFO = 50  # addresses of one resource of gdnsd
ADMIN = "127.0.0.1:8553"


class Unable(Exception):
    """The prober cannot do this work; the text says why."""


@dataclasses.dataclass
class Work:
    kind: str  # "tcp" or "http"
    targets: int
    port: int
    interval: int  # seconds
    timeout: int  # seconds

    @property
    def addresses(self):
        return [f"127.{1 + (i >> 16)}.{i >> 8 & 255}.{i & 255}" for i in range(self.targets)]

    @property
    def rate(self):
        """Probes per second that are wanted."""
        return self.targets / self.interval


def chunks(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    return path


def installed(name):
    path = shutil.which(name)
    if not path:
        raise Unable(f"{name} is not installed")
    return path


def gtmd(work, directory, programs):
    """Pools of POOL addresses, an instance for each, whose backup is the next pool. Without metrics of each address: a scrape of
    them is seconds of work, which would be counted as that of the probes and delay them."""
    check = 'path = "/"\nhost = "bench.test"\nexpect_status = "200-399"\n' if work.kind == "http" else ""
    pools = chunks(work.addresses, POOL)
    text = [f"""[dns]
listen = ["127.0.0.1:5500"]
[admin]
listen = "{ADMIN}"
socket = "{directory}/admin.sock"
address_metrics = false
[state]
dir = "{directory}/state"
[[zone]]
name = "bench.test"
nameservers = ["ns1.example.com"]
contact = "host@bench.test"
[[health_check]]
name = "check"
protocol = "{work.kind}"
port = {work.port}
interval = "{work.interval}s"
timeout = "{work.timeout}s"
fall = 3
{check}"""]
    for i, addresses in enumerate(pools):
        listed = ", ".join(f'"{a}"' for a in addresses)
        text.append(f"""[[pool]]
name = "p{i}"
type = "ipv4"
health_check = "check"
addresses = [{listed}]
[[instance]]
name = "w{i}"
access_domain = "w{i}.bench.test"
  [[instance.policy]]
  name = "Global"
  sources = ["global"]
  primary = {{ pools = ["p{i}"], max_answers = 8 }}
  backup = {{ pools = ["p{(i + 1) % len(pools)}"], max_answers = 8 }}
""")
    path = write(f"{directory}/gtmd.toml", "".join(text))
    return [programs["gtmd"], "run", "--config", path, "--log-level", "warn"]


def blackbox(work, directory, programs):
    return [programs["blackbox"], "-kind", work.kind, "-port", str(work.port), "-targets", str(work.targets),
            "-interval", f"{work.interval}s", "-timeout", f"{work.timeout}s"]


def haproxy(work, directory, programs):
    """One thread, as it has one core; checks only, no frontend but the one that it insists on. The bare TCP check is half open, a
    reset in place of the handshake's last segment, which no listener sees: "linger" has it connect and close as the others do."""
    check = "option tcp-check\n  tcp-check connect linger"
    if work.kind == "http":
        check = "option httpchk\n  http-check send meth GET uri / ver HTTP/1.1 hdr Host bench.test\n  http-check expect status 200-399"
    text = [f"""global
  nbthread 1
  maxconn 100
  no strict-limits
  stats socket {directory}/haproxy.sock
defaults
  mode {work.kind}
  timeout connect {work.timeout}s
  timeout check {work.timeout}s
  timeout client 10s
  timeout server 10s
  default-server check inter {work.interval}s fall 3 rise 1
frontend f
  bind 127.0.0.1:5600
  default_backend b0
"""]
    for i, addresses in enumerate(chunks(work.addresses, BACKEND)):
        servers = "\n".join(f"  server s{j} {a}:{work.port}" for j, a in enumerate(addresses))
        text.append(f"backend b{i}\n  {check}\n{servers}\n")
    path = write(f"{directory}/haproxy.cfg", "".join(text))
    return [installed("haproxy"), "-db", "-f", path]


def gdnsd(work, directory, programs):
    """Resources of MULTIFO addresses. Its timeout is 3 s, the default, or less where the work says so."""
    program = installed("gdnsd")
    kind = {"http": "plugin => http_status, url_path => /, vhost => bench.test, ok_codes => [200]", "tcp": "plugin => tcp_connect"}[work.kind]
    resources = "\n".join(
        f"  r{i} => {{ " + ", ".join(f"a{j} => {a}" for j, a in enumerate(addresses)) + " }"
        for i, addresses in enumerate(chunks(work.addresses, MULTIFO)))
    os.makedirs(f"{directory}/run", exist_ok=True)
    os.makedirs(f"{directory}/state", exist_ok=True)
    write(f"{directory}/config", f"""options => {{ listen => [ 127.0.0.1 ], dns_port => 5301, udp_threads => 1, tcp_threads => 1,
  run_dir => {directory}/run, state_dir => {directory}/state }}
service_types => {{ check => {{ {kind}, port => {work.port}, interval => {work.interval}, timeout => {min(3, work.timeout)} }} }}
plugins => {{ multifo => {{
  service_types => check
{resources}
}} }}
""")
    names = "".join(f"w{i} 60 DYNA multifo!r{i}\n" for i in range(len(chunks(work.addresses, MULTIFO))))
    write(f"{directory}/zones/bench.test",
          "$TTL 60\n@ SOA ns1.example.com. host 1 7200 1800 259200 900\n@ NS ns1.example.com.\n" + names)
    return [program, "-c", directory, "start"]


PROBERS = {"gtmd": gtmd, "blackbox": blackbox, "haproxy": haproxy, "gdnsd": gdnsd}
