#!/usr/bin/python3
"""Many cameras on the real daemon: shares, latency, gaps, memory and processor time. scripts/measure-cameras.sh starts it and says how."""
import argparse
import json
import math
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import measured

HERE = pathlib.Path(__file__).parent
LOOK_EVERY_SECS = 2
# Each fault lasts so long; a camera that died is back after it.
FAULT_SECS = 10
STARTS_WITHIN_SECS = 60
# A neighbour's frames may be so far apart, in milliseconds.
GAP_BAR_MS = 500


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    """Broker, cameras, daemon and subscriber; ended together."""

    def __init__(self, given, work):
        self.given, self.work, self.children = given, work, []
        self.broker_port, self.api_port = free_port(), free_port()

    def start(self, command, **more):
        child = subprocess.Popen(command, text=True, **more)
        self.children.append(child)
        return child

    def server(self, streams, port=0):
        given = self.given
        command = ["/usr/bin/python3", HERE / "server.py", "--streams", str(streams), "--size", given.size, "--fps", str(given.fps)]
        command += ["--clip", given.clip] if given.clip else []
        log = (self.work / "server.log").open("a")
        child = self.start([*command, "--port", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        child.port = int(child.stdout.readline() or sys.exit("the cameras do not start, see server.log"))
        return child

    def dead(self):
        """Addresses in turns: one refuses, one takes connections and says nothing, one swallows packets."""
        mute, hole = socket.socket(), socket.socket()
        for listener, backlog in ((mute, 4096), (hole, 0)):
            listener.bind(("127.0.0.1", 0))
            listener.listen(backlog)
        self.held = [mute, hole]
        for _ in range(4):
            # Its queue takes one or two, and nobody empties it.
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
            self.held.append(filler)
        ports = [free_port(), mute.getsockname()[1], hole.getsockname()[1]]
        # By name they come first, and so they are opened first.
        return "".join(f'[camera.a-dead{i:03}]\nsource = "rtsp://127.0.0.1:{ports[i % 3]}/cam"\n' for i in range(self.given.dead))

    def begin(self):
        work, given = self.work, self.given
        conf = work / "mosquitto.conf"
        conf.write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.start([program, "-c", conf], stderr=(work / "mosquitto.log").open("w"))
        # The one that dies is a process of its own.
        self.mortal = self.server(1) if given.faults else None
        self.cameras = self.server(given.cameras - (1 if given.faults else 0))
        sources = [f"rtsp://127.0.0.1:{self.cameras.port}/cam{i:02}" for i in range(given.cameras - (1 if given.faults else 0))]
        sources += [f"rtsp://127.0.0.1:{self.mortal.port}/cam00"] if given.faults else []
        self.names = [f"cam{i:02}" for i in range(given.cameras)]
        config = work / "peregrine.toml"
        config.write_text(self.config(sources) + self.dead())
        listen = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.broker_port), "-t", "peregrine/+/camera/+/detections", "-F", "%U %p"]
        until = time.monotonic() + STARTS_WITHIN_SECS
        while socket.socket().connect_ex(("127.0.0.1", self.broker_port)):
            if time.monotonic() > until:
                sys.exit("mosquitto does not listen")
            time.sleep(0.05)
        subscriber = self.start(["stdbuf", "-oL", *listen], stdout=subprocess.PIPE)
        self.frames = measured.Frames(subscriber.stdout)
        self.started = time.monotonic()
        # As the packaged service has it.
        arenas = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        self.daemon = self.start([given.daemon, "run", "--config", config], stderr=(work / "daemon.log").open("w"), env=arenas)

    def config(self, sources):
        given = self.given
        text = (
            f'[device]\nname = "measure"\n[mqtt]\nbroker = "mqtt://127.0.0.1:{self.broker_port}"\n'
            f'[api]\nlisten = "127.0.0.1:{self.api_port}"\n[paths]\nstate = "{self.work}/state"\n'
            f'[detect]\nmodel = "{given.model}"\nengine = "{given.engine}"\nthreads = {given.threads}\n'
            # Every analysed frame gives a message: that is what gaps are measured by.
            "[publish]\ndetections_hz = 120\n"
        )
        text += pathlib.Path(given.config_more).read_text() if given.config_more else ""
        return text + "".join(f'[camera.{n}]\nsource = "{s}"\n' for n, s in zip(self.names, sources))

    def wait_until_all_stream(self):
        until = time.monotonic() + STARTS_WITHIN_SECS
        while True:
            if self.daemon.poll() is not None:
                sys.exit(f"the daemon ended, see {self.work}/daemon.log")
            try:
                cameras = {n: c for n, c in measured.stats(self.api_port)["cameras"].items() if n in self.names}
            except OSError:
                cameras = {}
            if len(cameras) == len(self.names) and all(c["frames"] > 0 for c in cameras.values()):
                return time.monotonic() - self.started
            if time.monotonic() > until:
                sys.exit(f"not all cameras stream within {STARTS_WITHIN_SECS} s")
            time.sleep(0.02)

    def order(self, word, number):
        print(word, number, file=self.cameras.stdin, flush=True)

    def end(self):
        for child in reversed(self.children):
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def faults(world, span):
    """What is done when, in seconds from the start: (when, what, camera, do, undo)."""
    dies, port = len(world.names) - 1, world.mortal.port

    def back():
        world.mortal = world.server(1, port)

    def kill():
        world.mortal.kill()
        world.mortal.wait()

    of = [(word, number, lambda w=word, n=number: world.order(w, n), lambda n=number: world.order("normal", n))
          for number, word in enumerate(("stall", "flood", "resize"))]
    of.append(("die", dies, kill, back))
    # The first fifth is the calm before.
    return [(span * (i + 1) / (len(of) + 1), *fault) for i, fault in enumerate(of)]


