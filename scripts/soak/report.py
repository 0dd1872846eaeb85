"""The run in numbers: JSON for machines, a few lines for people; pure."""
import bisect
from collections import Counter

from ledger import percentile

# Events that began in an outage, or so shortly after it that they stood behind its backlog, are not of the quiet time.
AFTER_SECS = 5.0
DUPLICATES_SHARE = 0.01
# In a shorter run the faults stand so close that a share says nothing: each may repeat what was under way.
SHARE_FROM_EVENTS = 10_000


def delays(ordered):
    """None where there was no event of that kind."""
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(ordered, share), 4) for name, share in shares.items()} if ordered else None


def repeats_by_fault(ledger, faults, lives):
    """What came again, by the last thing that had gone wrong before."""
    began = sorted([(o.began, o.kind) for o in faults.outages] + [(l.ended, "kill -9") for l in lives if l.is_killed])
    moments = [moment for moment, _ in began]
    last = Counter(bisect.bisect(moments, at) - 1 for at in ledger.repeats)
    by = Counter()
    for number, many in last.items():
        by[began[number][1] if number >= 0 else "nothing"] += many
    return dict(by)


def build(ledger, faults, lives, judge, witness, args):
    gone = [(o.began, o.ended + AFTER_SECS) for o in faults.outages] + [(l.ended, l.ended + AFTER_SECS) for l in lives]

    def is_quiet(entry):
        return not any(began <= entry.at <= ended for began, ended in gone)

    events = len(ledger.entries)
    counts = ledger.counts
    lost = counts["gap"] + counts["missing"] + counts["not acknowledged"] + counts["lost"]
    return {
        "seed": args.seed,
        "cameras": args.cameras,
        "outages": len(faults.outages),
        "kills": faults.kills,
        "lives": len(lives),
        "events": events,
        "acknowledged": ledger.acked(),
        "as_scripted": judge.matched if judge else None,
        "lost": lost,
        "repeated": counts["repeated"],
        "repeated_share": round(counts["repeated"] / max(events, 1), 5),
        "repeated_after": repeats_by_fault(ledger, faults, lives),
        "acknowledged_twice": counts["duplicates"],
        "delay_secs": delays(ledger.delays()),
        "delay_quiet_secs": delays(ledger.delays(is_quiet)),
        "delay_alerts_secs": delays(ledger.delays(lambda entry: entry.is_alert)),
        "fastest_per_sec": ledger.fastest(),
        "half_open_noticed_secs": [round(secs, 1) for secs in faults.noticed_secs],
        "witness": witness,
        "findings": {kind: n for kind, n in counts.items() if kind not in ("repeated", "duplicates")},
        "violations": ledger.violations,
    }


def repeats_too_often(told):
    return told["events"] >= SHARE_FROM_EVENTS and told["repeated_share"] > DUPLICATES_SHARE


def is_good(told):
    return not told["violations"] and not repeats_too_often(told)


def text(told):
    lines = [
        f"{told['events']} events over {told['outages']} outages and {told['kills']} kills (seed {told['seed']})",
        f"lost {told['lost']}, repeated {told['repeated']} ({told['repeated_share']:.2%}) after {told['repeated_after']}, as scripted {told['as_scripted']}",
        f"delay in quiet times {told['delay_quiet_secs']}, of all {told['delay_secs']}, of alerts {told['delay_alerts_secs']} s",
        f"fastest {told['fastest_per_sec']:.0f} events/s, half-open noticed after {told['half_open_noticed_secs']} s",
        f"a plain subscriber: {told['witness']}",
    ]
    lines += [f"  {violation}" for violation in told["violations"]]
    if repeats_too_often(told):
        lines.append(f"  more than {DUPLICATES_SHARE:.0%} repeated")
    return "\n".join([*lines, "good" if is_good(told) else "NOT GOOD"])
