#!/usr/bin/env python3
"""probes.py: probes of gtmd beside those of HAProxy, gdnsd and blackbox-style net/http (docs/performance.md). Run by ../probes.sh.

One prober runs at a time, pinned to cpu0, against one origin on cpu1; the order within a round is random. CPU per probe is that of
the prober alone, divided by the probes that the origin saw in the window.
"""
import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import meter
import peers

PORT = 8080
NOISE = 0.25  # processors that others may use before a row is measured again
START = 90  # seconds that a prober may take until it has probed every target once

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin", required=True, help="folder with gtmd, blackbox and origin")
parser.add_argument("--probers", default=",".join(peers.PROBERS))
parser.add_argument("--kinds", default="http,tcp")
parser.add_argument("--targets", default="10000,100000")
parser.add_argument("--interval", type=int, default=10, help="seconds")
parser.add_argument("--timeout", type=int, default=5, help="seconds")
parser.add_argument("--window", type=int, default=30, help="seconds that are measured, two intervals after the start or later")
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--retries", type=int, default=1, help=f"how often a row is measured again when others used more than {NOISE} processors")
parser.add_argument("--no-half", action="store_true", help="leave out the row of gtmd at half load")
parser.add_argument("--quick", action="store_true", help="1000 probes a second only, 2 s apart, for about two minutes")
parser.add_argument("--json", action="store_true", help="print the rows as JSON lines instead of a table")
options = parser.parse_args()
if options.quick:
    options.targets, options.interval, options.timeout, options.window = "2000", 2, 1, 8


def start(processor, command, **streams):
    """Starts a program on one processor. Its session has a scheduling group of its own, with priority where that is allowed, so
    that other work on the machine disturbs less."""
    prefer = '(echo -10 >/proc/self/autogroup; renice -n -12 $$) >/dev/null 2>&1; exec "$@"'
    return subprocess.Popen(["sh", "-c", prefer, "sh", "taskset", "-c", str(processor), *command], start_new_session=True, **streams)