def watch(world, process, span):
    """Looks at the daemon for so long, and does what is to be done meanwhile. Returns the spans of the faults."""
    begun, spans, undo = time.monotonic(), [], None
    todo = faults(world, span) if world.given.faults else []
    while (now := time.monotonic() - begun) < span:
        if undo and now >= undo[0]:
            undo[1]()
            undo = None
        if todo and now >= todo[0][0] and not undo:
            _, word, number, do, back = todo.pop(0)
            spans.append((word, world.names[number], time.time()))
            do()
            undo = (now + FAULT_SECS, back)
        process.look()
        if world.daemon.poll() is not None:
            sys.exit(f"the daemon ended, see {world.work}/daemon.log")
        time.sleep(LOOK_EVERY_SECS / 4 if undo else LOOK_EVERY_SECS)
    if todo or undo:
        sys.exit(f"the time was too short for all faults: {[word for _, word, *_ in todo] or 'the last one is not over'}")
    return spans


def report(world, process, before, after, pages, span, spans, begun):
    names = world.names
    counts = {n: after["cameras"][n]["analysed"] - before["cameras"][n]["analysed"] for n in names}
    ended = time.time()
    faulty = {camera for _, camera, _ in spans}
    healthy = [n for n in names if n not in faulty]
    published, stages = (
        {label: measured.times_since(from_mark.get(label, {}), upto) for label, upto in measured.histograms(pages[1], family).items()}
        for family in ("camera_capture_to_publish_seconds", "stage_duration_seconds")
        for from_mark in [measured.histograms(pages[0], family)]
    )
    times = [published[n] for n in healthy]
    # Beyond the last edge of the histogram there is no number.
    worst = lambda quantile: max((math.inf if t[quantile] is None else t[quantile] for t in times), default=None)  # noqa: E731
    gaps = world.frames.gaps_ms(names, begun, ended)
    arrived = [ms for at, ms in world.frames.latency_ms if begun <= at <= ended]
    # Warm-up: pools and caches fill in the first fifth.
    settled = [(t, v) for t, v in process.rss if t >= span / 5]
    cpu = {group: secs for group, secs in process.cpu_secs.most_common()}
    # Threads that ended between two looks are in the whole and in no group.
    whole, frames = process.whole_since_mark(), sum(counts.values())
    lost = {n: {k: v - before["cameras"][n]["displaced"][k] for k, v in after["cameras"][n]["displaced"].items()} for n in names}
    return {
        "cameras": len(names), "seconds": round(span, 1), "model": world.given.model, "engine": world.given.engine,
        "analysed": counts, "analysed_fps": round(frames / span, 1),
        "largest_deviation_from_mean": measured.deviation([counts[n] for n in healthy]),
        "displaced": lost,
        "capture_to_publish_ms": {
            "p50_median_camera": measured.quantile([t["p50_ms"] for t in times if t["p50_ms"] is not None], 0.5),
            "p95_worst_camera": worst("p95_ms"), "p99_worst_camera": worst("p99_ms"),
        },
        "capture_to_subscriber_ms": {f"p{int(s * 100)}": measured.quantile(arrived, s) for s in (0.5, 0.95, 0.99)},
        "largest_gap_ms": gaps, "largest_gap_of_healthy_ms": max(gaps[n] for n in healthy),
        "faults": [
            # Until twice as long after it began: the coming back is part of it.
            {"what": word, "camera": camera,
             "largest_gap_of_neighbours_ms": max(world.frames.gaps_ms([n for n in healthy if n != camera], at, min(at + 2 * FAULT_SECS, ended)).values())}
            for word, camera, at in spans
        ],
        "rss_kib": {"first": process.rss[0][1], "last": process.rss[-1][1], "most": max(v for _, v in process.rss),
                    "mib_per_hour": measured.slope_mib_per_hour(settled)},
        "rss_series": [(round(t, 1), v) for t, v in process.rss],
        "cpu_secs_by_group": cpu, "cpu_secs": whole, "cpu_cores": whole / span, "cpu_ms_per_frame": 1000 * whole / max(frames, 1),
        "stages": stages,
    }


