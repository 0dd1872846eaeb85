#!/usr/bin/python3
"""A broken RTSP camera for the tests: it answers OPTIONS, DESCRIBE, SETUP and PLAY as it should, and then never sends a packet.

Prints its port once it listens.
"""
import socketserver
import sys
import threading

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=silent\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


class Camera(socketserver.StreamRequestHandler):
    def handle(self):
        lines = []
        for raw in self.rfile:
            line = raw.decode("latin-1").strip()
            if line:
                lines.append(line)
                continue
            if lines:
                self.answer(lines)
            lines = []

    def answer(self, lines):
        method = lines[0].split(" ")[0]
        headers = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
        headers = {key.strip().lower(): value.strip() for key, value in headers.items()}
        extra, body = "", ""
        if method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n"
        elif method == "DESCRIBE":
            body = SDP
            extra = "Content-Type: application/sdp\r\nContent-Length: %d\r\n" % len(body)
        elif method == "SETUP":
            extra = "Transport: %s\r\nSession: 1\r\n" % headers.get("transport", "")
        else:
            extra = "Session: 1\r\n"
        answer = "RTSP/1.0 200 OK\r\nCSeq: %s\r\n%s\r\n%s" % (headers.get("cseq", "0"), extra, body)
        self.wfile.write(answer.encode())


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Server(("127.0.0.1", 0), Camera) as server:
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Until the test that started this server is gone.
    sys.stdin.read()
