#!/usr/bin/env python3
"""Draws the coded clip: clip.py OUT.avi (Motion JPEG by GStreamer's gst-launch-1.0, nothing else is needed)."""
import subprocess
import sys

import squares
import scene


def frames():
    for frame in range(scene.FRAMES):
        yield squares.luma(squares.grid(scene.objects(frame), frame))


def draw(path):
    size = f"{scene.SIZE_PX}"
    pipeline = [
        "gst-launch-1.0", "-q", "fdsrc", "fd=0", "!",
        "rawvideoparse", "format=gray8", f"width={size}", f"height={size}", f"framerate={scene.FPS}/1", "!",
        "videoconvert", "!", "video/x-raw,format=I420", "!", "jpegenc", "quality=90", "!", "avimux", "!",
        "filesink", f"location={path}",
    ]
    with subprocess.Popen(pipeline, stdin=subprocess.PIPE) as made:
        for frame in frames():
            made.stdin.write(frame)
        made.stdin.close()
    if made.returncode:
        raise SystemExit(f"gst-launch-1.0 ended with {made.returncode}")


if __name__ == "__main__":
    draw(sys.argv[1])
