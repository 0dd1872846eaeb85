"""What the package `supervision` says of a story: who is in a zone in each frame, and how often a line was crossed.

Reads JSON: {"size": [w, h], "polygon": [[x, y]], "line": [[x, y], [x, y]], "frames": [[[id, x1, y1, x2, y2]]]}, all in pixels.
Writes JSON: {"inside": [[id]], "in": n, "out": n}.
"""

import json
import sys

import numpy as np
import supervision as sv

story = json.load(sys.stdin)
anchors = (sv.Position.BOTTOM_CENTER,)
zone = sv.PolygonZone(polygon=np.array(story["polygon"], dtype=int), triggering_anchors=anchors)
start, end = (sv.Point(*p) for p in story["line"])
line = sv.LineZone(start=start, end=end, triggering_anchors=anchors)
inside = []
for frame in story["frames"]:
    if not frame:
        inside.append([])
        continue
    rows = np.array(frame, dtype=float)
    ids = rows[:, 0].astype(int)
    seen = sv.Detections(xyxy=rows[:, 1:], class_id=np.zeros(len(rows), dtype=int), tracker_id=ids)
    inside.append(ids[zone.trigger(seen)].tolist())
    line.trigger(seen)
json.dump({"inside": inside, "in": line.in_count, "out": line.out_count}, sys.stdout)
