#!/usr/bin/env python3
"""models/manifest.toml as lines for a shell: one line for each source of each entry, fields separated by 0x1f.

name, file, sha256, licence, about, kind of source, then what that kind needs:
crate: name, version, sha256, member, unzip; deb: package, member; url: url; manual: how.
"""
import sys
import tomllib

FIELDS = {
    "crate": ["name", "version", "sha256", "member", "unzip"],
    "deb": ["package", "member"],
    "url": ["url"],
    "manual": ["how"],
}


def main():
    path, *names = sys.argv[1:]
    with open(path, "rb") as file:
        manifest = tomllib.load(file)
    entries = {**manifest.get("model", {}), **manifest.get("clip", {})}
    if names == ["--list"]:
        for name, entry in entries.items():
            print(f"{name:26} {entry['licence']:28} {entry['about']}")
        return
    unknown = [name for name in names if name not in entries]
    if unknown:
        sys.exit(f"{path}: there is no {', '.join(unknown)}; there are: {', '.join(entries)}")
    for name in names or entries:
        entry = entries[name]
        head = [name, entry["file"], entry["sha256"], entry["licence"], entry["about"]]
        for source in entry.get("source", []):
            kind = source["kind"]
            print("\x1f".join(head + [kind] + [source.get(field, "") for field in FIELDS.get(kind, [])]))


main()
