"""The events that the scene makes, worked out from the script alone, frame by frame.

Belongs here: what is due, in order, with the frame that makes it. Does not: what arrived (judge.py). It shares nothing with the daemon's
rules: no tracker, no settling, no hysteresis; the scene leaves room for all of them.

Events are told in streams, each in order in itself: one object and one place, or one place that counts. Across streams the order of
events that happen in the same moment is nobody's promise.
"""
import functools
from dataclasses import dataclass, field

import scene

# What ends what: when a camera stops, the daemon may close what is open.
CLOSING = {"gone", "left", "dwell_end", "crowd_end", "moving"}


@dataclass(frozen=True)
class Due:
    """One event of the clip; `what` is what the message must say beside its kind."""

    frame: int
    kind: str
    what: tuple
    box: scene.Box | None = None


@dataclass
class Streams:
    """Stream to its events, in the order of frames."""

    of: dict = field(default_factory=dict)

    def add(self, stream, frame, kind, box=None, **what):
        self.of.setdefault(stream, []).append(Due(frame, kind, tuple(sorted(what.items())), box))


def side(line, point):
    """Above 0: left of the line as seen walking from its first point to its last, in a picture whose y grows downwards."""
    (x1, y1), (x2, y2) = line.points
    return (y2 - y1) * (point[0] - x1) - (x2 - x1) * (point[1] - y1)


def is_beside(line, point):
    """Whether the line itself is there, not only what would go on beyond its ends. Lines of the scene are upright."""
    ys = [y for _, y in line.points]
    return min(ys) <= point[1] <= max(ys)


def stays(zone, number):
    """First and last frame of every stay of an object in a zone."""
    inside_since, last = None, None
    for frame in range(scene.FRAMES + 1):
        box = scene.objects(frame).get(number) if frame < scene.FRAMES else None
        inside = box is not None and zone.holds(box.anchor)
        if inside and inside_since is None:
            inside_since = frame
        if not inside and inside_since is not None:
            yield inside_since, last
            inside_since = None
        last = frame


def of_presence(streams, number):
    there = [frame for frame in range(scene.FRAMES) if number in scene.objects(frame)]
    name = scene.CLASSES[number]
    streams.add(("presence", name), there[0], "appeared", scene.objects(there[0])[number])
    streams.add(("presence", name), there[-1] + scene.MAX_AGE_FRAMES, "gone", scene.objects(there[-1])[number])


def of_zone(streams, zone, number):
    name = scene.CLASSES[number]
    for first, last in stays(zone, number):
        boxes = scene.objects(first)[number], scene.objects(last)[number]
        streams.add(("zone", zone.name, name), first, "entered", boxes[0], zone=zone.name)
        streams.add(("zone", zone.name, name), last + 1, "left", boxes[1], zone=zone.name)
        told = first + round((zone.dwell_secs or 0) * scene.FPS)
        if zone.dwell_secs and told < last:
            streams.add(("dwell", zone.name, name), told, "dwell", scene.objects(told)[number], zone=zone.name)
            streams.add(("dwell", zone.name, name), last + 1, "dwell_end", boxes[1], zone=zone.name)


def of_line(streams, line, number):
    before = None
    for frame in range(scene.FRAMES):
        box = scene.objects(frame).get(number)
        now = side(line, box.anchor) if box else None
        if now and before and (now > 0) != (before > 0) and is_beside(line, box.anchor):
            direction = line.directions[0 if before > 0 else 1]
            stream = ("line", line.name, scene.CLASSES[number])
            streams.add(stream, frame, "crossed", box, line=line.name, direction=direction)
        # A point on the line belongs to the side where it came from.
        before = now or before if box else None


def of_numbers(streams, zone):
    steps = []
    for number in range(scene.OBJECTS):
        for first, last in stays(zone, number):
            steps += [(first, 1), (last + 1, -1)]
    count, crowd_since = 0, None
    for frame, step in sorted(steps):
        before, count = count, count + step
        if zone.occupancy:
            streams.add(("occupancy", zone.name), frame, "occupancy", zone=zone.name, count=count, before=before)
        if not zone.crowd:
            continue
        if count >= zone.crowd[0] and crowd_since is None:
            crowd_since = frame
        if count < zone.crowd[0] and crowd_since is not None:
            told = crowd_since + round(zone.crowd[1] * scene.FPS)
            if told < frame:
                streams.add(("crowd", zone.name), told, "crowd", zone=zone.name, count=before)
                streams.add(("crowd", zone.name), frame, "crowd_end", zone=zone.name, count=count)
            crowd_since = None


@functools.cache
def of_clip():
    """Every stream of one round of the clip. Counts in intervals and alerts follow from these; the judge derives them."""
    streams = Streams()
    for number in range(scene.OBJECTS):
        of_presence(streams, number)
        for zone in scene.ZONES:
            of_zone(streams, zone, number)
        for line in scene.LINES:
            of_line(streams, line, number)
    for zone in scene.ZONES:
        of_numbers(streams, zone)
    for stream in streams.of.values():
        stream.sort(key=lambda due: due.frame)
    return streams.of
