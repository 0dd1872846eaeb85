"""What is read off a running daemon, and what follows from it. Belongs here: /proc, /stats and arithmetic. Does not: starting anything.

Tested by test_measured.py."""
import collections
import json
import math
import os
import re
import threading
import time
import urllib.request
from datetime import datetime

TICKS = os.sysconf("SC_CLK_TCK")
# Thread names, as Linux shows their first 15 bytes, by what the threads are for. The first that fits counts.
GROUPS = [
    ("ingest", r"ingest-"),
    ("open and close", r"(open|reap)-"),
    ("engine", r"(engine|int8)-"),
    ("publish", r"publish"),
    ("store", r"store"),
    ("api", r"api"),
    ("monitor", r"monitor"),
    ("pictures", r"pictures"),
    ("main", r"peregrine|signals|models|starting|pool-|gmain|dconf"),
    ("RTSP: connection", r"task|rtsp"),
    ("RTP: sessions and timers", r"rtp.*timer|rtpsession|rtcp|timer"),
    ("RTP to pictures: jitter buffer, decoder", r"rtpjitterbuffer|.*:src|av:|queue"),
]


def group_of(name):
    return next((group for group, pattern in GROUPS if re.match(pattern, name)), f"other: {name}")


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def slope_mib_per_hour(samples):
    """Least squares through (seconds, KiB)."""
    n = len(samples)
    if n < 3:
        return None
    mean_t, mean_v = sum(t for t, _ in samples) / n, sum(v for _, v in samples) / n
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    return sum((t - mean_t) * (v - mean_v) for t, v in samples) / spread * 3600 / 1024


def deviation(counts):
    """How far the one that is farthest from the mean is off, as a part of the mean."""
    mean = sum(counts) / len(counts)
    return max(abs(count - mean) for count in counts) / mean if mean else None


def largest_gap_ms(times, since, until):
    """The largest gap between two frames in a span of time. One that began before it or ends after it counts whole; where no frame came
    after it, the gap goes on to its end, and where none came before it, it began with it."""
    before, after = any(t <= since for t in times), any(t >= until for t in times)
    ends = sorted([*times, *([] if before else [since]), *([] if after else [until])])
    return max(b - a for a, b in zip(ends, ends[1:]) if b >= since and a <= until) * 1000


def histograms(page, family):
    """By label, how many times were within each edge (milliseconds): a family of /metrics. Its counts can be subtracted, quantiles cannot."""
    found = collections.defaultdict(dict)
    for label, edge, count in re.findall(rf'^peregrine_{family}_bucket{{\w+="([^"]*)",le="([^"]*)"}} (\d+)$', page, re.M):
        found[label][float(edge) * 1000] = int(count)
    return dict(found)


def times_since(before, after):
    """What was timed between two looks at one histogram. Quantiles lie evenly between their edges, as Prometheus reckons; None beyond the last."""
    counts = sorted((edge, count - before.get(edge, 0)) for edge, count in after.items())
    whole = counts[-1][1] if counts else 0

    def at(share):
        low, below = 0.0, 0
        for edge, count in counts:
            if count >= share * whole and count > below:
                return low + (edge - low) * (share * whole - below) / (count - below) if math.isfinite(edge) else None
            low, below = edge, count
        return None

    return {"count": whole, "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99)}


class Process:
    """Memory and processor time of a process, by thread group."""

    def __init__(self, pid):
        self.pid, self.rss, self.last = pid, [], {}
        self.cpu_secs, self.whole_at_mark = collections.Counter(), 0.0
        self.began = time.monotonic()

    def mark(self):
        """What was spent until now is not counted."""
        self.look()
        self.cpu_secs.clear()
        self.whole_at_mark = self.whole_cpu_secs()

    def look(self):
        with open(f"/proc/{self.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        self.rss.append((time.monotonic() - self.began, int(fields["VmRSS"].split()[0])))
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/stat") as stat:
                    name, rest = re.match(r"\d+ \((.*)\) (.*)", stat.read(), re.S).groups()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = rest.split()
            # A number may come again for another thread: what began when tells them apart.
            key, secs = (thread, fields[19]), (int(fields[11]) + int(fields[12])) / TICKS
            self.cpu_secs[group_of(name)] += secs - self.last.get(key, 0.0)
            self.last[key] = secs

    def whole_since_mark(self):
        """Of all threads, with those that ended between two looks."""
        return self.whole_cpu_secs() - self.whole_at_mark

    def whole_cpu_secs(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def stats(api_port):
    with urllib.request.urlopen(f"http://127.0.0.1:{api_port}/stats", timeout=30) as answer:
        return json.load(answer)


def metrics(api_port):
    with urllib.request.urlopen(f"http://127.0.0.1:{api_port}/metrics", timeout=30) as answer:
        return answer.read().decode()


class Frames:
    """Every analysed frame's capture time, camera by camera, from the messages with its detections."""

    def __init__(self, lines):
        self.captured, self.latency_ms = collections.defaultdict(list), []
        self.thread = threading.Thread(target=self.read, args=(lines,), daemon=True)
        self.thread.start()

    def read(self, lines):
        for line in lines:
            received, body = line.split(" ", 1)
            message = json.loads(body)
            captured = datetime.fromisoformat(message["captured_at"]).timestamp()
            self.captured[message["camera"]].append(captured)
            self.latency_ms.append((captured, (float(received) - captured) * 1000))

    def gaps_ms(self, cameras, since, until):
        """The largest gap between two frames of each of these cameras in a span of time."""
        return {camera: largest_gap_ms(list(self.captured.get(camera, ())), since, until) for camera in cameras}
