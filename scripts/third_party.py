#!/usr/bin/env python3
"""The licences of what is linked into the binary: judged by the list in deny.toml, and written down with their texts.

Reads `cargo metadata` and the crates' own folders; asks no network. Belongs here: nothing about security advisories, which cargo-deny knows.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXTS = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$|.*[-_]licen[cs]e(\.(md|txt))?$", re.IGNORECASE)
# For crates that name a licence and carry no text of it.
STANDARD = {"MIT": "LICENSE-MIT", "Apache-2.0": "LICENSE-APACHE"}


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"third_party.py: cargo metadata: {done.stderr.strip()}")
    return json.loads(done.stdout)


def linked(meta):
    """What our binary is linked with: dependencies of dependencies, without those that only build or test, and without macros' own code."""
    packages = {p["id"]: p for p in meta["packages"]}
    nodes = {n["id"]: n for n in meta["resolve"]["nodes"]}
    root = meta["resolve"]["root"]
    found, waiting = set(), [root]
    while waiting:
        for dep in nodes[waiting.pop()]["deps"]:
            package = packages[dep["pkg"]]
            a_macro = any("proc-macro" in t["kind"] for t in package["targets"])
            if dep["pkg"] in found or a_macro or not any(k["kind"] is None for k in dep["dep_kinds"]):
                continue
            found.add(dep["pkg"])
            waiting.append(dep["pkg"])
    return sorted((packages[i] for i in found), key=lambda p: (p["name"], p["version"]))


def granted(expression, allowed):
    """The licences of an SPDX expression that are used: all of an AND, the first allowed one of an OR. None when it cannot be."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives(at):
        best, at = together(at)
        while at < len(words) and words[at].upper() == "OR":
            other, at = together(at + 1)
            best = other if best is None else best
        return best, at

    def together(at):
        all_of, at = single(at)
        while at < len(words) and words[at].upper() == "AND":
            other, at = single(at + 1)
            all_of = None if all_of is None or other is None else all_of + other
        return all_of, at

    def single(at):
        if words[at] == "(":
            inside, at = alternatives(at + 1)
            return inside, at + 1
        name, at = words[at], at + 1
        if at < len(words) and words[at].upper() == "WITH":
            name, at = f"{name} WITH {words[at + 1]}", at + 2
        return ([name] if name in allowed else None), at

    return alternatives(0)[0]


def texts(package):
    folder = Path(package["manifest_path"]).parent
    # Some carry what others wrote, with its own licence, in a folder below.
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and TEXTS.match(f.name)]
    if package["license_file"] and (named := folder / package["license_file"]).is_file() and named not in files:
        files.append(named)
    return [f.read_text(errors="replace").strip() for f in files]


def standard_text(package, licences):
    for name in licences:
        if name in STANDARD:
            text = (ROOT / STANDARD[name]).read_text()
            who = ", ".join(package["authors"]) or f"the authors of {package['name']}"
            return re.sub(r"Copyright \(c\) .*", f"Copyright (c) {who}", text).strip()
    return None


def judge(packages, allowed):
    """(package, licences used, texts) of each; a list of what is wrong."""
    kept, wrong = [], []
    for package in packages:
        label = f"{package['name']} {package['version']}"
        licences = granted(package["license"], allowed) if package["license"] else None
        if licences is None:
            wrong.append(f"{label}: {package['license'] or 'names no licence'}: not in [licenses] allow of deny.toml")
            continue
        found = texts(package) or [t for t in [standard_text(package, licences)] if t]
        if not found:
            wrong.append(f"{label}: carries no text of its licence, {package['license']}")
        kept.append((package, licences, found))
    return kept, wrong


def document(kept):
    lines = ["Libraries of others that are linked into peregrine, their licences as they name them, and what these ask to be passed on.",
             "Rust's standard library is linked in, too: MIT or Apache-2.0, https://github.com/rust-lang/rust/blob/main/COPYRIGHT", ""]
    lines += [f"{p['name']} {p['version']}: {p['license']}  https://crates.io/crates/{p['name']}" for p, _, _ in kept]
    by_text = {}
    for package, _, found in kept:
        for text in found:
            key = re.sub(r"\s+", " ", text)
            by_text.setdefault(key, (text, []))[1].append(f"{package['name']} {package['version']}")
    for text, names in by_text.values():
        lines += ["", "=" * 100, ", ".join(dict.fromkeys(names)), "=" * 100, "", text]
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--target", default="x86_64-unknown-linux-gnu", help="for which platform (x86_64-unknown-linux-gnu)")
    p.add_argument("--out", type=Path, metavar="FILE", help="write names, licences and texts there; without it they are only judged")
    args = p.parse_args()
    allowed = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"]
    kept, wrong = judge(linked(metadata(args.target)), allowed)
    if wrong:
        sys.exit("third_party.py: licences:\n  " + "\n  ".join(wrong))
    if args.out:
        args.out.write_text(document(kept))
    print(f"{len(kept)} crates are linked in for {args.target}, all under licences that deny.toml allows", file=sys.stderr)


if __name__ == "__main__":
    main()
