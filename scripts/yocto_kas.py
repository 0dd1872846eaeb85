#!/usr/bin/env python3
"""Reads yocto/kas/*.yml as kas does: its schema, its includes, its way to lay one file over another. Nothing is cloned.

Needs the package kas (yocto/requirements.txt). Belongs here: what a kas file says. Does not: whether the branches exist that it names.
"""

import argparse
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "yocto/kas"
# The release, and bitbake's branch for it.
BRANCHES = {"wrynose", "2.18"}


class Warnings(logging.Handler):
    """What kas warns of is wrong, too."""

    def __init__(self, wrong):
        super().__init__(logging.WARNING)
        self.wrong = wrong

    def emit(self, record):
        self.wrong.append(f"kas: {record.getMessage()}")


def main():
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 64)
    try:
        from kas.context import create_global_context
        from kas.includehandler import ConfigFile, IncludeHandler
        from kas.kasusererror import KasUserError
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: run scripts/check-yocto.sh, which installs yocto/requirements.txt")
    # It asks git where the files' repository begins, in an environment of its own.
    create_global_context(argparse.Namespace(no_color=True))
    machines, overlays, wrong = {}, [], []
    logging.getLogger().addHandler(Warnings(wrong))
    for path in sorted(FOLDER.glob("*.yml")):
        try:
            config = ConfigFile.load(str(path)).config
        except KasUserError as problem:
            wrong.append(f"{path.relative_to(ROOT)}: {problem}")
            continue
        if "machine" in config:
            machines[path] = config["machine"]
        elif "repos" not in config:
            overlays.append(path)
    if not machines:
        wrong.append("yocto/kas names no machine")
    for path, machine in machines.items():
        if path.stem != machine:
            wrong.append(f"{path.relative_to(ROOT)}: is for {machine}; name it so")
        for over in ([], overlays):
            try:
                config, missing = IncludeHandler([str(path), *map(str, over)]).get_config()
            except KasUserError as problem:
                wrong.append(f"{path.relative_to(ROOT)}: {problem}")
                continue
            wrong += [f"{path.relative_to(ROOT)}: {why}" for why in complaints(config, missing)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"kas files for {', '.join(machines.values())}", file=sys.stderr)


def complaints(config, missing):
    """What does not fit in a whole configuration."""
    if missing:
        yield f"includes files of {', '.join(missing)}, which would have to be cloned to know what they say"
    if config.get("target") != "peregrine-image":
        yield f"builds {config.get('target')}, not peregrine-image"
    for name, repository in config["repos"].items():
        if not repository.get("url"):
            for layer in repository.get("layers", {}):
                if not (ROOT / layer / "conf/layer.conf").is_file():
                    yield f"{name}: {layer} is no layer"
        elif repository.get("branch") not in BRANCHES:
            yield f"{name}: branch {repository.get('branch')} is none of {', '.join(sorted(BRANCHES))}"


if __name__ == "__main__":
    main()
