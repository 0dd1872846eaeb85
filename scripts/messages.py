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
    return (message.get("captured_at") or message.get("since") or "")[11:19] or "--------"


def box(corners):
    """Centre and size."""
    width, height = corners["x2"] - corners["x1"], corners["y2"] - corners["y1"]
    return f"at ({corners['x1'] + width / 2:.0f},{corners['y1'] + height / 2:.0f}) {width:.0f}×{height:.0f}"


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
        track = message["track"]
        if track["phase"] == "update":
            return None
        if track["phase"] == "new":
            self.tracks.add(track["uid"])
            self.mark("tracks", str(len(self.tracks)))
        labels = "".join(f" {label['name']}={label['value']}" for label in track["labels"])
        what = f"track #{track['id']:<3} {track['class']} {track['phase']}"
        return f"{at(message)} {camera}  {what:24} {box(track['box_px']):24} {track['score']:.2f}{labels}"

    def detections(self, camera, message):
        self.frames += 1
        self.found += len(message["detections"])
        if time.monotonic() < self.summary_at:
            return None
        line = f"{at(message)} {camera}  {self.frames} frames reported, {self.found / self.frames:.1f} objects in each"
        self.frames = self.found = 0
        self.summary_at = time.monotonic() + SUMMARY_SECS
        return line

    def status(self, who, message):
        reason = message.get("reason")
        return f"{at(message)} {who}  is {message['state']}" + (f": {reason}" if reason else "")

    def line(self, topic, payload):
        """The line to show for a message, None where there is nothing to show."""
        self.mark("heard")
        parts = topic.split("/")
        if parts[0] == "peregrine-demo":
            return None
        message = json.loads(payload)
        if parts[2] == "camera":
            camera, kind = parts[3], parts[4]
            if kind == "tracks":
                return self.track(camera, message)
            if kind == "detections":
                return self.detections(camera, message)
            if kind != "status":
                return None
            if message["state"] == "ended":
                self.mark("ended")
            return self.status(camera, message)
        # What the device measures, and its engines, are for programs.
        if parts[2:] not in (["status"], ["health"]):
            return None
        if message["state"] == "offline":
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
        except (ValueError, KeyError, IndexError) as problem:
            line = f"{topic}: not a message that this reader knows ({problem!r}): {payload[:80]}"
        if line:
            print(line)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
