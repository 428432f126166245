#!/usr/bin/env python3
"""peers.py RESULTS: the tables of a run of peers.sh, in Markdown.

Values are medians. A ratio is the median of paired ratios: the n-th measurement of a server by the n-th of the other; in brackets the
least and the largest. Ratios of one run can be compared, figures of two runs cannot.
"""
import collections
import json
import statistics
import sys

runs = collections.defaultdict(list)  # (mode, rate, conf), name -> rows
names = []
for line in open(sys.argv[1]):
    row = json.loads(line)
    rate = row.get("rate") if row["mode"] == "load" else None
    runs[row["mode"], rate, row["conf"], row["name"]].append(row)
    if row["name"] not in names:
        names.append(row["name"])
rates = sorted({rate for mode, rate, _, _ in runs if mode == "load"})


def median(mode, rate, conf, name, key, factor=1.0, digits=2):
    values = [row[key] * factor for row in runs[mode, rate, conf, name] if key in row]
    return f"{statistics.median(values):,.{digits}f}" if values else "-"


def ratio(mode, rate, name, base):
    pairs = zip(runs[mode, rate, "c1k", name], runs[mode, rate, "c1k", base])
    ratios = [row["us"] / other["us"] for row, other in pairs if other["us"]]
    if not ratios or name == base:
        return "-"
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]"


def lost(mode, rate, name):
    rows = runs[mode, rate, "c1k", name]
    sent = sum(row.get("sent", 0) for row in rows)
    return f"{100 * sum(row.get('lost', 0) for row in rows) / sent:.2f}" if sent else "-"


def table(title, head, cells):
    rows = [(name, cells(name)) for name in names]
    rows = [(name, row) for name, row in rows if any(cell != "-" for cell in row)]
    if rows:
        print(f"\n{title}\n\n| | " + " | ".join(head) + " |\n|" + "---|" * (len(head) + 1))
        for name, row in rows:
            print(f"| {name} | " + " | ".join(row) + " |")


for mode, rate, title in [("load", r, f"{r:,} q/s") for r in rates] + [("max", None, "As fast as it goes")]:
    table(title, ["CPU µs per query", "of gdnsd", "of the echo", "q/s", "lost %", "p50 µs", "p99 µs", "p99.9 µs"], lambda name: [
        median(mode, rate, "c1k", name, "us"), ratio(mode, rate, name, "gdnsd"), ratio(mode, rate, name, "echo-b32"),
        median(mode, rate, "c1k", name, "qps", 1, 0), lost(mode, rate, name),
        *(median(mode, rate, "c1k", name, p, 1, 0) for p in ("p50", "p99", "p999"))])
table("At half of its own maximum", ["q/s", "lost %", "p50 µs", "p99 µs", "p99.9 µs", "max µs"], lambda name: [
    median("lat50", None, "c1k", name, "qps", 1, 0), lost("lat50", None, name),
    *(median("lat50", None, "c1k", name, p, 1, 0) for p in ("p50", "p99", "p999", "max"))])
for conf, title in ("c1k", "1,000 names"), ("c100k", "100,000 names"):
    table(title, ["resident MB", "proportional MB", "start ms"], lambda name: [
        median("mem", None, conf, name, "rss", 1 / 1024, 1), median("mem", None, conf, name, "pss", 1 / 1024, 1),
        median("start", None, conf, name, "ms", 1, 0)])
table("Reload at 20,000 q/s", ["command ms", "lost", "gap ms", "p99 µs", "p99.9 µs", "max µs"], lambda name: [
    median("reload", None, "c1k", name, "cmd_ms", 1, 0), median("reload", None, "c1k", name, "lost", 1, 0),
    *(median("reload", None, "c1k", name, key, 1, 0) for key in ("gap_ms", "p99", "p999", "max"))])
