#!/usr/bin/env python3
"""What llvm-mca's model of a processor makes of whole convolutions on the aarch64 kernels: no board needed, and no substitute for one.

Usage: cost.py [--dispatch N] KERNEL MODEL [LAYERS]

KERNEL is what PEREGRINE_KERNEL takes, MODEL what llvm-mca -mcpu takes. LAYERS is a file with a convolution a line: height, width and channels of the
output as "height width in out size stride", and the word "add" where another tensor is added; without it, four shapes. Of each, one row and sixteen output channels are run under qemu with a
plugin that writes every instruction executed in the kernel; the trace goes through llvm-mca, and its cycles are multiplied up.
Needs qemu-user, gcc, llvm (22 was used; MCA and MC name other binaries) and a build as scripts/test-arm.sh makes it, with
cargo build --release --target aarch64-unknown-linux-gnu --manifest-path tests/arm/Cargo.toml.
"""
import argparse
import collections
import os
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target/arm"))
PROGRAM = TARGET / "aarch64-unknown-linux-gnu/release/peregrine-arm"
MCA, MC = os.environ.get("MCA", "llvm-mca-22"), os.environ.get("MC", "llvm-mc-22")
FEATURES = ["-mattr=+dotprod,+i8mm"]
SHAPES = ["20 20 64 64 3 1", "20 20 128 128 1 1", "20 20 64 64 3 1 add", "160 160 3 16 3 2"]
BLOCK = 16
# A call ends what llvm-mca takes for a loop's body; it says so on standard error and goes on without it.
CALLS = re.compile(r"^\s+(ret|bl|blr|br)\b")


def run(command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True)


def emulated(plugin, kernel, numbers):
    done = run(["qemu-aarch64", "-cpu", "max", "-plugin", str(plugin), str(PROGRAM), "conv", kernel, *map(str, numbers)])
    return int(done.stdout.split()[1]), done.stderr


def instructions(folder, kernel, shape):
    """Instructions of one whole convolution, from one row, since all rows are alike, and its products."""
    height, *row = shape
    counts = [emulated(folder / "icount.so", kernel, (1, *row[:5], times, *row[5:])) for times in (1, 2)]
    first, second = (int(re.search(r"instructions (\d+)", err)[1]) for _, err in counts)
    return (second - first) * height, counts[0][0] * height


def cycles(folder, kernel, model, dispatch, shape):
    """Cycles of one whole convolution, from a row of sixteen channels."""
    height, width, into, out, size, stride, *add = shape
    channels = min(out, BLOCK)
    trace = folder / "trace"
    emulated(f"{folder / 'itrace.so'},out={trace}", kernel, (1, width, into, channels, size, stride, 1, *add))
    code = run([MC, "-disassemble", "-triple=aarch64", *FEATURES, str(trace)]).stdout
    lines = [line for line in code.splitlines() if re.match(r"\s+[a-z]", line) and not CALLS.match(line)]
    options = ["-iterations=1", "--instruction-info=false", "--resource-pressure=false"] + [f"-dispatch={dispatch}"] * bool(dispatch)
    report = run([MCA, "-mtriple=aarch64", f"-mcpu={model}", *FEATURES, *options], "\n".join(lines) + "\n").stdout
    return int(re.search(r"Total Cycles:\s+(\d+)", report)[1]) * height * out / channels


def parsed(line):
    words = line.split()
    return (*map(int, words[:6]), *(["add"] if "add" in words[6:] else []))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dispatch", type=int, default=0, help="instructions a cycle that enter the back end, instead of the model's")
    parser.add_argument("kernel")
    parser.add_argument("model")
    parser.add_argument("layers", nargs="?")
    args = parser.parse_args()
    lines = open(args.layers).read().splitlines() if args.layers else SHAPES
    layers = collections.Counter(map(parsed, filter(str.strip, lines)))
    all_executed, all_products, all_cycles = 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for plugin in ("icount", "itrace"):
            run(["gcc", "-O2", "-shared", "-fPIC", str(HERE / f"{plugin}.c"), "-o", str(folder / f"{plugin}.so")])
        for shape, times in layers.items():
            executed, products = instructions(folder, args.kernel, shape)
            taken = cycles(folder, args.kernel, args.model, args.dispatch, shape)
            all_executed += times * executed
            all_products, all_cycles = all_products + times * products, all_cycles + times * taken
            print(*shape, f"×{times}: {executed / products:.4f} instructions a product, {products / taken:.2f} products a cycle")
    print(f"{all_products / 1e6:.0f} M products, {all_executed / 1e6:.1f} M instructions, {all_cycles / 1e6:.1f} M cycles, {all_products / all_cycles:.2f} products a cycle")


if __name__ == "__main__":
    main()
