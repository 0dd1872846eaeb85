#!/usr/bin/env python3
"""What reaches the disk when events are kept in one way or another. Called by measure-writes.sh, on a file system of its own.

Every way gets the same events in the same batches: a batch is made durable, then acknowledged, and the next comes. A second of a day
costs what its batches cost, so time need not pass. Counted are the sectors that the block device was asked to write
(/sys/block/DEVICE/stat), after the file system was told to bring everything down.
"""

import argparse
import json
import os
import sqlite3
import struct
import zlib

MIB = 1 << 20


def event(number):
    """As long as an event with a track and a label is."""
    body = {
        "id": f"019ca96c-1c00-7000-8000-{number:012x}", "boot": "019ca96c-1c00-7000-8000-000000000000", "seq": number,
        "camera": "front", "at": {"mono": {"secs": number, "nanos": 123456789}, "wall": {"secs_since_epoch": 1790000000 + number,
        "nanos_since_epoch": 123456789}, "wall_synced": True}, "frame_seq": number, "type": "crossed", "line": "gate",
        "direction": "in", "subject": {"uid": f"019ca96c-1c00-7000-8000-{number:012x}", "track_id": number, "class": "person",
        "score": 0.87, "bbox": {"x1": 100.5, "y1": 50.25, "x2": 140.5, "y2": 140.25}, "frame_px": [1280, 720],
        "first_seen": {"mono": {"secs": number, "nanos": 0}, "wall": {"secs_since_epoch": 1790000000 + number,
        "nanos_since_epoch": 0}, "wall_synced": True}, "labels": [{"name": "person.coat", "value": "red", "confidence": 0.7, "votes": 4}]},
    }
    return json.dumps(body, separators=(",", ":")).encode()


class Sqlite:
    """One table; WAL; FULL, since NORMAL may take back what was committed."""

    def __init__(self, folder):
        self.db = sqlite3.connect(os.path.join(folder, "events.db"), isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, sent INTEGER NOT NULL, body BLOB NOT NULL)")
        self.db.execute("CREATE INDEX waiting ON events (number) WHERE sent = 0")

    def keep(self, batch):
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO events VALUES (?, 0, ?)", batch)
        self.db.execute("COMMIT")

    def acknowledge(self, numbers):
        self.db.execute("BEGIN")
        self.db.executemany("UPDATE events SET sent = 1 WHERE number = ?", [(n,) for n in numbers])
        self.db.execute("COMMIT")

    def close(self):
        self.db.close()


class Log:
    """Segments with a bit a record for what was sent. `prepare` says how a segment is made, `bits_apart` whether the bits have a file of
    their own, which nobody waits for."""

    def __init__(self, folder, prepare, bits_apart=False):
        self.folder, self.prepare, self.serial, self.file, self.bits_apart = folder, prepare, 0, None, bits_apart
        self.roll()

    def roll(self):
        if self.file is not None:
            os.close(self.file)
        self.serial += 1
        path = os.path.join(self.folder, f"{self.serial:010}.log")
        self.file = os.open(path, os.O_RDWR | os.O_CREAT)
        if self.prepare == "zeros":
            os.write(self.file, bytes(MIB))
        elif self.prepare == "fallocate":
            os.posix_fallocate(self.file, 0, MIB)
        os.fsync(self.file)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.at, self.bits, self.first = 8192, bytearray(), None
        self.bits_file = os.open(path + ".bits", os.O_RDWR | os.O_CREAT) if self.bits_apart else self.file

    def keep(self, batch):
        data = b"".join(b"PgR\x01" + struct.pack("<IIQI", 2, len(b), n, zlib.crc32(b)) + b for n, b in batch)
        if self.at + len(data) > MIB:
            self.roll()
        self.first = self.first or batch[0][0]
        os.pwrite(self.file, data, self.at)
        self.at += len(data)
        os.fdatasync(self.file)

    def acknowledge(self, numbers):
        for number in numbers:
            at = number - self.first
            self.bits.extend(bytes(max(0, at // 8 + 1 - len(self.bits))))
            self.bits[at // 8] |= 1 << at % 8
        os.pwrite(self.bits_file, struct.pack("<II", zlib.crc32(self.bits), len(self.bits)) + self.bits, 4096)

    def close(self):
        os.close(self.file)


WAYS = {
    "sqlite-wal": Sqlite,
    "log-append": lambda folder: Log(folder, "nothing"),
    "log-fallocate": lambda folder: Log(folder, "fallocate"),
    "log-zeros": lambda folder: Log(folder, "zeros"),
    "log-zeros-apart": lambda folder: Log(folder, "zeros", bits_apart=True),
}


def written(device):
    with open(f"/sys/block/{device}/stat", encoding="ascii") as stat:
        fields = stat.read().split()
    return int(fields[4]), int(fields[6]) * 512


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("folder")
    parser.add_argument("--device", required=True, help="the block device under the folder, e.g. loop0")
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True, help="events that become durable together")
    args = parser.parse_args()
    os.sync()
    writes, before = written(args.device)
    way, size = WAYS[args.way](args.folder), 0
    for begin in range(1, args.events + 1, args.batch):
        batch = [(n, event(n)) for n in range(begin, min(begin + args.batch, args.events + 1))]
        size += sum(len(body) for _, body in batch)
        way.keep(batch)
        way.acknowledge([n for n, _ in batch])
    way.close()
    os.sync()
    writes_after, after = written(args.device)
    each = (after - before) / args.events
    print(f"{args.way:15} batch {args.batch:3}: {size / args.events:6.0f} bytes an event, {each:8.0f} written an event,"
          f" {(after - before) / size:6.1f} times as much, {(writes_after - writes) / args.events:5.2f} requests an event")


if __name__ == "__main__":
    main()
