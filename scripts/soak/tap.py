"""A wire between daemon and broker that listens, and that can break in the ways in which wires break.

Belongs here: sockets. What the broker took is what its PUBACK says that reached the daemon's side of this wire: from then on the daemon
may forget the event, whatever becomes of the broker. A subscriber alone could not tell a daemon that loses from a broker that does.
"""
import asyncio
import contextlib
import socket
import struct
import time

import wire

READ_BYTES = 65536


class Link:
    """One connection of the daemon."""

    def __init__(self, tap):
        self.tap = tap
        self.version = 4
        self.waiting = {}
        self.deaf = self.mute = self.is_accepted = False
        self.closed = asyncio.Event()
        self.up, self.down = wire.Packets(), wire.Packets()

    def from_daemon(self, data):
        now = time.time()
        for kind, flags, body in self.up.feed(data):
            if kind == wire.CONNECT:
                self.version = wire.level(body)
            elif kind == wire.PUBLISH:
                said = wire.publish(flags, body, self.version)
                name = self.tap.ledger.published(now, said)
                if name:
                    self.waiting[said.packet_id] = name

    def from_broker(self, data):
        now = time.time()
        for kind, _, body in self.down.feed(data):
            if kind == wire.PUBACK:
                packet_id, taken = wire.puback(body)
                name = self.waiting.pop(packet_id, None)
                if name:
                    self.tap.ledger.acknowledged(now, name, taken)
            elif kind == wire.CONNACK:
                self.is_accepted = True
                self.tap.connections += 1

    async def carry(self, reader, writer, listen, is_upward):
        while data := await reader.read(READ_BYTES):
            if self.deaf or (self.mute and not is_upward):
                # A peer that is gone says nothing and takes nothing; what it would have said is never heard of again.
                continue
            listen(data)
            writer.write(data)
            await writer.drain()


class Tap:
    """Listens on a port of its own and passes everything on to the broker's."""

    def __init__(self, ledger, broker_port):
        self.ledger, self.broker_port = ledger, broker_port
        self.links, self.connections = set(), 0
        self.server = None

    async def start(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        link = Link(self)
        tasks = []
        try:
            there = await asyncio.open_connection("127.0.0.1", self.broker_port)
        except OSError:
            reset(writer)
            return
        self.links.add(link)
        try:
            tasks = [
                asyncio.create_task(link.carry(reader, there[1], link.from_daemon, True)),
                asyncio.create_task(link.carry(there[0], writer, link.from_broker, False)),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if (link.deaf or link.mute) and tasks[0] not in done:
                # The broker's end is invisible too: only the daemon itself can find out.
                await asyncio.wait(tasks[:1])
            for task in tasks:
                if task.done() and task.exception() and not isinstance(task.exception(), OSError):
                    self.ledger.fault("wire", repr(task.exception()))
        finally:
            for task in tasks:
                task.cancel()
            for end in (writer, there[1]):
                with contextlib.suppress(OSError):
                    end.close()
            self.links.discard(link)
            link.closed.set()

    def is_talking(self):
        """Whether the daemon has a connection that works and that the broker accepted."""
        return any(link.is_accepted and not (link.deaf or link.mute) for link in self.links)

    def break_links(self, *, upward):
        """Half-open: the present connections go silent for ever, both ways, or towards the daemon only. Gives them."""
        links = list(self.links)
        for link in links:
            link.deaf, link.mute = upward, True
        return links


def reset(writer):
    """As if nobody listened."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
