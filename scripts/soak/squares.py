"""How a frame codes its objects: 32 rows of 32 squares, each square a bit.

Belongs here: the layout that the clip is drawn with, that the detector's weights are made from, and that people can read back. A square is
8x8 pixels, aligned to JPEG's blocks, and black or white: compression and conversion of colours cannot turn it.

Row `n` is object `n`: its presence, its centre in half pixels, its size in steps of 4 pixels, and the frame's number modulo 8, which the
detector gives as the score. The last row is the frame's number, for whoever looks at the clip.
"""
from scene import CLASSES, SIZE_PX

SQUARE_PX = 8
ROWS = BITS = SIZE_PX // SQUARE_PX
PRESENT = 0
# name: (first bit, how many, pixels of the lowest bit); the highest bit stands first.
FIELDS = {"cx": (1, 9, 0.5), "cy": (10, 9, 0.5), "w": (19, 5, 4), "h": (24, 5, 4)}
PHASE = (29, 3)
SLOTS = len(CLASSES)
BLACK, WHITE = 16, 235


def bits_of(value, how_many):
    if not 0 <= value < 1 << how_many:
        raise ValueError(f"{value} does not fit into {how_many} bits")
    return [value >> (how_many - 1 - bit) & 1 for bit in range(how_many)]


def score(frame):
    """What the detector says of every object of this frame."""
    return 0.5 + (frame % 8) / 16


def row(box, frame):
    bits = [1]
    for name, (_, how_many, unit) in FIELDS.items():
        bits += bits_of(round(getattr(box, name) / unit), how_many)
    return bits + bits_of(frame % 8, PHASE[1])


def grid(boxes, frame):
    """The squares of a frame: 32 rows of 32 bits."""
    rows = [[0] * BITS for _ in range(ROWS)]
    for number, box in boxes.items():
        rows[number] = row(box, frame)
    rows[-1] = bits_of(frame, BITS)
    return rows


def luma(rows):
    """One byte a pixel."""
    lines = []
    for bits in rows:
        line = b"".join(bytes([WHITE if bit else BLACK]) * SQUARE_PX for bit in bits)
        lines.append(line * SQUARE_PX)
    return b"".join(lines)
