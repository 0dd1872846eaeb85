"""The scripted scene of the soak: who is where in which frame, and the zones and lines that they meet.

Belongs here: positions and places, pure, one truth for the clip, the configuration and the expected events. Does not: how a frame codes
them (squares.py), which events follow (expected.py).

A clip is closed in itself: nobody is in its first frames and nobody in its last, for longer than a track survives, so that a camera that
plays it again and again tells the same events again and again, and nothing spans the seam. Every object has a class of its own, thus an
event names its object, and what happens to one object is in order whatever the frame rate does.
"""
import functools
import itertools
from dataclasses import dataclass

SIZE_PX = 256
FPS = 10
# Fits 14 objects into rows of 16 px without a touch: no detection is ever in doubt.
BOX_W, BOX_H = 48, 12
# Pixels a frame. Nobody starts, stops or turns at once: a tracker that misses a frame of a sharp turn begins a new track.
SPEED_PX = 4
EASE_PX = (1, 2, 3)

WALKERS = 12
DWELLERS = 2
OBJECTS = WALKERS + DWELLERS
CLASSES = [f"o{number:02d}" for number in range(16)]

LEGS = 7
WALK_FROM_X, WALK_TO_X = 24, 232



def eased(distance):
    """How far one has come, frame by frame, from standing to standing."""
    full, rest = divmod(distance - 2 * sum(EASE_PX), SPEED_PX)
    steps = [*EASE_PX, *[SPEED_PX] * full, *[rest] * bool(rest), *reversed(EASE_PX)]
    return list(itertools.accumulate(steps, initial=0))


WALK_WAY = eased(WALK_TO_X - WALK_FROM_X)
TURN_FRAMES = 5
LEG_FRAMES = len(WALK_WAY) + TURN_FRAMES
FIRST_FRAME = 5
STAGGER_FRAMES = 3
# Tracks survive 10 frames; a zone's change settles in less than the rest.
EMPTY_FRAMES = 30
FRAMES = FIRST_FRAME + STAGGER_FRAMES * WALKERS + LEGS * LEG_FRAMES + EMPTY_FRAMES
LOOP_SECS = FRAMES / FPS

MAX_AGE_FRAMES = 10
SETTLE_MS = 300
DWELL_SECS = 2
CROWD_COUNT, CROWD_SECS = 2, 1
COUNT_SECS = 10


@dataclass(frozen=True)
class Box:
    """In pixels of the frame."""

    cx: float
    cy: float
    w: int = BOX_W
    h: int = BOX_H

    @property
    def anchor(self):
        """Bottom centre, as the rules count by default."""
        return self.cx, self.cy + self.h / 2


@dataclass(frozen=True)
class Zone:
    """An upright rectangle is enough here: polygons are the unit tests' matter."""

    name: str
    x1: int
    y1: int
    x2: int
    y2: int
    dwell_secs: float | None = None
    crowd: tuple | None = None
    occupancy: bool = False

    def holds(self, point):
        x, y = point
        return self.x1 <= x <= self.x2 and self.y1 <= y <= self.y2

    @property
    def points(self):
        return [(self.x1, self.y1), (self.x2, self.y1), (self.x2, self.y2), (self.x1, self.y2)]


@dataclass(frozen=True)
class Line:
    """Walked from the first point to the last; `directions` are left to right, right to left."""

    name: str
    points: tuple
    directions: tuple = ("in", "out")


ZONES = [
    Zone("west", 50, 2, 100, 206),
    Zone("east", 156, 2, 206, 206),
    Zone("yard", 100, 214, 200, 254, DWELL_SECS, (CROWD_COUNT, CROWD_SECS), True),
]
LINES = [Line("gate", ((128, 2), (128, 206)))]
# Only one object's stays, in one camera, so that what raises and what clears it is beyond doubt.
ALERT, ALERT_ZONE, ALERT_CLASS = "loiter", "yard", "o12"


def walker(number, frame):
    """To and fro along a row; begins and ends outside of everything."""
    step = frame - FIRST_FRAME - STAGGER_FRAMES * number
    if not 0 <= step < LEGS * LEG_FRAMES:
        return None
    leg, within = divmod(step, LEG_FRAMES)
    way = WALK_WAY[min(within, len(WALK_WAY) - 1)]
    return Box(WALK_FROM_X + way if leg % 2 == 0 else WALK_TO_X - way, 12 + 16 * number)


# (first frame of a round, where it waits, frames of standing in the yard)
ROUND_FRAMES = 120
DWELL_ROUNDS = 3
DWELL_WAY = [(0, 60, +1, 60), (30, 228, -1, 10)]
YARD_WAY = eased(92)
WAY_FRAMES = len(YARD_WAY)


def dweller(number, frame):
    """Waits outside of the yard, goes in, stands, comes back; three times."""
    offset, outside_x, sense, stand = DWELL_WAY[number]
    if not FIRST_FRAME <= frame < FIRST_FRAME + DWELL_ROUNDS * ROUND_FRAMES:
        return None
    within = (frame - FIRST_FRAME) % ROUND_FRAMES - offset
    if within < 0:
        way = 0
    elif within < WAY_FRAMES:
        way = YARD_WAY[within]
    elif within < WAY_FRAMES + stand:
        way = YARD_WAY[-1]
    else:
        way = YARD_WAY[max(0, 2 * WAY_FRAMES + stand - 1 - within)]
    return Box(outside_x + sense * way, 224 + 18 * number)


@functools.cache
def objects(frame):
    """Who is there in a frame of the clip: number of the object to its box."""
    every = {n: walker(n, frame) for n in range(WALKERS)}
    every |= {WALKERS + n: dweller(n, frame) for n in range(DWELLERS)}
    return {number: box for number, box in every.items() if box}
