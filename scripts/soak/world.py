"""The processes under test: a real mosquitto and the daemon, with what can be done to them. Belongs here: starting, signals, waiting."""
import asyncio
import os
import shutil
import signal
import socket
import time

from judge import Life

START_SECS = 20
# The daemon promises to be gone within 5 s.
STOP_SECS = 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(what, done, secs):
    end = time.monotonic() + secs
    while not done():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {secs} s")
        await asyncio.sleep(0.02)


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """mosquitto, which writes its sessions down with every change, or as often as it likes by itself; it may be made to forget them."""

    def __init__(self, work, *, saves_each=True):
        self.port, self.folder = free_port(), work / "broker"
        self.folder.mkdir()
        self.config = work / "mosquitto.conf"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser {'root' if os.getuid() == 0 else 'nobody'}\n"
            f"persistence true\npersistence_location {self.folder}/\nmax_queued_messages 0\n"
            + "autosave_on_changes true\nautosave_interval 1\n" * saves_each
        )
        self.log = (work / "mosquitto.log").open("ab")
        self.process = None

    async def start(self):
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        if not program:
            raise SystemExit("mosquitto is not installed")
        self.process = await asyncio.create_subprocess_exec(program, "-c", str(self.config), stdout=self.log, stderr=self.log)
        await until("mosquitto listens", lambda: answers(self.port), START_SECS)

    async def end(self, number):
        self.process.send_signal(number)
        await self.process.wait()

    def forget(self):
        for file in self.folder.iterdir():
            file.unlink()


class Daemon:
    """The daemon, and the lives that it has had."""

    def __init__(self, command, work, ledger):
        self.command, self.work, self.ledger = command, work, ledger
        self.log = (work / "daemon.log").open("ab")
        self.lives, self.process, self.began = [], None, 0.0
        self.is_expected_to_run = False

    async def start(self, config):
        self.began = time.time()
        self.process = await asyncio.create_subprocess_exec(
            *self.command, "run", "--config", str(config), stdout=self.log, stderr=self.log
        )
        self.is_expected_to_run = True
        asyncio.get_running_loop().create_task(self.watch(self.process))

    async def watch(self, process):
        """A daemon that ends by itself is a finding, whatever else comes to pass."""
        code = await process.wait()
        if process is self.process and self.is_expected_to_run:
            self.is_expected_to_run = False
            self.ledger.fault("exit", f"the daemon ended by itself with {code}, see daemon.log")

    async def kill(self):
        self.is_expected_to_run = False
        at = time.time()
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.lives.append(Life(self.began, at, is_killed=True))

    async def stop(self):
        self.is_expected_to_run = False
        if self.process.returncode is not None:
            self.lives.append(Life(self.began, time.time(), is_killed=True))
            return
        at = time.time()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.process.wait(), STOP_SECS)
        except asyncio.TimeoutError:
            self.ledger.fault("exit", f"no end {STOP_SECS} s after SIGTERM")
            return await self.kill()
        self.lives.append(Life(self.began, at, is_killed=False))
        if code not in (0, -signal.SIGTERM):
            self.ledger.fault("exit", f"exit code {code} after SIGTERM")
