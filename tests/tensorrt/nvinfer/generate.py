"""Writes default overrides for TensorRT's abstract classes, from its own headers: C++ on standard output.

    generate.py INCLUDE_FOLDER CLASS...

For a class `VRuntime` (or `IParser`) there comes a class `DefaultVRuntime` that overrides every pure method: each says its name and ends
the process, so that a call of what the stand-in does not have is seen at once. What the stand-in has stands in the .cpp files beside
this one; a method that a header lacks cannot be overridden there, since they say `override`.
"""

import re
import sys
from pathlib import Path


def bodies(text: str) -> dict[str, str]:
    """The text between the braces of each class that has one, comments left out."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    # What a switch of NVIDIA's own turns on is in no library that people have.
    text = re.sub(r"^#if (?:defined\()?ENABLE_FEATURE.*?^#endif", "", text, flags=re.S | re.M)
    found = {}
    for match in re.finditer(r"\bclass\s+(?:TRT_DEPRECATED\s+)?(\w+)\s*(?::[^{;]*)?\{", text):
        depth, at = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        found.setdefault(match.group(1), text[match.end() : at - 1])
    return found


def pure_methods(body: str) -> list[tuple[str, str, str, str]]:
    """Return type, name, arguments and what stands behind them of each `virtual … = 0;`, destructors left out."""
    methods = []
    for statement in body.split(";"):
        statement = " ".join(statement.split())
        match = re.search(r"\bvirtual (.+)\)([^()]*)= ?0$", statement)
        if not match or "~" in statement:
            continue
        head, arguments = split_at_arguments(match.group(1))
        head = head.replace("TRT_DEPRECATED ", "").replace("TRT_NODISCARD ", "")
        kind, name = re.match(r"(.+?[\s*&])(\w+)$", head).groups()
        methods.append((kind.strip(), name, arguments, match.group(2).strip()))
    return methods


def split_at_arguments(text: str) -> tuple[str, str]:
    """`void* data(int a` → `void* data`, `int a`."""
    head, _, arguments = text.partition("(")
    return head.strip(), arguments


def main() -> None:
    include, wanted = Path(sys.argv[1]), sys.argv[2:]
    classes: dict[str, str] = {}
    for header in ("NvInferImpl.h", "NvOnnxParser.h"):
        for name, body in bodies((include / header).read_text()).items():
            classes.setdefault(name, body)
    print("// Written by generate.py from TensorRT's headers.")
    for name in wanted:
        if name not in classes:
            sys.exit(f"{include}: there is no class {name}")
        methods = pure_methods(classes[name])
        if not methods:
            sys.exit(f"{include}: the class {name} has no pure methods")
        space = "nvonnxparser" if name.startswith("IParser") else "nvinfer1::apiv"
        print(f"class Default{name} : public {space}::{name}\n{{\npublic:")
        for kind, method, arguments, behind in methods:
            print(f"    {kind} {method}({arguments}) {behind} override {{ absent(\"{name}::{method}\"); }}")
        print("};")


main()
