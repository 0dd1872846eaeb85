#!/usr/bin/env python3
"""The harness against a daemon that stands in: it must find every mistake that the stand-in can make, and none where it makes none."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What the stand-in does wrong, and which finding must be among those that follow.
FLAWS = {"": None, "lose": "not as due", "gap": "gap", "reorder": "order", "change": "changed", "rename": "not due", "silent": "liveness"}
RUN = ["--kills", "3", "--events", "400", "--cameras", "2", "--quiet"]
# One that never speaks again makes every wait as long as it can be.
OUTAGES = {"silent": 1}


def start(flaw, folder):
    daemon = f"{sys.executable} {HERE / 'standin.py'}"
    command = [sys.executable, str(HERE / "run.py"), "--daemon", daemon, "--json", str(folder / f"{flaw}.json"), *RUN]
    command += ["--outages", str(OUTAGES.get(flaw, 6))]
    return subprocess.Popen(command, env=os.environ | {"PEREGRINE_SOAK_FLAW": flaw}, stdout=subprocess.PIPE, text=True)


def verdict(flaw, want, run, folder):
    told, _ = run.communicate()
    findings = json.loads((folder / f"{flaw}.json").read_text())["findings"]
    good = run.returncode == 0 and not findings if want is None else run.returncode == 1 and want in findings
    print(f"{'ok  ' if good else 'FAIL'} {flaw or 'no mistake'}: {findings or 'no findings'}")
    if not good:
        print(told)
    return good


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        runs = {flaw: start(flaw, folder) for flaw in FLAWS}
        verdicts = [verdict(flaw, want, runs[flaw], folder) for flaw, want in FLAWS.items()]
    raise SystemExit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    main()
