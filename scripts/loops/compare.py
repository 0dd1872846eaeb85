"""Peregrine's replay beside loops in Python, in one interleaved run. scripts/compare-loops.sh starts it and says how.

A round runs everyone once over the whole clip, one after the other. Of a Python loop only its own time and processor time count, not its
imports; of `peregrine replay` the whole process counts, the loading of the model included. Memory is the most that a process held.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent


def run(command, env=None):
    """What a process printed, its seconds, processor seconds and the most memory that it held, in MiB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        child = subprocess.Popen(command, stdout=said, stderr=complained, text=True, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            complained.seek(0)
            sys.exit(f"{command[0]} ended with {child.returncode}:\n{complained.read()[-2000:]}")
        said.seek(0)
        return said.read(), took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Replay:
    def __init__(self, given, name, model, engine, work):
        self.name, self.given, self.config = name, given, work / f"{engine}.toml"
        self.config.write_text(
            f'[detect]\nmodel = "{model}"\nengine = "{engine}"\nthreads = {given.threads}\nconfidence = {given.confidence}\n'
            "[ingest]\nstall_ms = 60000\n"
        )
        self.out = work / f"{engine}.jsonl"

    def measure(self):
        _, secs, cpu_secs, most_mib = run([self.given.daemon, "replay", self.given.clip, "--config", self.config, "--out", self.out])
        return {"frames": self.given.frames, "secs": secs, "cpu_secs": cpu_secs, "most_mib": most_mib}


class Loop:
    def __init__(self, given, name, python, script, model):
        self.name = name
        self.command = [python, "-W", "ignore", HERE / script, model, given.clip, str(given.threads), str(given.confidence)]
        # Nothing is fetched or installed while it is measured.
        self.env = {**os.environ, "YOLO_AUTOINSTALL": "False", "YOLO_OFFLINE": "True", "OMP_NUM_THREADS": str(given.threads)}

    def measure(self):
        said, _, _, most_mib = run(self.command, self.env)
        return {**json.loads(said.strip().splitlines()[-1]), "most_mib": most_mib}


def frames_of(python, clip):
    """By decoding: what a file's head says may be wrong."""
    count = "import cv2, sys\nv = cv2.VideoCapture(sys.argv[1]); n = 0\nwhile v.grab(): n += 1\nprint(n)"
    return int(run([python, "-c", count, clip])[0])


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--daemon", required=True)
    options.add_argument("--float-model", required=True)
    options.add_argument("--int8-model", required=True)
    options.add_argument("--clip", required=True)
    options.add_argument("--python", required=True, help="with the packages of requirements.txt")
    options.add_argument("--ultralytics", help="a Python with the packages of requirements-ultralytics.txt")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--confidence", type=float, default=0.4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json")
    given = options.parse_args()
    given.frames = frames_of(given.python, given.clip)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        everyone = [
            Replay(given, "peregrine replay, int8", given.int8_model, "int8", work),
            Replay(given, "peregrine replay, float by tract", given.float_model, "tract", work),
            Loop(given, "OpenCV + ONNX Runtime, float, no tracker", given.python, "plain.py", given.float_model),
            Loop(given, "OpenCV + ONNX Runtime, int8, no tracker", given.python, "plain.py", given.int8_model),
        ]
        if given.ultralytics:
            everyone.append(Loop(given, "Ultralytics track, float", given.ultralytics, "ultralytics_track.py", given.float_model))
        measured = {one.name: [] for one in everyone}
        for _ in range(given.rounds):
            for one in everyone:
                measured[one.name].append(one.measure())
    print(f"{given.frames} frames, {given.threads} threads, medians of {given.rounds} rounds\n")
    print(f"{'':42} {'frames/s':>9} {'CPU ms a frame':>15} {'most MiB':>9}")
    for name, rounds in measured.items():
        per_sec = statistics.median(r["frames"] / r["secs"] for r in rounds)
        cpu_ms = statistics.median(1000 * r["cpu_secs"] / r["frames"] for r in rounds)
        print(f"{name:42} {per_sec:9.1f} {cpu_ms:15.1f} {statistics.median(r['most_mib'] for r in rounds):9.0f}")
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps({"threads": given.threads, "clip": given.clip, "rounds": measured}, indent=1))


if __name__ == "__main__":
    main()
