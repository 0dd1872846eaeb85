"""Tests of the harness's pure parts, by the standard library alone: python3 -m unittest (in this folder)."""
import json
import unittest
import uuid

import expected
import scene
import squares
import wire
from judge import Judge, Life
from ledger import Ledger, seconds
from standin import stamp

CAMERA, BOOT, BEGAN = "c0", "boot", 1_800_000_000.0


def bodies(until_secs):
    """What a daemon without a fault says of its first seconds."""
    due = []
    for round_ in range(int(until_secs // scene.LOOP_SECS) + 1):
        for stream, of in expected.of_clip().items():
            due += [(BEGAN + round_ * scene.LOOP_SECS + d.frame / scene.FPS, stream, d) for d in of]
    for seq, (at, stream, d) in enumerate(sorted((d for d in due if d[0] < BEGAN + until_secs), key=lambda d: d[0]), 1):
        box = d.box
        track = box and {
            "class": stream[-1],
            "box_px": {"x1": box.cx - 24, "x2": box.cx + 24, "y1": box.cy - 6, "y2": box.cy + 6},
        }
        name = str(uuid.UUID(int=seq))
        yield {"id": name, "event": d.kind, "seq": seq, "boot_id": BOOT, "camera": CAMERA, "at": stamp(at), "track": track} | dict(d.what)


def publish(body, **other):
    said = {"topic": f"p/d/camera/{CAMERA}/events", "qos": 1, "retain": False, "dup": False, "packet_id": 1} | other
    return wire.Publish(payload=json.dumps(body).encode(), **said)


def ledger_of(said, **other):
    ledger = Ledger("p/d")
    for body in said:
        if name := ledger.published(BEGAN, publish(body, **other)):
            ledger.acknowledged(BEGAN + 1, name, True)
    return ledger


def verdict(said, secs, is_killed=True):
    ledger = ledger_of(said)
    ledger.close()
    Judge(ledger, [Life(BEGAN, BEGAN + secs, is_killed)], 2.0).run([CAMERA])
    return ledger


class Wire(unittest.TestCase):
    def test_packets_are_whole_however_the_stream_is_cut(self):
        stream = wire.packet(wire.PUBLISH, 2, wire.text("a/b") + b"\0\7" + b"x" * 300) + wire.packet(wire.PUBACK, 0, b"\0\7")
        for size in (1, 2, 3, 7, 200, 1000):
            packets = wire.Packets()
            got = [p for at in range(0, len(stream), size) for p in packets.feed(stream[at:at + size])]
            self.assertEqual([kind for kind, _, _ in got], [wire.PUBLISH, wire.PUBACK], size)
            self.assertEqual(wire.publish(got[0][1], got[0][2], 4).payload, b"x" * 300)

    def test_the_properties_of_version_5_are_not_payload(self):
        body = wire.text("a/b") + b"\0\7" + b"\2\1\1" + b"payload"
        self.assertEqual(wire.publish(2, body, 5), wire.Publish("a/b", 1, False, False, 7, b"payload"))

    def test_a_reason_code_of_version_5_may_refuse(self):
        self.assertEqual(wire.puback(b"\0\7"), (7, True))
        self.assertEqual(wire.puback(b"\0\7\x10"), (7, True))
        self.assertEqual(wire.puback(b"\0\7\x97\0"), (7, False))


class Scene(unittest.TestCase):
    def test_a_frames_squares_say_who_is_where(self):
        for frame in range(0, scene.FRAMES, 7):
            rows = squares.grid(scene.objects(frame), frame)
            for number in range(scene.OBJECTS):
                box = scene.objects(frame).get(number)
                self.assertEqual(rows[number][squares.PRESENT], int(box is not None))
                for name, (first, how_many, unit) in squares.FIELDS.items():
                    value = int("".join(map(str, rows[number][first:first + how_many])), 2) * unit
                    self.assertEqual(value, getattr(box, name) if box else 0)

    def test_nobody_spans_the_seam_of_the_clip(self):
        for frame in [*range(scene.FIRST_FRAME), *range(scene.FRAMES - scene.EMPTY_FRAMES, scene.FRAMES)]:
            self.assertEqual(scene.objects(frame), {})

    def test_every_walker_passes_both_zones_and_the_line_on_every_leg(self):
        due = expected.of_clip()
        for name in scene.CLASSES[:scene.WALKERS]:
            self.assertEqual([d.kind for d in due["line", "gate", name]], ["crossed"] * scene.LEGS)
            self.assertEqual([dict(d.what)["direction"] for d in due["line", "gate", name]], ["out", "in"] * 3 + ["out"])
            for zone in ("west", "east"):
                self.assertEqual([d.kind for d in due["zone", zone, name]], ["entered", "left"] * scene.LEGS)

    def test_who_passes_beyond_the_lines_end_does_not_cross_it(self):
        self.assertNotIn(("line", "gate", scene.ALERT_CLASS), expected.of_clip())

    def test_the_yard_fills_becomes_a_crowd_and_empties(self):
        due = expected.of_clip()
        counts = [dict(d.what)["count"] for d in due["occupancy", "yard"]]
        self.assertEqual(counts, [1, 2, 1, 0] * scene.DWELL_ROUNDS)
        self.assertEqual([d.kind for d in due["crowd", "yard"]], ["crowd", "crowd_end"] * scene.DWELL_ROUNDS)


class Verdict(unittest.TestCase):
    def test_a_daemon_without_a_fault_has_no_findings(self):
        for secs in (3.0, 20.0, 43.6, 100.0):
            alerts_aside = [v for v in verdict(bodies(secs), secs).violations if not v.startswith("alert")]
            self.assertEqual(alerts_aside, [], secs)

    def test_each_event_that_is_left_out_is_found(self):
        said = list(bodies(30.0))
        for left_out in range(0, len(said), 13):
            some = [dict(body) for place, body in enumerate(said) if place != left_out]
            for seq, body in enumerate(some, 1):
                body["seq"] = seq
            found = verdict(some, 30.0).counts
            too_late_to_tell = said[left_out]["at"] > stamp(BEGAN + 28.0)
            self.assertTrue(too_late_to_tell or found["not as due"] or found["missing"], said[left_out])

    def test_a_daemon_that_fell_silent_is_found(self):
        self.assertGreater(verdict(bodies(20.0), 30.0).counts["missing"], 0)
        self.assertGreater(verdict([], 30.0).counts["missing"], 0)

    def test_an_object_at_another_place_is_found(self):
        said = list(bodies(10.0))
        track = next(body["track"] for body in said if body["event"] == "entered")
        track["box_px"] = {"x1": 0, "x2": 32, "y1": 200, "y2": 212}
        self.assertEqual(verdict(said, 10.0).counts["elsewhere"], 1)

    def test_what_a_stop_ends_may_be_anywhere_and_what_a_kill_ends_may_not(self):
        said = list(bodies(10.0))
        name = next(body["track"]["class"] for body in said if body["event"] == "entered")
        end = next(body for body in said if body["event"] == "left" and body["track"]["class"] == name)
        before = [body for body in said if body["seq"] < end["seq"]]
        secs = seconds(end["at"]) - BEGAN
        end["track"]["box_px"] = {"x1": 0, "x2": 48, "y1": 6, "y2": 18}
        self.assertEqual(verdict([*before, end], secs, is_killed=False).counts["elsewhere"], 0)
        self.assertEqual(verdict([*before, end], secs, is_killed=True).counts["elsewhere"], 1)

    def test_a_gap_a_number_twice_and_a_wrong_order_are_found(self):
        said = list(bodies(10.0))
        self.assertEqual(verdict(said[:20] + said[21:], 10.0).counts["gap"], 1)
        self.assertEqual(verdict(said[:20] + [said[21], said[20]] + said[22:], 10.0).counts["order"], 1)
        self.assertEqual(verdict([*said, said[3] | {"id": "other"}], 10.0).counts["number twice"], 1)

    def test_a_repeated_event_must_have_the_same_bytes(self):
        body = next(bodies(10.0))
        same, other = ledger_of([body, body]), ledger_of([body, body | {"age_ms": 7}])
        self.assertEqual((same.counts["repeated"], same.violations), (1, []))
        self.assertEqual(other.counts["changed"], 1)

    def test_an_event_must_not_be_retained_nor_fleeting(self):
        body = next(bodies(10.0))
        self.assertEqual(ledger_of([body], retain=True).counts["form"], 1)
        self.assertEqual(ledger_of([body], qos=0, packet_id=None).counts["form"], 1)

    def test_what_was_never_acknowledged_is_found(self):
        ledger = Ledger("p/d")
        ledger.published(BEGAN, publish(next(bodies(10.0))))
        ledger.close()
        self.assertEqual(ledger.counts["not acknowledged"], 1)

    def test_an_alert_that_is_not_raised_is_found(self):
        self.assertGreater(verdict(bodies(30.0), 30.0).counts["alert"], 0)

    def test_totals_are_what_was_crossed(self):
        said = list(bodies(10.0))
        crossed = [body for body in said if body["event"] == "crossed"]
        count = crossed[0] | {"event": "count", "class": crossed[0]["track"]["class"], "track": None, "seq": len(said) + 1}
        right, wrong = count | {"id": "y", "count": 1, "total": 1}, count | {"id": "y", "count": 1, "total": 2}
        self.assertEqual(verdict([*said, right], 10.0).counts["count"], 0)
        self.assertEqual(verdict([*said, wrong], 10.0).counts["count"], 1)


if __name__ == "__main__":
    unittest.main()
