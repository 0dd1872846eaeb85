#!/usr/bin/env python3
"""Holds LICENSE in the daemon's recipe to the licences of the crates that are linked into it: none left out, none too many.

A crate that may be taken under the project's own terms, MIT or Apache-2.0, adds nothing; one that offers no such choice adds what it asks
for. Belongs here: names of licences. Does not: their texts, nor whether a licence is welcome.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "aarch64-unknown-linux-gnu"
OWN = {"MIT", "Apache-2.0"}


def linked():
    """The crates that end up in the program: what is needed to build them, or to test, does not."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"cargo metadata: {done.stderr.strip()}")
    metadata = json.loads(done.stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found, waiting = {}, [root]
    while waiting:
        at = waiting.pop()
        if at in found:
            continue
        found[at] = packages[at]
        waiting += [to["pkg"] for to in nodes[at]["deps"] if any(kind["kind"] is None for kind in to["dep_kinds"])]
    return [package for at, package in found.items() if at != root]


def asked_for(expression):
    """The licences of an expression that leaves no choice of the project's own; of a choice among others, the first."""
    found = set()
    for term in re.split(r"\s+AND\s+", expression.replace("/", " OR ")):
        choices = [choice.strip() for choice in re.split(r"\s+OR\s+", term.strip("() "))]
        if len(choices) == 1 or not OWN & set(choices):
            found.add(choices[0])
    return found


def main():
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 64)
    recipe = next((ROOT / "yocto/meta-peregrine/recipes-peregrine/peregrine").glob("peregrine_*.bb"))
    text = re.search(r'^LICENSE = "([^"]*)"$', recipe.read_text(), re.MULTILINE)
    if text is None:
        sys.exit(f"{recipe.relative_to(ROOT)}: there is no LICENSE on one line")
    # The project's own two stand in it as a choice; a crate's beside that, each by itself.
    named = {word for word in re.sub(r"\([^)]*\)", "", text[1]).split() if word != "&"}
    crates, wanted = linked(), {}
    for crate in crates:
        if not crate["license"]:
            sys.exit(f"{crate['name']} {crate['version']} names no licence; look at its files, and say here what was found")
        for name in asked_for(crate["license"]):
            wanted.setdefault(name, crate["name"])
    wrong = [f"LICENSE lacks {name}, which {crate} asks for" for name, crate in sorted(wanted.items()) if name not in named]
    wrong += [f"LICENSE has {name}, which no crate asks for" for name in sorted(named - set(wanted))]
    if wrong:
        sys.exit("\n".join(f"{recipe.relative_to(ROOT)}: {why}" for why in wrong))
    print(f"licences of {len(crates)} linked crates: {', '.join(sorted(wanted))}", file=sys.stderr)


if __name__ == "__main__":
    main()
