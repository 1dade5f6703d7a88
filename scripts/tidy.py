#!/usr/bin/env python3
"""Runs clang-tidy over tracked C++ sources, several at a time, and passes over what it found clean before.

usage: tidy.py --build DIR [--since COMMIT] [--jobs N] [FILE ...]
A file's result is kept in DIR/tidy by a hash of the file, of all project headers that it reaches, and of .clang-tidy.
With --since only sources that changed since then, or that reach a changed header, are looked at.
"""
import argparse
import concurrent.futures
import functools
import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUOTED = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


@functools.cache
def includes(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    found = []
    for name in QUOTED.findall(path.read_bytes()):
        for base in (ROOT, path.parent):
            candidate = (base / name.decode()).resolve()
            if candidate.is_file():
                found.append(candidate)
                break
    return tuple(found)


def reached(path: pathlib.Path) -> list[pathlib.Path]:
    """The file and all project headers that it includes, directly or not."""
    seen, waiting = {path}, [path]
    while waiting:
        for header in includes(waiting.pop()):
            if header not in seen:
                seen.add(header)
                waiting.append(header)
    return sorted(seen)


def key(path: pathlib.Path) -> str:
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for part in reached(path):
        digest.update(str(part.relative_to(ROOT)).encode() + b"\0" + part.read_bytes())
    return digest.hexdigest()


def changed_since(commit: str) -> set[pathlib.Path]:
    names = subprocess.run(["git", "diff", "--name-only", commit], cwd=ROOT, capture_output=True, text=True)
    if names.returncode != 0:  # no such commit (a shallow clone, the first commit): everything is new
        names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {(ROOT / n).resolve() for n in names.stdout.split("\n") if n}


def run(path: pathlib.Path, build: pathlib.Path) -> tuple[pathlib.Path, int, str]:
    # The compilation database holds gcc's command line: clang is told to pass over what it does not know.
    command = ["clang-tidy", "-p", str(build), "--quiet", "--extra-arg=-Wno-unknown-warning-option",
               "--extra-arg=-Wno-error", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return path, done.returncode, done.stdout + (done.stderr if done.returncode else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--since")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    args = parser.parse_args()

    database = json.loads((args.build / "compile_commands.json").read_text())
    files = sorted({(pathlib.Path(e["directory"]) / e["file"]).resolve() for e in database})
    files = [f for f in files if f.is_relative_to(ROOT) and not f.is_relative_to(args.build.resolve())]
    if args.files:
        files = [f.resolve() for f in args.files]
    if args.since:
        changed = changed_since(args.since)
        files = [f for f in files if changed.intersection(reached(f))]

    cache = args.build / "tidy"
    cache.mkdir(exist_ok=True)
    waiting = [f for f in files if not (cache / key(f)).exists()]
    print(f"clang-tidy: {len(waiting)} of {len(files)} files to look at", flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for path, status, output in pool.map(lambda f: run(f, args.build), waiting):
            if status == 0:
                (cache / key(path)).touch()
            else:
                bad += 1
                print(output, flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
