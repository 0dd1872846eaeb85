"""Which values a tensor takes over the calibration pictures, and which of them 8 bits should hold.

Belongs here: histograms and the choice of a range from one. Does not: where scales go in a graph (see `qdq`).
"""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from .errors import ModelFailure, need

# Bins on either side of zero. The reach is a power of two, so at least half of them are in use.
BINS = 4096
METHODS = ("mse", "minmax", "entropy", "percentile")
PERCENTILE = 99.99
# What happens to a tensor's values next; None where they are used as they are.
Function = Optional[Callable[[Any], Any]]


def silu(x: Any) -> Any:
    """x times its sigmoid: hardly distinguishes values far below zero, so they need no codes."""
    np = need("numpy", "calibration")
    return x / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))


class Histogram:
    """Counts of values over [-reach, reach). The reach doubles when a value lies beyond: bins then join in pairs, and nothing is lost."""

    def __init__(self) -> None:
        np = need("numpy", "calibration")
        self.counts = np.zeros(2 * BINS, np.int64)
        self.reach = 0.0
        self.low = 0.0
        self.high = 0.0

    def add(self, values: Any) -> None:
        """Counts the values of one tensor."""
        np = need("numpy", "calibration")
        values = values.ravel()
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        largest = max(-low, high)
        if largest > 0 and self.reach == 0:
            self.reach = 2.0 ** math.ceil(math.log2(largest))
        while largest > self.reach:
            halved = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[BINS // 2:BINS // 2 + BINS] = halved
            self.reach *= 2
        if self.reach == 0:
            return
        at = ((values + np.float32(self.reach)) * np.float32(BINS / self.reach)).astype(np.int32)
        self.counts += np.bincount(np.minimum(at, 2 * BINS - 1), minlength=2 * BINS)

    def centres(self) -> Any:
        """The values that the bins stand for."""
        np = need("numpy", "calibration")
        return (np.arange(2 * BINS) - BINS + 0.5) * (self.reach / BINS)


def collect(run: Callable[[Any], List[Any]], tensors: Iterable[Any], names: List[str]) -> Dict[str, Histogram]:
    """Histograms of the named outputs of `run` over the input tensors."""
    np = need("numpy", "calibration")
    found = {name: Histogram() for name in names}
    for tensor in tensors:
        for name, value in zip(names, run(tensor)):
            if not np.isfinite(value).all():
                raise ModelFailure(f"the float model computes infinite values or NaN in its tensor {name}: "
                                   "no range holds them; is the normalisation (--mean, --std) the model's own?")
            found[name].add(value)
    return found


def choose(histogram: Histogram, method: str, symmetric: bool, percentile: float = PERCENTILE,
           through: Function = None) -> Tuple[float, float]:
    """Least and greatest value that get a code; 0 lies between, and is the middle where `symmetric`.

    `through` is what alone reads the tensor: what it makes of the values is to be held then, and not the values.
    """
    if histogram.reach == 0:
        return (-1.0, 1.0) if symmetric else (0.0, 1.0)
    low, high = {
        "minmax": lambda: (histogram.low, histogram.high),
        "percentile": lambda: _percentile(histogram, percentile),
        "entropy": lambda: _entropy(histogram),
        "mse": lambda: _mse(histogram, symmetric, through),
    }[method]()
    if symmetric:
        largest = max(-low, high)
        return -largest, largest
    return min(low, 0.0), max(high, 0.0)


def _percentile(histogram: Histogram, percentile: float) -> Tuple[float, float]:
    np = need("numpy", "calibration")
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    rest = (100.0 - percentile) / 100.0
    centres = histogram.centres()
    low = centres[np.searchsorted(share, rest)]
    high = centres[min(np.searchsorted(share, 1.0 - rest), 2 * BINS - 1)]
    return max(float(low), histogram.low), min(float(high), histogram.high)


def _mse(histogram: Histogram, symmetric: bool, through: Function) -> Tuple[float, float]:
    """The range whose codes are nearest to the values, by the square of the distance."""
    np = need("numpy", "calibration")
    used = np.flatnonzero(histogram.counts)
    values, weights = histogram.centres()[used], histogram.counts[used].astype(np.float64)
    after = through or (lambda x: x)
    wanted = after(values)

    def cost(low: float, high: float) -> float:
        scale = (high - low) / (254.0 if symmetric else 255.0)
        # A range starts at a code: without that the steps near zero would be counted finer than they are.
        bottom = -127.0 if symmetric else np.rint(low / scale)
        codes = np.clip(np.rint(values / scale), bottom, bottom + (254.0 if symmetric else 255.0))
        return float(((after(codes * scale) - wanted) ** 2 * weights).sum())

    shares = [share / 64 for share in range(8, 65)]
    if symmetric:
        largest = max(-histogram.low, histogram.high)
        best = min((largest * share for share in shares), key=lambda t: cost(-t, t))
        return -best, best
    low, high = histogram.low, histogram.high
    # One end after the other, twice: the ends hardly depend on each other.
    for _ in range(2):
        if histogram.high > 0:
            high = min((histogram.high * share for share in shares), key=lambda t: cost(low, t))
        if histogram.low < 0:
            low = min((histogram.low * share for share in shares), key=lambda t: cost(t, high))
    return low, high


def _entropy(histogram: Histogram) -> Tuple[float, float]:
    """TensorRT's choice: the clip at which 128 levels tell most of the magnitudes' distribution (least Kullback-Leibler divergence)."""
    np = need("numpy", "calibration")
    magnitudes = (histogram.counts[BINS:] + histogram.counts[:BINS][::-1]).astype(np.float64)
    # Exact zeros, of which a ReLU makes many, cost nothing in any range.
    magnitudes[0] = magnitudes[1]
    last = int(np.flatnonzero(magnitudes)[-1]) + 1
    best, best_at = math.inf, last
    for clip in range(128, last + 1, 16):
        p = magnitudes[:clip].copy()
        q = p.copy()
        p[-1] += magnitudes[clip:].sum()
        edges = np.arange(128) * clip // 128
        present = q > 0
        sums = np.add.reduceat(q, edges)
        number = np.add.reduceat(present.astype(np.float64), edges)
        level = np.divide(sums, number, out=np.zeros(128), where=number > 0)
        q = np.repeat(level, np.diff(np.append(edges, clip))) * present
        both = (p > 0) & (q > 0)
        if not both.any():
            continue
        p, q = p / p.sum(), q / q.sum()
        lost = p[(p > 0) & ~both].sum()
        divergence = float((p[both] * np.log(p[both] / q[both])).sum()) + 20.0 * float(lost)
        if divergence < best:
            best, best_at = divergence, clip
    largest = best_at * histogram.reach / BINS
    return max(histogram.low, -largest), min(histogram.high, largest)
