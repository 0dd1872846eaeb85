"""Compares what arrived with what was due, life by life of the daemon; pure.

A life that was killed must have told, in every stream, exactly the scene's events from its first frame on, up to the moment of the kill less
what durability allows; not one more, not one less, not one other. The clip repeats, so the due events are those of one round, again and
again. Counts and alerts are derived from the events that arrived: no second clock is needed.
"""
from collections import defaultdict
from dataclasses import dataclass

import expected
import scene
from ledger import ALERTS

# An event may name a place that its track's filter, not the script, gives; a turn at the end of a row overshoots by a step or two.
BOX_SLACK_PX = 6
# Frames between the script's moment and the daemon's: settling, a dropped frame, hysteresis. In pixels along the row.
WAY_SLACK_PX = 40
# A stop ends what is open, wherever it is. What was captured this long before it may count as such an end.
STOPPING_SECS = 3.0


@dataclass
class Life:
    """From a start of the daemon to its end, by the wall clock."""

    began: float
    ended: float
    is_killed: bool
    boot: str | None = None


def stream_of(body):
    kind = body["event"]
    name = (body["track"] or {}).get("class")
    if kind in ("appeared", "gone"):
        return "presence", name
    if kind in ("entered", "left"):
        return "zone", body["zone"], name
    if kind in ("dwell", "dwell_end"):
        return "dwell", body["zone"], name
    if kind == "crossed":
        return "line", body["line"], name
    if kind == "occupancy":
        return "occupancy", body["zone"]
    if kind in ("crowd", "crowd_end"):
        return "crowd", body["zone"]
    return None


def matches(due, body):
    return body["event"] == due.kind and all(body.get(key) == value for key, value in due.what)


class Judge:
    """One verdict over a ledger."""

    def __init__(self, ledger, lives, slack_secs):
        self.ledger, self.lives, self.slack_secs = ledger, lives, slack_secs
        self.due = expected.of_clip()
        self.matched = 0

    def fault(self, kind, text):
        self.ledger.fault(kind, text)

    def run(self, cameras):
        told = defaultdict(list)
        for entry in self.ledger.entries.values():
            told[entry.body["boot_id"], entry.camera].append(entry)
        self.name_lives(told)
        for entries in told.values():
            entries.sort(key=lambda entry: entry.seq)
        for number, life in enumerate(self.lives, 1):
            for camera in cameras:
                of_life = told.pop((life.boot, camera), []) if life.boot else []
                self.judge_life(f"life {number} {camera}", life, of_life)
        for (boot, camera), entries in told.items():
            if camera in cameras:
                self.fault("unknown life", f"{len(entries)} events of {camera} with boot {boot}")
        self.judge_alerts(cameras)

    def name_lives(self, told):
        """Which boot id is which life: the one whose events were captured in it."""
        for (boot, _), entries in told.items():
            for life in self.lives:
                if life.boot in (None, boot) and all(life.began - 1 <= e.at <= life.ended + 1 for e in entries):
                    life.boot = boot

    def judge_life(self, where, life, entries):
        streams = defaultdict(list)
        for entry in entries:
            stream = stream_of(entry.body)
            if stream:
                streams[stream].append(entry)
        for stream in streams.keys() - self.due.keys():
            self.fault("not due", f"{where}: {stream} {streams[stream][0].body}")
        rounds = self.rounds(streams)
        for stream, due in self.due.items():
            self.judge_stream(f"{where} {'/'.join(stream)}", life, due, streams[stream], rounds)
        self.judge_counts(where, entries)

    def rounds(self, streams):
        """When each round of the clip began: the latest that its own events allow, so that nothing is asked for too early."""
        began = {}
        for stream, due in self.due.items():
            for place, entry in enumerate(streams[stream]):
                number, within = divmod(place, len(due))
                start = entry.at - due[within].frame / scene.FPS
                began[number] = max(began.get(number, start), start)
        return began

    def judge_stream(self, where, life, due, entries, rounds):
        for place, entry in enumerate(entries):
            want = due[place % len(due)]
            closes = entry.body["event"] in expected.CLOSING or entry.body["event"] == "occupancy"
            may_be_stop = not life.is_killed and closes and entry.at >= life.ended - STOPPING_SECS
            if matches(want, entry.body):
                self.matched += 1
                # A stop ends things wherever they are.
                if not may_be_stop:
                    self.judge_box(where, want, entry.body)
                continue
            if may_be_stop:
                return
            self.fault("not as due", f"{where}: due {want.kind} {dict(want.what)} as number {place + 1}, came {entry.body}")
            return
        number, within = divmod(len(entries), len(due))
        began = rounds.get(number)
        if began is None and number - 1 in rounds:
            # Opening the clip again takes its time; two rounds' worth of slack says that it was not opened at all.
            began = rounds[number - 1] + scene.LOOP_SECS + 2 * self.slack_secs
        at = (began if began is not None else life.began + 4 * self.slack_secs) + due[within].frame / scene.FPS
        if at < life.ended - self.slack_secs:
            late = life.ended - at
            self.fault("missing", f"{where}: {due[within].kind} number {len(entries) + 1} was due {late:.1f} s before the end")

    def judge_box(self, where, want, body):
        """The message shows the object where the script put it: it was not mixed up with another one on its way."""
        track = body["track"]
        if want.box is None or track is None:
            return
        box = track["box_px"]
        cx, cy = (box["x1"] + box["x2"]) / 2, (box["y1"] + box["y2"]) / 2
        if abs(cy - want.box.cy) > BOX_SLACK_PX or abs(cx - want.box.cx) > WAY_SLACK_PX:
            self.fault("elsewhere", f"{where}: {body['event']} at ({cx:.0f},{cy:.0f}), due at ({want.box.cx:.0f},{want.box.cy:.0f})")

    def judge_counts(self, where, entries):
        """Totals are what the crossings before them add up to."""
        crossed, totals, sums = defaultdict(int), {}, defaultdict(int)
        for entry in entries:
            body = entry.body
            if body["event"] == "crossed":
                crossed[body["line"], body["direction"], body["track"]["class"]] += 1
            if body["event"] == "count":
                key = body["line"], body["direction"], body["class"]
                sums[key] += body["count"]
                totals[key] = body["total"]
                if not body["total"] == sums[key] == crossed[key]:
                    text = f"{key}: total {body['total']}, counts {sums[key]}, crossings {crossed[key]}"
                    self.fault("count", f"{where}: {text}")

    def judge_alerts(self, cameras):
        """Raised and cleared take turns over all lives, and follow what they are about."""
        entries = [e for e in self.ledger.entries.values() if e.camera in ("", cameras[0])]
        # Ids sort over cameras and lives; numbers do so within a camera only, and an alert may be the device's.
        entries.sort(key=lambda entry: entry.body["id"])
        is_open, wants, boot = False, None, None
        for entry in entries:
            body = entry.body
            if body["boot_id"] != boot:
                # A kill may fall between an event and what follows from it.
                boot, wants = body["boot_id"], None
            kind, about = body["event"], stream_of(body) == ("dwell", scene.ALERT_ZONE, scene.ALERT_CLASS)
            if about:
                if wants:
                    self.fault("alert", f"none after {wants}")
                wants = kind if (kind == "dwell") != is_open else None
            if kind in ALERTS and body["alert"] == scene.ALERT:
                if (kind == "alert_raised") == is_open:
                    self.fault("alert", f"{kind} when it was so already: {body}")
                is_open, wants = kind == "alert_raised", None
