#!/usr/bin/env python3
"""Whether what `peregrine replay` says of the coded clip is what the script says: preflight.py MESSAGES.jsonl

No broker, no fault, no clock: if this fails, the soak would only say so later and less clearly. Every frame's detections must be the
script's boxes; the events, where there are any, must be those due, stream by stream.
"""
import json
import sys

import expected
import scene
import squares
from judge import matches, stream_of

# The squares give half pixels, and the script's boxes are whole ones.
EXACT_PX = 0.51


def payloads(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["payload"] for line in lines]


def wrong_detections(messages):
    """Frames that do not show what the script wrote there."""
    for message in messages:
        frame = message["seq"] - 1
        want = {scene.CLASSES[number]: box for number, box in scene.objects(frame).items()}
        seen = {found["class"]: found for found in message["detections"]}
        if want.keys() != seen.keys() or len(seen) != len(message["detections"]):
            yield f"frame {frame}: {sorted(seen)} for {sorted(want)}"
            continue
        for name, box in want.items():
            told, corners = seen[name], seen[name]["box_px"]
            due = (box.cx - box.w / 2, box.cy - box.h / 2, box.cx + box.w / 2, box.cy + box.h / 2)
            off = max(abs(corners[key] - value) for key, value in zip(("x1", "y1", "x2", "y2"), due))
            if off > EXACT_PX or abs(told["score"] - squares.score(frame)) > 0.001:
                yield f"frame {frame}: {name} is {off:.2f} px off, with score {told['score']}"


def wrong_events(events):
    """Streams that differ from what is due."""
    told = {}
    for body in events:
        if stream := stream_of(body):
            told.setdefault(stream, []).append(body)
    due = expected.of_clip()
    for stream in sorted(told.keys() | due.keys()):
        want, have = due.get(stream, []), told.get(stream, [])
        if len(want) != len(have) or not all(matches(w, h) for w, h in zip(want, have)):
            yield f"{'/'.join(stream)}: due {[(w.kind, *dict(w.what).values()) for w in want]}, came {[h['event'] for h in have]}"


def main():
    messages = payloads(sys.argv[1])
    detections = [message for message in messages if message["type"] == "detections"]
    events = [message for message in messages if message["type"] == "event"]
    wrong = [f"{len(detections)} frames of {scene.FRAMES}"] if len(detections) != scene.FRAMES else []
    wrong += list(wrong_detections(detections))
    wrong += list(wrong_events(events)) if events else []
    print("\n".join(wrong[:20]) if wrong else f"as scripted: {len(detections)} frames, {len(events)} events")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
