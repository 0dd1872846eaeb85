#!/usr/bin/env python3
"""The crates of Cargo.lock as a Yocto recipe names them, each with its checksum, so that bitbake fetches them and a build needs no network.

    scripts/yocto_crates.py            writes yocto/meta-peregrine/recipes-peregrine/peregrine/peregrine-crates.inc
    scripts/yocto_crates.py --check    changes nothing; exit 1 when the file is not what Cargo.lock asks for

The form is that of bitbake's own `-c update_crates`, which would add the crates of every other Cargo.lock in the repository: of the
fuzzers, of tests. Belongs here: that list. Does not: the recipe that takes it.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "yocto/meta-peregrine/recipes-peregrine/peregrine/peregrine-crates.inc"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def crates(lock):
    """Name, version and checksum of every crate; ends the program when one is from elsewhere, for which there is no such line."""
    found = []
    for package in tomllib.loads(lock)["package"]:
        source = package.get("source")
        if source is None:
            continue
        name = f"{package['name']} {package['version']}"
        if source != REGISTRY:
            sys.exit(f"Cargo.lock: {name} is from {source}; a recipe's list has crates of crates.io only, so this needs a SRC_URI of its own")
        if "checksum" not in package:
            sys.exit(f"Cargo.lock: {name} has no checksum; cargo generate-lockfile writes them")
        found.append((package["name"], package["version"], package["checksum"]))
    return sorted(found)


def text(found):
    """The file's whole text."""
    lines = ["# Written by scripts/yocto_crates.py from Cargo.lock: not for editing.", 'SRC_URI += "\\']
    lines += [f"    crate://crates.io/{name}/{version} \\" for name, version, _ in found]
    lines += ['"', ""]
    lines += [f'SRC_URI[{name}-{version}.sha256sum] = "{checksum}"' for name, version, checksum in found]
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 64)
    found = crates((ROOT / "Cargo.lock").read_text())
    want = text(found)
    if sys.argv[1:] == ["--check"]:
        if not LIST.exists() or LIST.read_text() != want:
            sys.exit(f"{LIST.relative_to(ROOT)} is not what Cargo.lock asks for; scripts/yocto_crates.py writes it anew")
        print(f"{len(found)} crates, as in Cargo.lock", file=sys.stderr)
    else:
        LIST.write_text(want)


if __name__ == "__main__":
    main()
