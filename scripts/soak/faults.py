"""What goes wrong, when, and how it is put right: outages of the broker and deaths of the daemon, from one seed."""
import asyncio
import signal
import time
from dataclasses import dataclass

# In turns, so that a short run, too, has one of each.
KINDS = ["term", "kill", "stop", "deaf", "mute", "wipe"]
# A broker that is half gone is noticed within this.
NOTICE_SECS = 20.0
# A broker that is there again has the daemon's connection within this.
RETURN_SECS = 30.0
DOWN_SECS = (0.5, 12.0)
UP_SECS = (1.0, 5.0)
LIFE_SECS = (4.0, 20.0)


@dataclass
class Outage:
    """By the wall clock."""

    kind: str
    began: float
    ended: float


class Faults:
    """Breaks and mends; remembers what it did."""

    def __init__(self, broker, daemon, tap, config, random):
        self.broker, self.daemon, self.tap, self.config, self.random = broker, daemon, tap, config, random
        self.outages, self.kills, self.noticed_secs = [], 0, []

    async def break_broker(self, many, say):
        for number in range(many):
            await asyncio.sleep(self.random.uniform(*UP_SECS))
            kind, began = KINDS[number % len(KINDS)], time.time()
            await getattr(self, kind)()
            await self.returned(kind)
            self.outages.append(Outage(kind, began, time.time()))
            say(f"outage {number + 1}/{many}: {kind}, {time.time() - began:.1f} s")

    async def kill_daemon(self, many, say):
        for number in range(many):
            await asyncio.sleep(self.random.uniform(*LIFE_SECS))
            if not self.daemon.is_expected_to_run:
                return
            await self.daemon.kill()
            self.kills += 1
            await self.daemon.start(self.config)
            say(f"kill {number + 1}/{many}")

    async def returned(self, kind):
        """Liveness: after every fault events arrive again."""
        mended, ledger = time.time(), self.daemon.ledger
        while not (self.tap.is_talking() and ledger.last_ack_at > mended):
            if time.time() > mended + RETURN_SECS:
                return ledger.fault("liveness", f"nothing arrived for {RETURN_SECS:.0f} s after {kind}")
            await asyncio.sleep(0.05)

    def down(self):
        return asyncio.sleep(self.random.uniform(*DOWN_SECS))

    async def term(self):
        await self.broker.end(signal.SIGTERM)
        await self.down()
        await self.broker.start()

    async def kill(self):
        await self.broker.end(signal.SIGKILL)
        await self.down()
        await self.broker.start()

    async def stop(self):
        self.broker.process.send_signal(signal.SIGSTOP)
        await self.down()
        self.broker.process.send_signal(signal.SIGCONT)

    async def wipe(self):
        await self.broker.end(signal.SIGKILL)
        self.broker.forget()
        await self.down()
        await self.broker.start()

    async def deaf(self):
        await self.half_open(upward=True)

    async def mute(self):
        await self.half_open(upward=False)

    async def half_open(self, *, upward):
        end = time.monotonic() + RETURN_SECS
        while not self.tap.is_talking() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        links, began, life = self.tap.break_links(upward=upward), time.monotonic(), self.daemon.process
        try:
            await asyncio.wait_for(asyncio.gather(*(link.closed.wait() for link in links)), NOTICE_SECS * 2)
        except asyncio.TimeoutError:
            return self.daemon.ledger.fault("half-open", f"not noticed in {NOTICE_SECS * 2:.0f} s")
        took = time.monotonic() - began
        if life is not self.daemon.process:
            # Its death closed the connection: nothing was noticed.
            return
        self.noticed_secs.append(took)
        if took > NOTICE_SECS:
            self.daemon.ledger.fault("half-open", f"noticed after {took:.1f} s, {NOTICE_SECS:.0f} s are allowed")