def show(r):
    print(f"{r['cameras']} cameras, {r['seconds']:.0f} s, {r['model']} by {r['engine']}: {r['analysed_fps']} frames a second analysed")
    print(f"all of them stream {r['all_stream_after_secs']:.2f} s after the daemon's start, with {r['dead']} dead cameras beside them")
    print(f"largest deviation from the fair share: {100 * r['largest_deviation_from_mean']:.2f} %")
    print("capture to publish, ms: p50 {p50_median_camera:.1f} (median camera), p95 {p95_worst_camera:.1f}, p99 {p99_worst_camera:.1f} "
          "(worst camera)".format(**r["capture_to_publish_ms"]))
    print("capture to subscriber, ms: p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} (all frames)".format(**r["capture_to_subscriber_ms"]))
    print(f"largest gap of a healthy camera: {r['largest_gap_of_healthy_ms']:.0f} ms")
    for fault in r["faults"]:
        gap = fault["largest_gap_of_neighbours_ms"]
        print(f"  {fault['camera']}: {fault['what']}; its neighbours' largest gap {gap:.0f} ms"
              + (f": MORE THAN {GAP_BAR_MS}" if gap > GAP_BAR_MS else ""))
    rss, slope = r["rss_kib"], r["rss_kib"]["mib_per_hour"]
    print(f"resident: {rss['first'] / 1024:.1f} MiB at first, {rss['last'] / 1024:.1f} at last, {rss['most'] / 1024:.1f} at most; "
          f"{'too short for a slope' if slope is None else f'{slope:+.2f} MiB an hour after the warm-up'}")
    print(f"processor: {r['cpu_cores']:.2f} cores, {r['cpu_ms_per_frame']:.2f} ms a frame, of which")
    whole = r["cpu_secs"] or 1
    unknown = max(0.0, r["cpu_secs"] - sum(r["cpu_secs_by_group"].values()))
    for group, secs in [*r["cpu_secs_by_group"].items(), ("not attributed: threads that ended", unknown)]:
        if secs / whole >= 0.001:
            print(f"  {100 * secs / whole:5.1f} %  {group}")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--daemon", required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--engine", default="auto")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--cameras", type=int, default=16)
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--size", default="640x360")
    options.add_argument("--fps", type=int, default=10)
    options.add_argument("--clip")
    options.add_argument("--config-more")
    options.add_argument("--faults", action="store_true")
    options.add_argument("--dead", type=int, default=0)
    options.add_argument("--json")
    options.add_argument("--work")
    given = options.parse_args()
    if given.faults and given.cameras < 5:
        sys.exit("--faults needs 5 cameras or more: four have faults, and one is the neighbour")
    if given.faults and given.minutes * 60 / 5 < 2 * FAULT_SECS:
        sys.exit(f"--faults needs {10 * FAULT_SECS / 60:.1f} minutes or more: four faults of {FAULT_SECS} s, each with as long a time to recover")
    work = pathlib.Path(given.work or tempfile.mkdtemp(prefix="peregrine-cameras-"))
    work.mkdir(parents=True, exist_ok=True)
    world = World(given, work)
    try:
        world.begin()
        started = world.wait_until_all_stream()
        process, before, begun = measured.Process(world.daemon.pid), measured.stats(world.api_port), time.time()
        pages = [measured.metrics(world.api_port)]
        process.mark()
        began = time.monotonic()
        spans = watch(world, process, given.minutes * 60)
        after, span = measured.stats(world.api_port), time.monotonic() - began
        pages.append(measured.metrics(world.api_port))
        process.look()
        told = report(world, process, before, after, pages, span, spans, begun)
        result = {"all_stream_after_secs": round(started, 2), "dead": given.dead, **told}
    finally:
        world.end()
    show(result)
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps(result, indent=1))
    if not given.work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
