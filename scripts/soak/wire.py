"""As much of MQTT as a witness needs: packets out of a stream of bytes, publishes and acknowledgements out of packets.

Belongs here: bytes, pure. Does not: sockets (tap.py), what a message means (ledger.py). Written from the standard, not with a client
library, so that a library's mistakes are not shared.
"""
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT = 1, 2, 3, 4, 14
# Reason codes from here on are refusals.
REFUSED_FROM = 0x80


class Malformed(Exception):
    """Not MQTT."""


@dataclass(frozen=True)
class Publish:
    """One PUBLISH."""

    topic: str
    qos: int
    retain: bool
    dup: bool
    packet_id: int | None
    payload: bytes


def variable(data, at):
    """A variable byte integer: its value, and where what follows begins; None while bytes are missing."""
    value = 0
    for place in range(4):
        if at + place >= len(data):
            return None
        value |= (data[at + place] & 0x7F) << 7 * place
        if not data[at + place] & 0x80:
            return value, at + place + 1
    raise Malformed("a length of more than four bytes")


def encoded(value):
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


class Packets:
    """Cuts a stream of bytes into packets."""

    def __init__(self):
        self.rest = bytearray()

    def feed(self, data):
        """The packets that are complete now: (type, flags, body)."""
        self.rest += data
        at = 0
        while True:
            length = variable(self.rest, at + 1) if at + 1 < len(self.rest) else None
            if length is None or length[1] + length[0] > len(self.rest):
                break
            size, body = length
            first = self.rest[at]
            yield first >> 4, first & 0x0F, bytes(self.rest[body:body + size])
            at = body + size
        del self.rest[:at]


def level(body):
    """The protocol level of a CONNECT: 4 for 3.1.1, 5 for 5."""
    return body[2 + int.from_bytes(body[:2], "big")]


def publish(flags, body, version):
    """A PUBLISH's parts."""
    end = 2 + int.from_bytes(body[:2], "big")
    topic, at, qos = body[2:end].decode(), end, flags >> 1 & 3
    if not topic:
        raise Malformed("a topic alias: the tap announces none, so nobody may use one")
    packet_id = None
    if qos:
        packet_id, at = int.from_bytes(body[at:at + 2], "big"), at + 2
    if version >= 5:
        size, begin = variable(body, at)
        at = begin + size
    return Publish(topic, qos, bool(flags & 1), bool(flags & 8), packet_id, body[at:])


def puback(body):
    """Packet id, and whether the broker took it."""
    return int.from_bytes(body[:2], "big"), len(body) < 3 or body[2] < REFUSED_FROM


def packet(kind, flags, body):
    """A whole packet."""
    return bytes([kind << 4 | flags]) + encoded(len(body)) + body


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data
