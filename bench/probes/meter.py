"""What is measured of a running program: CPU time, memory, threads, and what gtmd counts of itself."""
import http.client
import os
import re


def family(pid):
    """The process and those that descend from it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parents[int(entry)] = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = [pid]
    for p in found:
        found += [child for child, parent in parents.items() if parent == p]
    return found


def cpu(pids):
    """Nanoseconds on a processor, over all threads that live now: schedstat is exact, utime and stime count ticks."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
        except OSError:
            pass
    return total


def memory(pids):
    """RSS and PSS in octets."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                for line in f:
                    name, *rest = line.split()
                    if name in sums:
                        sums[name] += int(rest[0]) * 1024
        except OSError:
            pass
    return sums["Rss:"], sums["Pss:"]


def threads(pids):
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids if os.path.exists(f"/proc/{pid}/task"))


def machine():
    """Seconds of all processors that were not idle."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


SAMPLE = re.compile(r'^(gtmd_probe_start_delay_seconds_bucket|gtmd_probes_total|go_goroutines|gtmd_probes_in_flight)(?:\{(.*)\})? (\S+)$')


def scrape(address):
    """What gtmd says of its probes: {name: {labels: value}}. The body is read to its end, as a real scrape does. Its error is OSError."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", "/metrics")
        body = connection.getresponse().read().decode()
    except http.client.HTTPException as e:
        raise OSError(f"the scrape of the metrics was cut off: {type(e).__name__}") from e
    finally:
        connection.close()
    found = {}
    for line in body.splitlines():
        if match := SAMPLE.match(line):
            found.setdefault(match[1], {})[match[2] or ""] = float(match[3])
    return found


def results(before, after):
    """Probes by result in between."""
    sums = {"good": 0, "bad": 0, "void": 0}
    for labels, value in after["gtmd_probes_total"].items():
        result = re.search(r'result="(\w+)"', labels)[1]
        sums[result] = sums.get(result, 0) + int(value - before["gtmd_probes_total"].get(labels, 0))
    return sums


def quantile(before, after, q):
    """Quantile of the start delay in between, in milliseconds, interpolated within its bucket as Prometheus does; None without probes."""
    buckets = []
    for labels, value in after["gtmd_probe_start_delay_seconds_bucket"].items():
        bound = float(re.search(r'le="([^"]+)"', labels)[1].replace("+Inf", "inf"))
        buckets.append((bound, value - before["gtmd_probe_start_delay_seconds_bucket"].get(labels, 0)))
    buckets.sort()
    total = buckets[-1][1]
    if not total:
        return None
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= q * total:
            share = (q * total - below) / (count - below)
            return 1000 * (low if bound == float("inf") else low + (bound - low) * share)
        low, below = bound, count
    return None
