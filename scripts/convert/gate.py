"""What a conversion costs: one number for the float model, one for the converted one, measured in one run on the same pictures.

With labels it is COCO's mAP 50-95. Without, the float model's own answers are the truth: the share of boxes that both find, or of pictures
that both give the same class. That says how much changes, not whether it is for the worse, so its limit is wider.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from .boxes import LEAST_SCORE, NMS_IOU, agreement, detect, mean_average_precision
from .card import Card
from .errors import Failure, ModelFailure, need
from .pictures import Picture, tensor
from .session import Session

# What may be lost where the command line does not say. Without labels a box at the threshold counts as much as a lost car.
MAX_DROP = {"mAP 50-95": 0.01, "agreement of boxes": 0.1, "agreement of classes": 0.05}
# A float model that scores less on labels cannot show a loss: its score is chance, or the limit is most of it.
LEAST_SCORE_BEFORE, LEAST_LIMITS_BEFORE = 0.05, 3
# On fewer pictures one box more or less may be worth the limit.
FEW_PICTURES = 50


@dataclass(frozen=True)
class Verdict:
    """What was measured, of the float model and of the converted one."""

    measure: str
    before: float
    after: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether no more is lost than may be."""
        return self.before - self.after <= self.limit

    def __str__(self) -> str:
        return f"{self.measure} {self.before:.4f} -> {self.after:.4f} (drop {self.before - self.after:+.4f}, limit {self.limit})"


class Gate:
    """Scores models on pictures; the float model is asked once."""

    def __init__(self, card: Card, model: Any, pictures: List[Picture], annotations: Optional[Dict[str, Any]], threads: int,
                 max_drop: Optional[float] = None) -> None:
        self.card, self.pictures, self.annotations, self.threads = card, pictures, annotations, threads
        self._float = self._answers(model)
        if card.kind == "detector" and annotations is not None:
            self.measure, self._before = "mAP 50-95", self._map(self._float)
        elif card.kind == "detector":
            self.measure, self._before = "agreement of boxes", 1.0
        else:
            self.measure, self._before = "agreement of classes", 1.0
        self._limit = MAX_DROP[self.measure] if max_drop is None else max_drop
        least = max(LEAST_SCORE_BEFORE, LEAST_LIMITS_BEFORE * self._limit)
        if self.measure == "mAP 50-95" and self._before < least:
            raise Failure(f"{card.path}: the float model itself scores only {self._before:.4f} on the labels, and {least:.4f} is the least at which "
                          f"a loss of {self._limit} shows: the labels or the order of their classes are not the model's (categories in the order "
                          "of their ids are its classes 0, 1, …), or head or normalisation are wrong")

    def judge(self, model: Any) -> Verdict:
        """What the converted model keeps."""
        return Verdict(self.measure, self._before, self._score(self._answers(model)), self._limit)

    def _answers(self, model: Any) -> List[Any]:
        outputs = list(self.card.outputs) or None
        session = Session(model, self.threads, outputs if self.card.kind == "classifier" else None)
        read: Callable[[List[Any], Picture], Any] = self._classes
        if self.card.kind == "detector":
            read = self._boxes
        return [read(self._finite(session.run(tensor(self.card, picture)), picture), picture) for picture in self.pictures]

    def _finite(self, outputs: List[Any], picture: Picture) -> List[Any]:
        np = need("numpy", "comparing answers")
        if not all(np.isfinite(output).all() for output in outputs):
            raise ModelFailure(f"{self.card.path}: gives infinite values or NaN for the picture {picture.name}; "
                               "is the normalisation (--mean, --std) the model's own?")
        return outputs

    def _boxes(self, outputs: List[Any], picture: Picture) -> Tuple[Any, Any, Any]:
        labelled = self.annotations is not None
        confidence, nms_iou = (LEAST_SCORE, NMS_IOU) if labelled else (self.card.confidence, self.card.nms_iou)
        return detect(self.card, outputs[0], picture, confidence, nms_iou)

    def _classes(self, outputs: List[Any], _picture: Picture) -> List[int]:
        return [int(output.ravel().argmax()) for output in outputs]

    def _map(self, answers: List[Any]) -> float:
        names = {p.name for p in self.pictures}
        return mean_average_precision(self.annotations or {}, names, dict(zip((p.name for p in self.pictures), answers)))

    def _score(self, answers: List[Any]) -> float:
        np = need("numpy", "comparing answers")
        if self.measure == "mAP 50-95":
            return self._map(answers)
        if self.card.kind == "classifier":
            # The head that changes most counts.
            return float(np.mean(np.array(answers) == np.array(self._float), axis=0).min())
        counts = [agreement(ours, theirs) for ours, theirs in zip(answers, self._float)]
        shared, ours, theirs = (sum(count[i] for count in counts) for i in range(3))
        if theirs == 0:
            raise ModelFailure(f"{self.card.path}: the float model finds no box in these pictures, so there is nothing to compare; "
                               "give pictures that hold what it looks for")
        return 2 * shared / (ours + theirs)
