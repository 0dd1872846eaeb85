"""Pictures as a model sees them: the daemon's geometry (src/pixels/geometry.rs) and its two-tap bilinear sampling, in numpy.

Pillow only decodes: its own BILINEAR widens the filter where it shrinks, which the daemon does not, and a calibration should see what
the model will.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from .card import Card
from .errors import InputFailure, need

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp"}


@dataclass(frozen=True)
class Place:
    """Where a picture lies in the input: left, top, width, height there; its own width and height."""

    inner: Tuple[int, int, int, int]
    source_wh: Tuple[int, int]

    def to_picture(self, boxes: Any) -> Any:
        """Boxes x1, y1, x2, y2 from pixels of the input to pixels of the picture, clipped to it."""
        np = need("numpy", "pictures")
        left, top, width, height = self.inner
        w, h = self.source_wh
        shift = np.array([left, top, left, top], np.float32)
        scale = np.array([w / width, h / height, w / width, h / height], np.float32)
        return np.clip((boxes - shift) * scale, 0, np.array([w, h, w, h], np.float32))


@dataclass(frozen=True)
class Picture:
    """One picture in 8 bits, drawn for a model: `pixels` is height × width × 3, RGB."""

    name: str
    pixels: Any
    place: Place


def files(folder: Path) -> List[Path]:
    """The pictures of a folder in the order of their names."""
    if not folder.is_dir():
        raise InputFailure(f"{folder}: there is no such folder of pictures")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS)
    if not found:
        raise InputFailure(f"{folder}: holds no picture ({', '.join(sorted(ENDINGS))})")
    return found


def spread(found: List[Path], limit: Optional[int]) -> List[Path]:
    """Of more than `limit`, as many, evenly spread."""
    if limit is None or len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


def place_for(card: Card, source_wh: Tuple[int, int], input_wh: Tuple[int, int]) -> Place:
    """A detector's input holds the whole picture, proportions kept; a classifier's is filled, as the daemon fills it with a crop."""
    (w, h), (to_w, to_h) = source_wh, input_wh
    if card.kind == "classifier":
        return Place((0, 0, to_w, to_h), source_wh)
    ratio = min(to_w / w, to_h / h)
    # Halves go up as in Rust; Python's round() would take the even neighbour.
    width, height = (min(max(int(side * ratio + 0.5), 1), most) for side, most in ((w, to_w), (h, to_h)))
    left, top = ((to_w - width) // 2, (to_h - height) // 2) if card.placement == "centered" else (0, 0)
    return Place((left, top, width, height), source_wh)


def _taps(source: int, target: int) -> Tuple[Any, Any, Any]:
    np = need("numpy", "pictures")
    at = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, source - 1), (at - low).astype(np.float32)


def resize(pixels: Any, width: int, height: int) -> Any:
    """Bilinear between the two nearest rows and columns, pixel centres at halves, rounded to 8 bits."""
    np = need("numpy", "pictures")
    y0, y1, fy = _taps(pixels.shape[0], height)
    x0, x1, fx = _taps(pixels.shape[1], width)
    rows = pixels[y0].astype(np.float32)
    rows += (pixels[y1] - rows) * fy[:, None, None]
    out = rows[:, x0]
    out += (rows[:, x1] - out) * fx[None, :, None]
    return (out + 0.5).astype(np.uint8)


def load(card: Card, paths: Sequence[Path], input_wh: Tuple[int, int]) -> List[Picture]:
    """The pictures, drawn for the model. Kept in 8 bits: a quarter of what the model's floats would take."""
    np = need("numpy", "pictures")
    image = need("PIL.Image", "reading pictures")
    drawn = []
    for path in paths:
        try:
            with image.open(path) as opened:
                pixels = np.asarray(opened.convert("RGB"))
        except Exception as e:  # Pillow's decoders have no common base: too large (DecompressionBombError), cut off, not a picture at all
            raise InputFailure(f"{path}: not a picture that can be read ({e})") from e
        place = place_for(card, (pixels.shape[1], pixels.shape[0]), input_wh)
        left, top, width, height = place.inner
        canvas = np.full((input_wh[1], input_wh[0], 3), card.pad, np.uint8)
        canvas[top:top + height, left:left + width] = resize(pixels, width, height)
        drawn.append(Picture(path.name, canvas, place))
    return drawn


def tensor(card: Card, picture: Picture) -> Any:
    """What the model takes: 1 × 3 × height × width floats."""
    np = need("numpy", "pictures")
    pixels = picture.pixels if card.order == "rgb" else picture.pixels[:, :, ::-1]
    values = (pixels.astype(np.float32) - np.array(card.mean, np.float32)) / np.array(card.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
