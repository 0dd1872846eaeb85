#!/usr/bin/python3
"""What a test in the container reads from files: look.py journal (on standard input), look.py ledger KEPT RECEIVED."""
import json
import sys


def journal():
    """Lines about the camera name it and their stage in fields of their own, with a priority."""
    entries = [json.loads(line) for line in sys.stdin]
    about = [e for e in entries if e.get("CAMERA") == "front"]
    if not about:
        sys.exit("no line of the journal has CAMERA=front")
    stages = {e.get("STAGE") for e in entries} - {None}
    if not any(e.get("STAGE") and e.get("PRIORITY") and e.get("MESSAGE") for e in about):
        sys.exit(f"no line has CAMERA, STAGE, PRIORITY and MESSAGE together; stages: {stages}")
    print(f"        {len(entries)} lines, {len(about)} about the camera, stages: {', '.join(sorted(stages))}")


# What a run of test-systemd.sh makes several times over: with fewer there was nothing to lose.
EVENTS_AT_LEAST = 20
LIVES_AT_LEAST = 3


def ledger(kept, received):
    """Every event that the device keeps arrived, the camera's numbers have no gap, and there were events in several lives."""
    ours = {e["id"]: e for e in map(json.loads, open(kept))}
    theirs = {e["id"]: e for e in map(json.loads, open(received))}
    lives = len({e["boot_id"] for e in theirs.values()})
    if not ours or len(theirs) < EVENTS_AT_LEAST or lives < LIVES_AT_LEAST:
        sys.exit(f"too little to judge by: {len(ours)} events kept, {len(theirs)} arrived, of {lives} lives of the daemon")
    lost = sorted(e["seq"] for i, e in ours.items() if i not in theirs)
    if lost:
        sys.exit(f"{len(lost)} events did not arrive: {lost[:20]}")
    numbers = sorted(e["seq"] for e in theirs.values())
    if numbers != list(range(1, len(numbers) + 1)):
        sys.exit(f"{len(numbers)} events, but their numbers go from {numbers[0]} to {numbers[-1]}")
    print(f"        {len(numbers)} events of {lives} lives of the daemon, none missing")


{"journal": journal, "ledger": ledger}[sys.argv[1]](*sys.argv[2:])
