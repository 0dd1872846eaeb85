"""The account of what the daemon said and the broker took: every event once, with everything that must hold while it happens.

Belongs here: conservation in numbers, identity, order, delay; pure, time is an argument. Does not: what should have happened in the scene
(judge.py), sockets (tap.py).
"""
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

ALERTS = ("alert_raised", "alert_cleared")
# What the judge asks for; the rest of a message is in its digest.
KEPT = (
    "id", "event", "seq", "boot_id", "camera", "at", "zone", "line", "direction", "count", "before", "class", "total", "alert", "alerts",
    "reason",
)
# More than this many of one kind say nothing new.
SHOWN = 10


def seconds(rfc3339):
    return datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).timestamp()


def kept(body):
    """A long run has many events: this is a tenth of the memory."""
    track = body["track"] and {"class": body["track"]["class"], "box_px": body["track"]["box_px"]}
    return {key: body[key] for key in KEPT if key in body} | {"track": track}


@dataclass
class Entry:
    """One event."""

    body: dict
    digest: bytes
    first_at: float
    acked_at: float | None = None
    sent: int = 1

    @property
    def camera(self):
        return self.body["camera"] or ""

    @property
    def seq(self):
        return self.body["seq"]

    @property
    def at(self):
        return seconds(self.body["at"])

    @property
    def is_alert(self):
        return self.body["event"] in ALERTS


@dataclass
class Ledger:
    """Hears publishes and acknowledgements; `violations` is empty while all is well."""

    prefix: str
    entries: dict = field(default_factory=dict)
    numbers: dict = field(default_factory=dict)
    newest: dict = field(default_factory=dict)
    violations: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    last_ack_at: float = 0.0
    # When something came again.
    repeats: list = field(default_factory=list)

    def fault(self, kind, text):
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            self.violations.append(f"{kind}: {text}")

    def is_event(self, topic):
        return topic.startswith(self.prefix + "/") and topic.split("/")[-1] == "events"

    def published(self, now, publish):
        """A PUBLISH that goes on to the broker; gives the event's id, which `acknowledged` wants back."""
        if not self.is_event(publish.topic):
            return None
        if publish.qos != 1 or publish.retain:
            self.fault("form", f"{publish.topic}: QoS {publish.qos}, retained {publish.retain}")
        try:
            body = json.loads(publish.payload)
            entry = Entry(kept(body), hashlib.sha256(publish.topic.encode() + b"\0" + publish.payload).digest(), now)
            key = body["id"], (entry.camera, entry.seq), body["boot_id"], entry.at, body["event"]
        except (ValueError, KeyError, TypeError) as error:
            self.fault("form", f"{publish.topic}: {error!r} in {publish.payload[:200]!r}")
            return None
        return self.enter(key[0], key[1], entry, publish.topic)

    def enter(self, name, number, entry, topic):
        known = self.entries.get(name)
        if known:
            known.sent += 1
            self.counts["repeated"] += 1
            self.repeats.append(entry.first_at)
            if known.digest != entry.digest:
                self.fault("changed", f"{name} came again with other bytes or another topic: {topic}")
            return name
        if number in self.numbers:
            self.fault("number twice", f"{number} is {self.numbers[number]} and {name}")
        self.numbers[number] = name
        camera, seq = number
        expected = f"{self.prefix}/camera/{camera}/events" if camera else f"{self.prefix}/events"
        if topic != expected:
            self.fault("form", f"an event of {camera or 'the device'} on {topic}")
        # Alerts may overtake; within each lane a camera's events are in order.
        lane = camera, entry.is_alert
        if seq < self.newest.get(lane, 0):
            self.fault("order", f"{camera}: {seq} after {self.newest[lane]}")
        self.newest[lane] = max(seq, self.newest.get(lane, 0))
        self.entries[name] = entry
        return name

    def acknowledged(self, now, name, taken):
        entry = self.entries[name]
        self.last_ack_at = now
        if not taken:
            self.fault("refused", f"the broker refused {name}")
        elif entry.acked_at is None:
            entry.acked_at = now
        else:
            self.counts["duplicates"] += 1

    def acked(self):
        return sum(entry.acked_at is not None for entry in self.entries.values())

    def close(self):
        """What can be said only when all is over."""
        for name, entry in self.entries.items():
            if entry.acked_at is None:
                self.fault("not acknowledged", f"{name}, {entry.camera} {entry.seq}")
            if entry.body["event"] == "lost":
                self.fault("lost", json.dumps({key: entry.body.get(key) for key in ("count", "alerts", "reason")}))
        cameras = {}
        for camera, seq in self.numbers:
            cameras.setdefault(camera, []).append(seq)
        for camera, seqs in cameras.items():
            missing = sorted(set(range(1, max(seqs) + 1)) - set(seqs))
            for seq in missing:
                self.fault("gap", f"{camera or 'device'}: {seq} never came")
            # Whatever the wall clock did: an event that is newer has the greater id.
            names = [self.numbers[camera, seq] for seq in sorted(seqs)]
            for older, newer in zip(names, names[1:]):
                if older >= newer:
                    self.fault("id order", f"{camera or 'device'}: {newer} follows {older}")

    def delays(self, of=lambda entry: True):
        """Seconds from the moment of the event to the broker's acknowledgement, sorted."""
        return sorted(e.acked_at - e.at for e in self.entries.values() if e.acked_at is not None and of(e))

    def fastest(self, window_secs=0.5):
        """Most first acknowledgements in any window, a second."""
        times = sorted(entry.acked_at for entry in self.entries.values() if entry.acked_at is not None)
        best = first = 0
        for last, time in enumerate(times):
            while time - times[first] > window_secs:
                first += 1
            best = max(best, last - first + 1)
        return best / window_secs


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
