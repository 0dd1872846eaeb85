#!/usr/bin/env python3
"""How fast a long backlog drains, and whether alerts of the moment wait for it: the real daemon, a real mosquitto, a store that is full.

Belongs here: the run and its figures. Does not: what filled the store (tests/benches/store.rs; scripts/soak-backlog.sh joins both). The
backlog is of cameras that the daemon does not have; its own ones watch the coded clip and raise alerts, which a subscriber times.
"""
import argparse
import asyncio
import json
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt

import clip
import scene
import settings
from ledger import ALERTS, percentile, seconds
from world import Broker, Daemon, free_port, until

MODEL = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/data/coded_detector.onnx"
CAMERAS = [f"live{number}" for number in range(4)]
# As long as it takes until people walk about in the clip.
AWAY_SECS = 15.0
# What the clip's cameras have always on the way.
DRAINED = 200
DRAIN_SECS = 1800.0
LOOK_SECS = 0.5
# What was raised while nobody was connected is not of the moment.
LIVE_AFTER_SECS = 2.0
START_SECS = 60
LEAST_PER_SEC = 2000
ALERTS_WITHIN_SECS = 1.0
SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


class Alerts:
    """Subscribes to the watched cameras' events alone, so that it is not busy with the backlog."""

    def __init__(self, port):
        self.delays, self.lock = [], threading.Lock()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="soak-alerts")
        topics = [(f"peregrine/{settings.DEVICE}/camera/{camera}/events", 1) for camera in CAMERAS]
        self.client.on_connect = lambda client, *_: client.subscribe(topics)
        self.client.on_message = self.heard
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def heard(self, _client, _data, message):
        now, body = time.time(), json.loads(message.payload)
        if body["event"] in ALERTS:
            with self.lock:
                self.delays.append((seconds(body["at"]), now))