class Origin:
    """The listener that all probe."""

    def __init__(self):
        self.process = start(1, [f"{options.bin}/origin", str(PORT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def counts(self):
        """Connections accepted, requests answered, failures, connections open."""
        self.process.stdin.write(b"?")
        self.process.stdin.flush()
        return list(map(int, self.process.stdout.readline().split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait(5)


class Prober:
    """One running prober."""

    def __init__(self, name, work, directory):
        programs = {"gtmd": f"{options.bin}/gtmd", "blackbox": f"{options.bin}/blackbox"}
        command = peers.PROBERS[name](work, directory, programs)
        self.name, self.log = name, open(f"{directory}/log", "w+")
        self.process = start(0, command, stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, text=True)

    def check(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            said = self.log.read().strip().splitlines()
            raise peers.Unable(f"it ended: {said[-1][:200] if said else 'no word'}")

    def snapshot(self):
        """What the prober says of itself."""
        if self.name == "gtmd":
            return meter.scrape(peers.ADMIN)
        if self.name == "blackbox":
            self.process.send_signal(signal.SIGUSR1)
            return json.loads(self.process.stdout.readline())
        return None

    def close(self):
        """Ends the prober and what descends from it."""
        pids = meter.family(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(5)
        self.process.stdout.close()
        self.log.close()


def measure(name, work, origin):
    """One row: a prober is started, warmed up, measured and ended."""
    row = {"prober": name, "kind": work.kind, "targets": work.targets, "wanted_rate": work.rate}
    with tempfile.TemporaryDirectory(prefix="gtmd-probes-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        os.chmod(directory, 0o755)  # gdnsd and HAProxy may drop their rights
        try:
            prober = Prober(name, work, directory)
        except peers.Unable as e:
            return {**row, "unable": str(e)}
        try:
            observe(prober, work, origin, row)
        except (peers.Unable, OSError, ValueError) as e:
            row["unable"] = str(e) or type(e).__name__
        finally:
            prober.close()
    settle(origin)
    return row


def observe(prober, work, origin, row):
    began, (before, *_) = time.time(), origin.counts()
    while origin.counts()[0] - before < work.targets:
        prober.check()
        if time.time() - began > START:
            raise peers.Unable(f"after {START} s it had probed {origin.counts()[0] - before} targets")
        time.sleep(0.25)
    row["first_round_s"] = time.time() - began
    time.sleep(max(work.interval, 2 * work.interval - row["first_round_s"]))
    prober.check()

    asked, said = time.time(), prober.snapshot()
    row["snapshot_s"] = time.time() - asked
    time.sleep(2)
    pids, own = meter.family(prober.process.pid), [origin.process.pid, os.getpid()]
    t0, cpu0, own0, machine0, origin0 = time.time(), meter.cpu(pids), meter.cpu(own), meter.machine(), origin.counts()
    time.sleep(options.window)
    t1, cpu1, own1, machine1, origin1 = time.time(), meter.cpu(pids), meter.cpu(own), meter.machine(), origin.counts()
    prober.check()
    took, probes = t1 - t0, origin1[0] - origin0[0]
    row["rate"] = probes / took
    row["cpu_us"] = (cpu1 - cpu0) / 1000 / probes if probes else None
    row["cpu0_share"] = (cpu1 - cpu0) / 1e9 / took
    row["origin_share"] = (own1 - own0) / 1e9 / took
    row["others"] = max(0.0, (machine1 - machine0 - (cpu1 - cpu0 + own1 - own0) / 1e9) / took)
    row["load"] = os.getloadavg()[0]
    row["failed"] = origin1[2] - origin0[2]
    rss, pss = meter.memory(pids)
    row.update(rss=rss, pss=pss, per_target=rss / work.targets, threads=meter.threads(pids))
    if said is None:
        return
    now = prober.snapshot()
    if prober.name == "gtmd":
        row.update(meter.results(said, now), goroutines=int(now["go_goroutines"][""]))
        row["delay_p50_ms"], row["delay_p99_ms"] = (meter.quantile(said, now, q) for q in (0.5, 0.99))
    else:
        row.update(good=now["good"] - said["good"], bad=now["bad"] - said["bad"], void=0, goroutines=now["goroutines"])


def settle(origin):
    """Waits until the connections of the last prober are gone."""
    for _ in range(40):
        if origin.counts()[3] == 0:
            return
        time.sleep(0.25)


def patiently(name, work, origin):
    """measure, again while others use the machine, as often as the options allow; the quietest counts. What a prober is unable to do
    it is not asked twice."""
    rows = []
    for _ in range(1 + options.retries):
        rows.append(measure(name, work, origin))
        if "unable" in rows[-1] or rows[-1]["others"] <= NOISE:
            break
    return min(rows, key=lambda r: r.get("others", float("inf")))


def half(rows):
    """The number of targets with which gtmd uses half of its core for HTTP, as far as the rows tell."""
    mine = [r for r in rows if r["prober"] == "gtmd" and r["kind"] == "http" and r.get("cpu_us")]
    if not mine:
        return None
    at = min(mine, key=lambda r: abs(r["cpu0_share"] - 0.5))
    return min(int(0.5e6 / at["cpu_us"] * options.interval), 120000)


COLUMNS = [  # title, key, how it is written
    ("prober", "prober", str), ("check", "kind", str), ("targets", "targets", str),
    ("wanted/s", "wanted_rate", "{:.0f}".format), ("seen/s", "rate", "{:.0f}".format), ("CPU us", "cpu_us", "{:.1f}".format),
    ("of cpu0", "cpu0_share", "{:.0%}".format), ("RSS MB", "rss", lambda v: f"{v / 1e6:.0f}"), ("PSS MB", "pss", lambda v: f"{v / 1e6:.0f}"),
    ("B/target", "per_target", "{:.0f}".format), ("threads", "threads", str), ("goroutines", "goroutines", str),
    ("delay p50 ms", "delay_p50_ms", "{:.2f}".format), ("p99 ms", "delay_p99_ms", "{:.1f}".format),
    ("good", "good", str), ("bad", "bad", str), ("void", "void", str), ("1st round s", "first_round_s", "{:.1f}".format),
    ("scrape s", "snapshot_s", "{:.2f}".format), ("others", "others", "{:.0%}".format), ("load", "load", "{:.1f}".format)]


def table(rows):
    lines = [[title for title, *_ in COLUMNS]]
    for r in rows:
        lines.append([write(r[key]) if r.get(key) is not None else "-" for _, key, write in COLUMNS])
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line, r in zip(lines, [None, *rows]):
        text = "  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths)))
        print(text + (f"  n/a: {r['unable']}" if r and "unable" in r else "") + ("  half load" if r and r.get("half") else ""))


def ratios(rows):
    """CPU per probe of gtmd beside each peer in the same round, as (kind, targets, peer): [ratio]."""
    cells = {(r["round"], r["kind"], r["targets"], r["prober"]): r["cpu_us"] for r in rows if r.get("cpu_us")}
    found = {}
    for (number, kind, targets, name), mine in cells.items():
        if name == "gtmd":
            for peer in peers.PROBERS:
                if peer != "gtmd" and (theirs := cells.get((number, kind, targets, peer))):
                    found.setdefault((kind, targets, peer), []).append(mine / theirs)
    return found


def aims(rows):
    """What is aimed at, beside what was measured."""
    def of(key, **where):
        return [r[key] for r in rows if r.get(key) is not None and all(r.get(k) == v for k, v in where.items())]

    print("\nCPU per probe, gtmd / peer: median (least to largest)")
    for (kind, targets, peer), values in sorted(ratios(rows).items()):
        aim = ", aim at most 0.50" if (kind, peer) == ("http", "blackbox") else ""
        print(f"  {kind} {targets}: {statistics.median(values):.2f} of {peer} ({min(values):.2f} to {max(values):.2f}){aim}")
    if rss := of("rss", prober="gtmd", kind="http", targets=100000):
        print(f"memory at 100000 http targets: {max(rss) / 1e9:.2f} GB, aim at most 1.5 GB")
    if delays := [(r["delay_p99_ms"], r["cpu0_share"]) for r in rows if r.get("half") and r.get("delay_p99_ms") is not None]:
        print(f"p99 start delay at half load ({delays[0][1]:.0%} of cpu0): {statistics.median(d for d, _ in delays):.1f} ms, aim at most 50 ms")
    wrong = sum(of("bad", prober="gtmd"))
    print(f"bad results of gtmd, all rows: {wrong}, aim 0")


def sysctl(name):
    with open("/proc/sys/" + name.replace(".", "/")) as f:
        return f"{name} = {' '.join(f.read().split())}"


def main():
    settings = [sysctl(n) for n in ("net.core.somaxconn", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_tw_reuse")]
    print("; ".join(settings) + f"; files {os.sysconf('SC_OPEN_MAX')}", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    rows, origin = [], Origin()

    def add(number, name, work, **more):
        row = {"round": number, **more, **patiently(name, work, origin)}
        rows.append(row)
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            print(f"# {name} {work.kind} {work.targets}: {row.get('unable') or format(row.get('cpu_us') or 0, '.1f') + ' us'}", file=sys.stderr)

    try:
        for number in range(options.rounds):
            for targets in map(int, options.targets.split(",")):
                for kind in options.kinds.split(","):
                    names = options.probers.split(",")
                    random.shuffle(names)
                    for name in names:
                        add(number, name, peers.Work(kind, targets, PORT, options.interval, options.timeout))
            if not options.quick and not options.no_half and (targets := half(rows)):
                add(number, "gtmd", peers.Work("http", targets, PORT, options.interval, options.timeout), half=True)
    finally:
        origin.close()
        if not options.json and rows:
            names = list(peers.PROBERS)
            table(sorted(rows, key=lambda r: (r["targets"], r["kind"], names.index(r["prober"]), r["round"])))
            aims(rows)


main()
