#!/usr/bin/env python3
"""The soak: the real daemon on the coded clip, a real broker, faults, and a verdict. See docs/soak.md; scripts/soak-events.sh starts it."""
import argparse
import asyncio
import json
import pathlib
import random
import sys
import tempfile
import time

import clip
import report
import settings
from faults import Faults
from judge import Judge
from ledger import Ledger
from tap import Tap
from witness import Witness
from world import Broker, Daemon, free_port

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "tests/data/coded_detector.onnx"
# Nothing new for so long: the backlog is drained.
QUIET_SECS = 5.0
DRAIN_SECS = 120.0
# Longer than any fault and the way back from it.
STUCK_SECS = 90.0


def arguments():
    of = argparse.ArgumentParser(description=__doc__)
    of.add_argument("--daemon", required=True, help="the program under test, with its first arguments")
    of.add_argument("--outages", type=int, default=6)
    of.add_argument("--kills", type=int, default=10)
    of.add_argument("--events", type=int, default=1000, help="go on until so many are acknowledged")
    of.add_argument("--cameras", type=int, default=4)
    of.add_argument("--seed", type=int, default=1)
    of.add_argument("--slack-ms", type=int, default=3000, help="what a kill may cost of what was just seen")
    of.add_argument("--work", type=pathlib.Path, help="a new folder for everything; kept. Without it: temporary")
    of.add_argument("--json", type=pathlib.Path, help="the report as JSON")
    of.add_argument("--quiet", action="store_true")
    return of.parse_args()


class Soak:
    """One run."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        self.cameras = [f"c{number}" for number in range(args.cameras)]
        self.ledger = Ledger(f"peregrine/{settings.DEVICE}")
        self.began = time.monotonic()

    def say(self, text):
        if not self.args.quiet:
            told = f"[{time.monotonic() - self.began:6.0f} s] {text}; {len(self.ledger.entries)} events"
            print(told, file=sys.stderr, flush=True)

    def configure(self, port, name, **more):
        file = self.work / name
        file.write_text(settings.text(
            work=self.work, model=MODEL, clip=self.work / "coded.avi", port=port, api_port=self.api_port,
            cameras=self.cameras, **more,
        ))
        return file

    async def run(self):
        clip.draw(self.work / "coded.avi")
        broker, tap_port = Broker(self.work), None
        await broker.start()
        tap = Tap(self.ledger, broker.port)
        tap_port, self.api_port = await tap.start(), free_port()
        witness = Witness(broker.port, self.ledger.prefix)
        witness.start()
        daemon = Daemon(self.args.daemon.split(), self.work, self.ledger)
        config = self.configure(tap_port, "peregrine.toml")
        faults = Faults(broker, daemon, tap, config, random.Random(self.args.seed))
        try:
            await daemon.start(config)
            await asyncio.gather(
                faults.break_broker(self.args.outages, self.say), faults.kill_daemon(self.args.kills, self.say), self.enough()
            )
            await daemon.stop()
            await self.drain(daemon, tap, self.configure(tap_port, "drain.toml", watching=False))
            judge = Judge(self.ledger, daemon.lives, self.args.slack_ms / 1000)
            self.ledger.close()
            judge.run(self.cameras)
            return report.build(self.ledger, faults, daemon.lives, judge, witness.end(self.ledger), self.args)
        finally:
            for process in (daemon.process, broker.process):
                if process and process.returncode is None:
                    daemon.is_expected_to_run = False
                    process.kill()
                    await process.wait()

    async def enough(self):
        """Until enough came, or nothing comes any more."""
        seen, since = -1, time.monotonic()
        while len(self.ledger.entries) < self.args.events and "exit" not in self.ledger.counts:
            if len(self.ledger.entries) != seen:
                seen, since = len(self.ledger.entries), time.monotonic()
            if time.monotonic() - since > STUCK_SECS:
                return self.ledger.fault("liveness", f"no event for {STUCK_SECS:.0f} s, {seen} of {self.args.events} came")
            await asyncio.sleep(0.5)

    async def drain(self, daemon, tap, config):
        """The last life watches nothing: what was left on disk must come."""
        self.say("draining")
        await daemon.start(config)
        began = since = time.monotonic()
        seen = -1
        while time.monotonic() - since < QUIET_SECS:
            # Quiet is only what a connection that works does not say.
            if (now := self.ledger.acked()) != seen or not tap.is_talking():
                seen, since = now, time.monotonic()
            if time.monotonic() - began > DRAIN_SECS:
                self.ledger.fault("liveness", f"still draining after {DRAIN_SECS:.0f} s")
                break
            await asyncio.sleep(0.1)
        await daemon.stop()
        # It saw nothing, thus nothing is due in it.
        daemon.lives.pop()


def main():
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="peregrine-soak-") as temporary:
        work = args.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        told = asyncio.run(Soak(args, work.resolve()).run())
    if args.json:
        args.json.write_text(json.dumps(told, indent=2) + "\n")
    print(report.text(told))
    raise SystemExit(0 if report.is_good(told) else 1)


if __name__ == "__main__":
    main()