class Everything:
    """A plain subscriber to all events, whose session the broker knows before the first of them comes."""

    def __init__(self, port, work):
        self.file = work / "everything.txt"
        self.out = self.file.open("wb")
        topic = f"peregrine/{settings.DEVICE}/camera/+/events"
        self.command = ["mosquitto_sub", "-p", str(port), "-i", "soak-everything", "-c", "-q", "1", "-t", topic]
        subprocess.run([*self.command, "-E"], check=True)
        self.process = None

    def listen(self):
        self.process = subprocess.Popen(self.command, stdout=self.out)

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.out.close()
        seqs, times = {}, 0
        with self.file.open("rb") as lines:
            for line in lines:
                # Whole parsing of half a million messages would take longer than the run.
                camera, seq = re.search(rb'"camera":"([^"]*)"', line)[1].decode(), int(re.search(rb'"seq":(\d+)', line)[1])
                seqs.setdefault(camera, []).append(seq)
                times += 1
        distinct = {camera: set(of) for camera, of in seqs.items()}
        missing = {camera: len(set(range(1, max(of) + 1)) - of) for camera, of in distinct.items()}
        in_order = all(of == sorted(of) for camera, of in seqs.items() if camera not in CAMERAS)
        return {
            "messages": times,
            "events": sum(len(of) for of in distinct.values()),
            "missing": sum(missing.values()),
            "in_order": in_order,
        }


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        text = page.read().decode()
    return float(re.search(rf"^peregrine_{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.M)[1])


def answers(port):
    try:
        return metric(port, "store_events_waiting") >= 0
    except OSError:
        return False


def resident_mb(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def alerts():
    """One for each walker of each camera: raised when it enters a zone, cleared when it leaves it."""
    return "".join(
        f'\n[alert.{camera}_{name}]\non = "entered"\ncameras = ["{camera}"]\nzone = "west"\nclasses = ["{name}"]\ncooldown_secs = 0\n'
        for camera in CAMERAS for name in scene.CLASSES[:scene.WALKERS]
    )


def configured(work, port, api_port):
    config = work / "peregrine.toml"
    clip.draw(work / "coded.avi")
    text = settings.text(work=work, model=MODEL, clip=work / "coded.avi", port=port, api_port=api_port, cameras=CAMERAS)
    config.write_text(text + alerts())
    return config


async def measure(command, work):
    """The daemon begins while the broker is away, which then comes."""
    broker, api_port, findings = Broker(work, saves_each=False), free_port(), Findings()
    daemon = Daemon(command, work, findings)
    await broker.start()
    everything = Everything(broker.port, work)
    await broker.end(signal.SIGTERM)
    await daemon.start(configured(work, broker.port, api_port))
    try:
        await until("the daemon answers", lambda: answers(api_port), START_SECS)
        await asyncio.sleep(AWAY_SECS)
        before = metric(api_port, "store_events_waiting")
        await broker.start()
        everything.listen()
        live = Alerts(broker.port)
        seen = await watch(daemon, api_port, before)
        await asyncio.sleep(LIVE_AFTER_SECS)
        resident = resident_mb(daemon.process)
        await daemon.stop()
        live.client.loop_stop()
        return told(seen, live.delays, everything.end(), findings) | {"resident_mb": resident}
    finally:
        for process in (daemon.process, broker.process):
            if process and process.returncode is None:
                daemon.is_expected_to_run = False
                process.kill()
                await process.wait()


async def watch(daemon, api_port, before):
    """(moment, how many wait), from the last look before the connection to when nothing waits any more."""
    began = time.time()
    seen = [(began, before)]
    while seen[-1][1] > DRAINED:
        await asyncio.sleep(LOOK_SECS)
        look = time.time(), metric(api_port, "store_events_waiting")
        # Until the connection is there, only more wait.
        seen = [look] if look[1] >= before else [*seen, look]
        if daemon.process.returncode is not None or time.time() - began > DRAIN_SECS:
            raise SystemExit(f"not drained: {seen[-1][1]:.0f} wait")
    return seen


def told(seen, heard, subscriber, findings):
    """The run in numbers."""
    (began, most), (ended, _) = seen[0], seen[-1]
    rates = [round((a[1] - b[1]) / (b[0] - a[0])) for a, b in zip(seen, seen[2:])]
    delays = sorted(then - at for at, then in heard if began + LIVE_AFTER_SECS <= at <= ended)
    return {
        "waiting": most,
        "secs": round(ended - began, 1),
        "per_sec": round(most / (ended - began)),
        "slowest_per_sec": min(rates, default=None),
        "fastest_per_sec": max(rates, default=None),
        "alerts_while_draining": len(delays),
        "alert_delay_secs": {name: round(percentile(delays, share), 3) for name, share in SHARES.items()} if delays else None,
        "subscriber": subscriber,
        "findings": findings.found,
    }


class Findings:
    """What goes wrong with the processes; stands in the place of the soak's ledger."""

    def __init__(self):
        self.found = []

    def fault(self, kind, text):
        self.found.append(f"{kind}: {text}")


def is_good(told):
    """The bars of the project."""
    subscriber, delays = told["subscriber"], told["alert_delay_secs"]
    whole = not told["findings"] and not subscriber["missing"] and subscriber["in_order"]
    return whole and told["per_sec"] >= LEAST_PER_SEC and (delays is None or delays["p99"] <= ALERTS_WITHIN_SECS)


def main():
    of = argparse.ArgumentParser(description=__doc__)
    of.add_argument("--daemon", required=True, help="the program under test, with its first arguments")
    of.add_argument("--work", type=pathlib.Path, required=True, help="a folder whose state/events holds the backlog")
    args = of.parse_args()
    figures = asyncio.run(measure(args.daemon.split(), args.work.resolve()))
    print(json.dumps(figures, indent=2))
    print("good" if is_good(figures) else "NOT GOOD")
    raise SystemExit(0 if is_good(figures) else 1)


if __name__ == "__main__":
    main()
