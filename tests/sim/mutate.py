#!/usr/bin/env python3
"""Shows that the simulation catches bugs: applies each seeded mutation of the engine to a copy of the tree and looks for the first
seed that notices.

usage: mutate.py [--check] [--copy DIR] [--seeds N] [--rotate N] [--table FILE] [NAME ...]
--check    only sees that every patch still applies
--copy     the copy's folder, kept and used again (default: a temporary one)
--rotate   N mutations only; which ones, the number of the newest commit decides
--table    writes the table of docs/mutations.md
Exit 1: a patch does not apply, does not build, or no seed catches it.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATCHES = sorted((ROOT / "tests/sim/mutations").glob("*.patch"))
TABLE_HEAD = """# Mutations that the simulation catches

Each patch in `tests/sim/mutations/` puts one bug into the engine. `tests/sim/mutate.py` applies them to a copy of the tree, one by
one, and looks for the first seed of `tapedeck chaos sim` that notices, from 1 on. This table is what it wrote.

| mutation | what it does | seed | what broke |
|---|---|---|---|
"""


def run(command, **more):
    return subprocess.run(command, text=True, capture_output=True, **more)


def what(patch):
    return patch.read_text().split("\n", 1)[0]


def apply(copy, patch, *more):
    return run(["git", "apply", *more, str(patch)], cwd=copy)


def check():
    bad = 0
    for patch in PATCHES:
        done = apply(ROOT, patch, "--check")
        if done.returncode:
            print(f"{patch.stem}: does not apply: {done.stderr.strip()}")
            bad = 1
    print(f"{len(PATCHES)} mutations, " + ("not all of them apply" if bad else "all of them apply"))
    return bad


def prepare(copy):
    """The tracked files as they are now; those that did not change keep their time, so that little is built again."""
    names = run(["git", "ls-files", "-z"], cwd=ROOT).stdout.split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, copy / name
        if not source.is_file():
            continue
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    if not (copy / ".git").exists():
        run(["git", "init", "-q"], cwd=copy)
    if not (copy / "build/build.ninja").exists():
        # Quick to build; the simulation is quick enough.
        done = run(["cmake", "-S", copy, "-B", copy / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                    "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG"])
        if done.returncode:
            sys.exit(f"the copy cannot be configured:\n{done.stderr}")


def build(copy):
    return run(["nice", "ninja", "-C", copy / "build", "sim_seeds"])


def catch(copy, patch, seeds):
    """The seed that notices and what it said; raises where none does."""
    applied = apply(copy, patch)
    if applied.returncode:
        raise RuntimeError("does not apply: " + applied.stderr.strip())
    try:
        built = build(copy)
        if built.returncode:
            raise RuntimeError("does not build:\n" + built.stdout[-2000:])
        try:
            found = run(["nice", copy / "build/tests/sim/sim_seeds", "1", str(seeds)], timeout=600)
        except subprocess.TimeoutExpired:
            return "?", "the simulation hangs"
        if found.returncode == 0:
            raise RuntimeError(f"NOT CAUGHT by {seeds} seeds")
        line = next((text for text in found.stdout.splitlines() if "BROKEN" in text), "")
        if not line:
            return "?", "the simulation dies"
        return line.split(":")[0].removeprefix("seed "), line.split("BROKEN: ", 1)[1]
    finally:
        apply(copy, patch, "-R")


def chosen(arguments):
    patches = [patch for patch in PATCHES if not arguments.names or patch.stem in arguments.names]
    if arguments.rotate and patches:
        first = int(run(["git", "rev-list", "--count", "HEAD"], cwd=ROOT).stdout) * arguments.rotate
        patches = [patches[(first + i) % len(patches)] for i in range(min(arguments.rotate, len(patches)))]
    return patches


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--copy")
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--rotate", type=int, default=0)
    parser.add_argument("--table")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    with tempfile.TemporaryDirectory(prefix="tapedeck-mutations-") as temporary:
        copy = pathlib.Path(arguments.copy or temporary)
        copy.mkdir(parents=True, exist_ok=True)
        prepare(copy)
        base = build(copy)
        if base.returncode:
            sys.exit("the copy does not build:\n" + base.stdout[-3000:])
        bad, table = 0, TABLE_HEAD
        for patch in chosen(arguments):
            try:
                seed, broken = catch(copy, patch, arguments.seeds)
                print(f"{patch.stem}: caught by seed {seed}: {broken}", flush=True)
                table += f"| {patch.stem} | {what(patch)} | {seed} | {broken} |\n"
            except RuntimeError as error:
                print(f"{patch.stem}: {error}", flush=True)
                bad = 1
        if arguments.table:
            pathlib.Path(arguments.table).write_text(table)
        return bad


if __name__ == "__main__":
    sys.exit(main())
