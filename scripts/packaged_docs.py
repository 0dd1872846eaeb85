"""docs/ as the Debian package brings it: links to what the package has elsewhere lead there, links to what it does not have become their text.
Called by build-deb.sh; `--check ROOT` looks at the links of an unpacked package, for check-deb.sh."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = "../../peregrine"
# Folders of the repository (and files in them) by where the package has them, from its documents' folder.
PLACES = {"docs/schemas": f"{SHARED}/schemas", "systemd": f"{SHARED}/systemd", "config/default.toml": f"{SHARED}/default.toml"}
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def is_outside(target):
    return "://" in target or target.startswith(("#", "mailto:"))


def place_of(path, depth):
    """Where a file of the repository lies, seen from a packaged document `depth` folders down; None where the package has none."""
    up = "../" * depth
    name = path.relative_to(ROOT).as_posix()
    if name.startswith("docs/") and (path.suffix == ".md" or name in ("docs/budget.svg", "docs/asyncapi.json", "docs/decisions")):
        return up + name.removeprefix("docs/")
    for folder, place in PLACES.items():
        if name == folder or name.startswith(folder + "/"):
            return up + place + name.removeprefix(folder)
    return None


def with_links(document):
    depth = len(document.relative_to(ROOT / "docs").parts) - 1

    def changed(match):
        text, target = match.groups()
        if is_outside(target):
            return match.group(0)
        path, _, part = target.partition("#")
        place = place_of((document.parent / path).resolve(), depth)
        return text if place is None else f"[{text}]({place}{'#' + part if part else ''})"

    return LINK.sub(changed, document.read_text())


def write(out):
    for document in (ROOT / "docs").rglob("*.md"):
        to = out / document.relative_to(ROOT / "docs")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(with_links(document))


def dead_links(unpacked):
    for document in sorted((unpacked / "usr/share/doc/peregrine").rglob("*.md")):
        for _, target in LINK.findall(document.read_text()):
            if not is_outside(target) and not (document.parent / target.split("#")[0]).exists():
                yield f"{document.relative_to(unpacked)}: {target} is not in the package"


if len(sys.argv) == 3 and sys.argv[1] == "--check":
    dead = list(dead_links(pathlib.Path(sys.argv[2])))
    print("\n".join(dead), file=sys.stderr)
    sys.exit(bool(dead))
write(pathlib.Path(sys.argv[1]))
