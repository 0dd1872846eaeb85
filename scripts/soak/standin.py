#!/usr/bin/env python3
"""Plays the daemon, for tests of the harness itself: standin.py run --config FILE, with the harness's configuration.

It makes the scene's events in real time, keeps them in a file before it sends them, sends until the broker acknowledges, and survives
kill -9. With PEREGRINE_SOAK_FLAW it makes one kind of mistake, which the harness must find: lose, gap, reorder, change, rename, silent.
"""
import json
import os
import pathlib
import select
import signal
import socket
import sys
import time
import tomllib
import uuid
from collections import Counter
from datetime import datetime, timezone

import expected
import scene
import wire

FLAW = os.environ.get("PEREGRINE_SOAK_FLAW", "")
# One event in so many gets the flaw.
FLAW_EVERY = 97
WINDOW = 20
KEEP_ALIVE_SECS = 4
ALERTS = {"dwell": "alert_raised", "dwell_end": "alert_cleared"}


def stamp(at):
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """Events and acknowledgements, one a line; what is torn at the end never happened."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "standin.jsonl"
        self.waiting, self.seqs, self.last_ms, self.open_alerts = {}, {}, 0, set()
        if path.exists():
            self.replay(path)
        self.file = path.open("ab", buffering=0)

    def replay(self, path):
        whole = path.read_bytes()
        whole = whole[:whole.rfind(b"\n") + 1]
        path.write_bytes(whole)
        for line in whole.splitlines():
            topic, said = line.split(b" ", 1)
            if topic == b"acked":
                self.waiting.pop(said.decode(), None)
                continue
            body = json.loads(said)
            self.waiting[body["id"]] = topic.decode(), said
            self.remember(body)

    def remember(self, body):
        self.seqs[body["camera"]] = body["seq"]
        self.last_ms = max(self.last_ms, uuid.UUID(body["id"]).int >> 80)
        change = {"alert_raised": self.open_alerts.add, "alert_cleared": self.open_alerts.discard}.get(body["event"])
        if change:
            change(body["alert"])

    def new_id(self):
        """UUIDv7, newer than every one before, whatever the clock says."""
        self.last_ms = max(self.last_ms + 1, int(time.time() * 1000))
        random = int.from_bytes(os.urandom(10), "big")
        return str(uuid.UUID(int=self.last_ms << 80 | 7 << 76 | (random >> 4 & 0xFFF) << 64 | 2 << 62 | random >> 18))

    def keep(self, topic, body):
        body["seq"] = self.seqs.get(body["camera"], 0) + 1
        self.remember(body)
        if FLAW == "gap" and body["seq"] % FLAW_EVERY == 0:
            return
        said = json.dumps(body).encode()
        self.file.write(topic.encode() + b" " + said + b"\n")
        self.waiting[body["id"]] = topic, said

    def acknowledged(self, name):
        self.waiting.pop(name)
        self.file.write(b"acked " + name.encode() + b"\n")


class Actor:
    """The scene in real time."""

    def __init__(self, config, store):
        self.store, self.prefix = store, f"peregrine/{config['device']['name']}"
        cameras = config.get("camera", {})
        self.cameras = [name for name, camera in cameras.items() if camera.get("enabled", True)]
        self.boot, self.began, self.told_to = str(uuid.uuid4()), time.time(), -1
        self.made = 0
        events = [(due.frame, stream, due) for stream, of in expected.of_clip().items() for due in of]
        self.events = sorted(events, key=lambda event: event[0])
        self.crossings, self.totals = Counter(), Counter()

    def act(self):
        until = int((time.time() - self.began) * scene.FPS)
        for frame in range(self.told_to + 1, until + 1):
            for at, stream, due in self.events:
                if at == frame % scene.FRAMES:
                    for camera in self.cameras:
                        self.tell(camera, frame, stream, due)
            if frame % (scene.COUNT_SECS * scene.FPS) == 0:
                self.count(frame)
        self.told_to = max(until, self.told_to)

    def tell(self, camera, frame, stream, due):
        self.made += 1
        if FLAW == "lose" and self.made % FLAW_EVERY == 0:
            return
        name = stream[-1] if due.box else None
        what = dict(due.what)
        self.keep(camera, frame, due.kind, name, due.box, what)
        if due.kind == "crossed":
            self.crossings[camera, what["line"], what["direction"], name] += 1
        alert = ALERTS.get(due.kind)
        if alert and (camera, name) == (self.cameras[0], scene.ALERT_CLASS):
            if (alert == "alert_raised") != (scene.ALERT in self.store.open_alerts):
                self.keep(camera, frame, alert, None, None, {"alert": scene.ALERT})

    def count(self, frame):
        for key, count in self.crossings.items():
            camera, line, direction, name = key
            self.totals[key] += count
            what = {"line": line, "direction": direction, "class": name, "count": count, "total": self.totals[key]}
            self.keep(camera, frame, "count", None, None, what)
        self.crossings.clear()

    def keep(self, camera, frame, kind, name, box, what):
        track = None
        if box:
            corners = {"x1": box.cx - box.w / 2, "x2": box.cx + box.w / 2, "y1": box.cy - box.h / 2, "y2": box.cy + box.h / 2}
            track = {"class": "o99" if FLAW == "rename" and self.made % FLAW_EVERY == 0 else name, "box_px": corners}
        body = {
            "schema": 1, "type": "event", "event": kind, "id": self.store.new_id(), "boot_id": self.boot, "camera": camera,
            "at": stamp(self.began + frame / scene.FPS), "track": track, **what,
        }
        self.store.keep(f"{self.prefix}/camera/{camera}/events", body)


class Talker:
    """A connection to the broker: MQTT 3.1.1, a window of publishes under way."""

    def __init__(self, port, store):
        self.port, self.store = port, store
        self.socket, self.aloft, self.next_id, self.heard = None, {}, 1, 0.0

    def connect(self):
        try:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=2)
            body = wire.text("MQTT") + bytes([4, 2]) + (KEEP_ALIVE_SECS * 2).to_bytes(2, "big") + wire.text("standin")
            self.socket.sendall(wire.packet(wire.CONNECT, 0, body))
            self.packets, self.aloft, self.heard, self.is_up = wire.Packets(), {}, time.monotonic(), False
            self.pinged = 0.0
        except OSError:
            self.socket = None

    def turn(self):
        if FLAW == "silent" and self.next_id > 60:
            return
        if not self.socket:
            return self.connect()
        try:
            self.hear()
            if self.is_up:
                self.send()
            if time.monotonic() - self.heard > KEEP_ALIVE_SECS:
                raise OSError("silent")
        except OSError:
            self.socket.close()
            self.socket = None

    def hear(self):
        if not select.select([self.socket], [], [], 0)[0]:
            return
        data = self.socket.recv(65536)
        if not data:
            raise OSError("closed")
        self.heard = time.monotonic()
        for kind, _, body in self.packets.feed(data):
            if kind == wire.CONNACK:
                self.is_up = True
            if kind == wire.PUBACK:
                self.store.acknowledged(self.aloft.pop(wire.puback(body)[0]))

    def send(self):
        under_way = set(self.aloft.values())
        room = WINDOW - len(under_way)
        if time.monotonic() - max(self.heard, self.pinged) > KEEP_ALIVE_SECS / 4:
            self.socket.sendall(wire.packet(12, 0, b""))
            self.pinged = time.monotonic()
        due = []
        for name, (topic, said) in self.store.waiting.items():
            if len(due) >= room:
                break
            if name not in under_way:
                due.append((name, topic, said))
        if FLAW == "reorder" and self.next_id % FLAW_EVERY < 5:
            due.reverse()
        for name, topic, said in due:
            if FLAW == "change" and self.next_id % 7 == 0:
                said = said.replace(b'"schema": 1', b'"schema": 1, "age_ms": %d' % self.next_id)
            self.aloft[self.next_id] = name
            body = wire.text(topic) + self.next_id.to_bytes(2, "big") + said
            self.socket.sendall(wire.packet(wire.PUBLISH, 2, body))
            self.next_id = self.next_id % 65535 + 1


def main():
    with open(sys.argv[sys.argv.index("--config") + 1], "rb") as file:
        config = tomllib.load(file)
    store = Store(pathlib.Path(config["paths"]["state"]))
    actor, talker = Actor(config, store), Talker(int(config["mqtt"]["broker"].rsplit(":", 1)[1]), store)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    while not stopped:
        actor.act()
        talker.turn()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
