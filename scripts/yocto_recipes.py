#!/usr/bin/env python3
"""Reads the layer's recipes with bitbake's own parser, for every board, and holds them to the repository that they build.

    scripts/yocto_recipes.py                 the layer as it stands
    scripts/yocto_recipes.py --refuses FILE  exit 0 when that recipe is refused

Needs the package bitbake-setup (yocto/requirements.txt), in which bitbake's parser lies. Belongs here: what can be known without other
layers. So classes are empty and a board is the names of its overrides: what the real ones make of a recipe only a build environment
shows; docs/yocto.md has what came of that.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYER = ROOT / "yocto/meta-peregrine"

# A board's overrides, as its own layer has them.
BOARDS = {
    "qemuarm64": [],
    "raspberrypi4-64": ["rpi", "raspberrypi4"],
    "raspberrypi5": ["rpi", "raspberrypi5"],
    "jetson-orin-nano-devkit": ["tegra", "orin-nano"],
}

# The classes that recipes may inherit: what is not listed is refused, as bitbake refuses a class that no layer has.
CLASSES = (
    "base", "bash-completion", "cargo", "cargo-update-recipe-crates", "core-image", "features_check", "packagegroup", "pkgconfig", "systemd", "useradd",
)

# What openembedded-core's own configuration sets and our recipes use.
SETTINGS = """
PN = "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[0] or 'none'}"
PV = "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[1] or '1.0'}"
BPN = "${PN}"
BP = "${BPN}-${PV}"
THISDIR = "${@os.path.dirname(d.getVar('FILE'))}"
S = "@SOURCE@"
WORKDIR = "@WORK@"
B = "${WORKDIR}/build"
D = "@IMAGE@"
prefix = "/usr"
bindir = "${prefix}/bin"
base_sbindir = "${prefix}/sbin"
nonarch_libdir = "${prefix}/lib"
datadir = "${prefix}/share"
docdir = "${datadir}/doc"
mandir = "${datadir}/man"
sysconfdir = "/etc"
localstatedir = "/var"
systemd_system_unitdir = "${nonarch_libdir}/systemd/system"
STAGING_INCDIR = "@SYSROOT@/usr/include"
MACHINE_ARCH = "@MACHINE@"
TEGRA_PKGARCH = "@TEGRA@"
DEBUG_BUILD = "0"
AUTOREV = "AUTOINC"
"""
TASKS = ("do_compile", "do_install")
LISTS = ("DEPENDS", "RDEPENDS", "RRECOMMENDS", "FILES", "CONFFILES", "PACKAGECONFIG", "USERADD_PARAM", "GROUPADD_PARAM", "SRC_URI", "PACKAGE_ARCH")


def bitbake():
    """The package bb. It asks for modules of bitbake's servers, which its package has not and a parse does not use."""
    for name in ("hashserv", "hashserv.client", "prserv", "prserv.serv", "layerindexlib"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["hashserv"].client = sys.modules["hashserv.client"]
    try:
        import bb
        import bb.data_smart
        import bb.event
        import bb.parse
        import bb.utils
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: run scripts/check-yocto.sh, which installs yocto/requirements.txt")

    class Silent:
        """Stands in for what computes signatures."""

        def __getattr__(self, name):
            return lambda *_, **__: None

    bb.parse.siggen = Silent()
    return bb


def environment(bb, folder):
    """What a recipe is read on: a configuration and classes without content."""
    for kind in ("classes", "conf"):
        (folder / kind).mkdir()
    for name in CLASSES:
        (folder / "classes" / f"{name}.bbclass").touch()
    (folder / "conf/bitbake.conf").write_text(SETTINGS)
    data = bb.data_smart.DataSmart()
    data.setVar("BBPATH", str(folder))
    data.setVar("TMPDIR", str(folder))
    data.setVar("CACHE", str(folder))
    data.setVar("__bbclasstype", "recipe")
    return bb.parse.handle(str(folder / "conf/bitbake.conf"), data, True)


def read(bb, base, recipe, overrides):
    """A recipe's variables, for a board. Whatever is wrong with its text is raised."""
    data = base.createCopy()
    data.setVar("OVERRIDES", ":".join(["linux", "aarch64", *overrides]))
    variants = bb.parse.handle(str(recipe), data, False)
    return variants[""] if isinstance(variants, dict) else variants


def complaints(data, recipe, version):
    """What does not fit between a recipe and the repository."""
    package = data.getVar("PN")
    if "_" in recipe.stem and data.getVar("PV") != version:
        yield f"is of version {data.getVar('PV')}, Cargo.toml of {version}: rename the file"
    for line in (data.getVar("LIC_FILES_CHKSUM") or "").split():
        name, _, rest = line.removeprefix("file://").partition(";md5=")
        have = hashlib.md5((ROOT / name).read_bytes()).hexdigest() if (ROOT / name).is_file() else "no such file"
        if have != rest:
            yield f"LIC_FILES_CHKSUM: {name} is {have}, not {rest}"
    service = data.getVar(f"SYSTEMD_SERVICE:{package}")
    if service and not (ROOT / "systemd" / service).is_file():
        yield f"SYSTEMD_SERVICE: there is no systemd/{service}"
    profile = data.getVar("PEREGRINE_PROFILE")
    if profile and not (ROOT / "config" / f"{profile}.toml").is_file():
        yield f"PEREGRINE_PROFILE: there is no config/{profile}.toml"
    for name in (data.getVar("PEREGRINE_DROPINS") or "").split():
        if not (ROOT / "systemd" / name).is_file():
            yield f"PEREGRINE_DROPINS: there is no systemd/{name}"
    chosen, known = (data.getVar("PACKAGECONFIG") or "").split(), set(data.getVarFlags("PACKAGECONFIG") or {})
    for name in chosen:
        if name not in known:
            yield f"PACKAGECONFIG: nothing says what {name} is"
    for variable in LISTS:
        text = " ".join(filter(None, (data.getVar(variable), data.getVar(f"{variable}:{package}"))))
        for unknown in re.findall(r"\$\{[^}]*\}", text):
            yield f"{variable}: {unknown} has no value"
    for task in TASKS:
        yield from task_complaints(task, data.getVar(task) or "")


def task_complaints(task, text):
    """What is wrong with a task's shell."""
    for unknown in re.findall(r"\$\{[^}]*\}", text):
        yield f"{task}: {unknown} has no value"
    for name in re.findall(r"@SOURCE@/([^\s;]+)", text):
        # What a loop puts in is looked at where the loop's list is set.
        if "$" not in name and not any(ROOT.glob(name)):
            yield f"{task}: there is no {name} in the repository"
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"{task}: {done.stderr.strip()}"


def check(bb, base):
    """Every recipe for every board; the number of them, and what is wrong."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    recipes, wrong = sorted(LAYER.glob("recipes-*/*/*.bb")), []
    if not recipes:
        wrong.append("no recipe was found")
    for recipe in recipes:
        for board, overrides in BOARDS.items():
            data = read(bb, base, recipe, overrides)
            wrong += [f"{recipe.relative_to(ROOT)}, {board}: {why}" for why in complaints(data, recipe, version)]
    wrong += tensorrt_complaints(bb, base)
    return len(recipes), wrong


def tensorrt_complaints(bb, base):
    """TensorRT is for boards with an NVIDIA GPU, and for no other."""
    recipe = next(LAYER.glob("recipes-peregrine/peregrine/peregrine_*.bb"))
    for board, overrides in BOARDS.items():
        has = "tensorrt" in read(bb, base, recipe, overrides).getVar("PACKAGECONFIG").split()
        if has != ("tegra" in overrides):
            yield f"{recipe.relative_to(ROOT)}, {board}: {'TensorRT' if has else 'no TensorRT'} in PACKAGECONFIG"


def main():
    arguments = sys.argv[1:]
    if arguments and not (len(arguments) == 2 and arguments[0] == "--refuses"):
        print(__doc__, file=sys.stderr)
        sys.exit(0 if arguments in (["-h"], ["--help"]) else 64)
    bb = bitbake()
    with tempfile.TemporaryDirectory() as folder:
        base = environment(bb, Path(folder))
        if arguments:
            try:
                data = read(bb, base, Path(arguments[1]).resolve(), [])
                found = list(complaints(data, Path(arguments[1]), data.getVar("PV")))
            except (bb.BBHandledException, bb.parse.ParseError) as refused:
                found = [str(refused)]
            if not found:
                sys.exit(f"{arguments[1]} was to be refused, and was not")
            return
        number, wrong = check(bb, base)
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{number} recipes, each for {len(BOARDS)} boards", file=sys.stderr)


if __name__ == "__main__":
    main()
