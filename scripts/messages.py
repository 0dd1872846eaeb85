#!/usr/bin/env python3
"""Peregrine's MQTT messages as a person likes to read them: `TOPIC PAYLOAD` lines in, one line an event out.

With --state DIR it leaves marks for the script that started it: `heard` (something arrived), `ended` (the camera's file came to its
end), `offline` (the device said farewell), and `tracks`, how many tracks were confirmed so far.
"""
import argparse
import json
import pathlib
import sys
import time

# Detections come several times a second; a person reads one summary in this time.
SUMMARY_SECS = 5.0


def at(message):
    """The message's own time of day, in UTC as it was sent."""
    return str(message.get("captured_at") or message.get("since") or message.get("at") or "")[11:19] or "--------"


def box(message):
    """Centre and size in pixels, whichever way the corner and size are spelt."""
    px = message.get("box_px") or message.get("bbox_px") or message.get("box") or message.get("bbox") or {}
    px = px.get("px", px) if isinstance(px, dict) else px
    if isinstance(px, list) and len(px) == 4:
        x, y, width, height = px
    elif isinstance(px, dict) and "width" in px:
        x, y, width, height = (px[key] for key in ("x", "y", "width", "height"))
    elif isinstance(px, dict) and "x2" in px:
        x, y, width, height = px["x1"], px["y1"], px["x2"] - px["x1"], px["y2"] - px["y1"]
    else:
        return ""
    return f"at ({x + width / 2:.0f},{y + height / 2:.0f}) {width:.0f}×{height:.0f}"


class Reader:
    """Keeps what must be remembered between messages."""

    def __init__(self, state):
        self.state = state
        self.tracks = set()
        self.frames = self.found = 0
        self.summary_at = time.monotonic() + SUMMARY_SECS

    def mark(self, name, text=""):
        if self.state:
            (self.state / name).write_text(text)

    def track(self, camera, message):
        # Fields of the track may stand in an object of their own.
        track = {**message, **message.get("track", {})} if isinstance(message.get("track"), dict) else message
        phase = track.get("phase") or track.get("event")
        if phase == "new":
            self.tracks.add(track.get("uid") or track.get("id"))
            self.mark("tracks", str(len(self.tracks)))
        if phase == "update":
            return None
        labels = " ".join(f"{label['name']}={label['value']}" for label in track.get("labels") or [])
        score = track.get("score")
        shown = f"{score:.2f}" if isinstance(score, (int, float)) else ""
        line = f"{at(message)} {camera:5} track #{track.get('id')} {track.get('class')} {phase:4} {box(track)}  {shown} {labels}"
        return line.rstrip()

    def detections(self, camera, message):
        self.frames += 1
        self.found += len(message.get("detections", []))
        if time.monotonic() < self.summary_at:
            return None
        line = f"{at(message)} {camera:5} {self.frames} messages with detections, {self.found / self.frames:.1f} objects each"
        self.frames = self.found = 0
        self.summary_at = time.monotonic() + SUMMARY_SECS
        return line

    def status(self, who, message):
        state = message.get("state")
        reason = message.get("reason")
        return f"{at(message)} {who:5} is {state}" + (f": {reason}" if reason else "")

    def line(self, topic, payload):
        """The line to show for a message, None where there is nothing to show."""
        self.mark("heard")
        parts = topic.split("/")
        if parts[0] == "peregrine-demo":
            return None
        message = json.loads(payload)
        if parts[-2:-1] != [] and "camera" in parts[:-1]:
            camera, kind = parts[-2], parts[-1]
            if kind == "tracks":
                return self.track(camera, message)
            if kind == "detections":
                return self.detections(camera, message)
            if message.get("state") == "ended":
                self.mark("ended")
            return self.status(camera, message)
        if message.get("state") == "offline":
            self.mark("offline")
        return self.status(parts[1], message)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=pathlib.Path, help="where to leave marks")
    reader = Reader(parser.parse_args().state)
    for raw in sys.stdin:
        topic, _, payload = raw.rstrip("\n").partition(" ")
        try:
            line = reader.line(topic, payload)
        except ValueError:
            line = f"{topic}: not JSON: {payload[:80]}"
        if line:
            print(line)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
