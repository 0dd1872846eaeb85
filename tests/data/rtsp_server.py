#!/usr/bin/python3
"""An RTSP camera for the tests: gst-rtsp-server with a moving test picture.

Prints its port once it listens. What is written to its standard input, "WIDTHxHEIGHT" a line, is the picture's size from then on: the stream
changes in mid-course, and later clients get the new size.
"""
import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! video/x-h264,profile=baseline"
    " ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! h265parse config-interval=-1"
    " ! rtph265pay name=pay0 pt=96",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
    "vp8": "vp8enc deadline=1 ! rtpvp8pay name=pay0 pt=96",
}


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, codec, fps, width, height):
        super().__init__()
        self.codec, self.fps, self.size, self.sizers = codec, fps, (width, height), []
        self.set_shared(True)

    def caps(self):
        return Gst.Caps.from_string("video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1" % (*self.size, self.fps))

    def do_create_element(self, url):
        made = Gst.parse_launch(
            "( videotestsrc is-live=true pattern=ball ! capsfilter name=size ! " + ENCODERS[self.codec] + " )"
        )
        sizer = made.get_by_name("size")
        sizer.set_property("caps", self.caps())
        self.sizers.append(sizer)
        return made

    def resize(self, width, height):
        self.size = (width, height)
        for sizer in self.sizers:
            sizer.set_property("caps", self.caps())


def require_login(server, factory, user, password):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", default="0")
    options.add_argument("--codec", choices=ENCODERS, default="h264")
    options.add_argument("--size", default="320x240")
    options.add_argument("--fps", type=int, default=15)
    options.add_argument("--user")
    options.add_argument("--password", default="")
    given = options.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(given.port)
    factory = Factory(given.codec, given.fps, *map(int, given.size.split("x")))
    server.get_mount_points().add_factory("/cam", factory)
    if given.user:
        require_login(server, factory, given.user, given.password)
    loop = GLib.MainLoop()
    if server.attach(None) == 0:
        sys.exit("cannot listen on port " + given.port)
    print(server.get_bound_port(), flush=True)

    def listen():
        for line in sys.stdin:
            GLib.idle_add(factory.resize, *map(int, line.strip().split("x")))
        # The test that started this server is gone.
        GLib.idle_add(loop.quit)

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


main()
