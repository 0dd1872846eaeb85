#!/usr/bin/python3
"""Many RTSP cameras from one process: gst-rtsp-server sends a clip that was encoded once, over and over, so that the cameras cost the processor
next to nothing beside the daemon that is measured.

server.py --streams N [--clip FILE] [--size WxH] [--fps F] [--port P]

Prints its port once it listens; the streams are /cam00, /cam01 and so on, each at another place of the clip. Orders come on standard input,
one a line: "stall I", "flood I", "resize I" and "normal I", I being a stream's number. Needs python3-gi and gir1.2-gst-rtsp-server-1.0.
"""
import argparse
import heapq
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtspServer  # noqa: E402, F401

CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
# How many times as fast a camera floods.
FLOOD = 12
# A camera sends a key frame so often, in seconds.
KEY_EVERY_SECS = 2
# Longer clips add memory and nothing else.
CLIP_SECS = 60


def encoded(clip, size, fps):
    """The clip as access units, each with whether it is a key frame; a moving test picture where there is no clip."""
    width, height = size
    source = f"filesrc location={clip} ! decodebin" if clip else f"videotestsrc pattern=ball num-buffers={CLIP_SECS * fps}"
    pipeline = Gst.parse_launch(
        f"{source} ! videoconvert ! videoscale ! videorate ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
        f" ! x264enc speed-preset=veryfast tune=zerolatency bitrate=1000 key-int-max={KEY_EVERY_SECS * fps}"
        f" ! video/x-h264,profile=baseline ! h264parse config-interval=-1 ! {CAPS} ! appsink name=out sync=false"
    )
    out = pipeline.get_by_name("out")
    pipeline.set_state(Gst.State.PLAYING)
    units = []
    while len(units) < CLIP_SECS * fps and (sample := out.emit("pull-sample")):
        buffer = sample.get_buffer()
        units.append((buffer.extract_dup(0, buffer.get_size()), not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)))
    pipeline.set_state(Gst.State.NULL)
    if not units:
        sys.exit(f"{clip or 'the test picture'} gives no frames")
    return units


class Camera(GstRtspServer.RTSPMediaFactory):
    """One stream: what it sends, how fast, to whom."""

    def __init__(self, number, clips, fps):
        super().__init__()
        self.clips, self.fps = clips, fps
        self.size, self.times, self.is_stalled = "normal", 1, False
        self.at = number * 17 * fps
        self.into = None
        self.set_shared(True)
        self.connect("media-configure", self.begin)

    def do_create_element(self, url):
        return Gst.parse_launch(
            f"( appsrc name=units is-live=true format=time do-timestamp=true caps={CAPS} ! h264parse config-interval=-1"
            " ! rtph264pay name=pay0 pt=96 )"
        )

    def begin(self, _, media):
        self.into = media.get_element().get_by_name("units")
        self.to_key_frame()
        media.connect("unprepared", lambda *_: setattr(self, "into", None))

    def to_key_frame(self):
        units = self.clips[self.size]
        while not units[self.at % len(units)][1]:
            self.at += 1

    def order(self, word):
        self.is_stalled = word == "stall"
        self.times = FLOOD if word == "flood" else 1
        self.size = "other" if word == "resize" else "normal"
        self.to_key_frame()

    def send(self):
        """Sends the next unit; returns when the one after it is due, in seconds."""
        units, into = self.clips[self.size], self.into
        if into and not self.is_stalled:
            data, _ = units[self.at % len(units)]
            self.at += 1
            into.emit("push-buffer", Gst.Buffer.new_wrapped(data))
        return 1 / (self.fps * self.times)


def pace(cameras, fps):
    """Sends every camera's units when they are due, spread over the time of a frame."""
    start = time.monotonic()
    due = [(start + i / (fps * len(cameras)), i) for i in range(len(cameras))]
    heapq.heapify(due)
    while True:
        at, number = due[0]
        time.sleep(max(0.0, at - time.monotonic()))
        heapq.heapreplace(due, (at + cameras[number].send(), number))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--streams", type=int, required=True)
    options.add_argument("--clip")
    options.add_argument("--size", default="640x360")
    options.add_argument("--other-size", default="480x272", help="what resize changes to")
    options.add_argument("--fps", type=int, default=10)
    options.add_argument("--port", default="0")
    given = options.parse_args()

    Gst.init(None)
    size_of = {"normal": given.size, "other": given.other_size}
    clips = {name: encoded(given.clip, tuple(map(int, size.split("x"))), given.fps) for name, size in size_of.items()}
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(given.port)
    cameras = [Camera(i, clips, given.fps) for i in range(given.streams)]
    for number, camera in enumerate(cameras):
        server.get_mount_points().add_factory(f"/cam{number:02}", camera)
    if server.attach(None) == 0:
        sys.exit("cannot listen on port " + given.port)
    loop = GLib.MainLoop()

    def listen():
        for line in sys.stdin:
            word, number = line.split()
            cameras[int(number)].order(word)
        # Whoever started this server is gone.
        GLib.idle_add(loop.quit)

    threading.Thread(target=pace, args=(cameras, given.fps), daemon=True).start()
    threading.Thread(target=listen, daemon=True).start()
    print(server.get_bound_port(), flush=True)
    loop.run()


main()
