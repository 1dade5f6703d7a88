#!/usr/bin/env python3
"""web/dist is what web/src gives: types are right, small units hold, and a fresh build has the same bytes.

Needs Node and npm; web/node_modules is made by `npm ci` where it is missing or older than the lock file.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WEB = Path(__file__).resolve().parents[2] / "web"
HERE = Path(__file__).resolve().parent


def run(*command: str, cwd: Path = WEB) -> None:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}")


def install() -> None:
    stamp = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--no-audit", "--no-fund")


def compare(built: Path, kept: Path) -> list[str]:
    names = sorted({path.name for folder in (built, kept) for path in folder.iterdir()})
    wrong = []
    for name in names:
        new, old = built / name, kept / name
        if not old.exists():
            wrong.append(f"{name} is missing in web/dist")
        elif not new.exists():
            wrong.append(f"{name} is in web/dist, but no build makes it")
        elif new.read_bytes() != old.read_bytes():
            wrong.append(f"{name} differs: {old.stat().st_size} bytes in web/dist, {new.stat().st_size} when built anew")
    return wrong


def main() -> None:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: the test set-up installs it")
    if "resolved" in (WEB / "package-lock.json").read_text():
        sys.exit("web/package-lock.json names a registry: web/.npmrc says omit-lockfile-registry-resolved")
    install()
    run("node", "node_modules/typescript/bin/tsc", "--noEmit")
    run("node", "--test", str(HERE / "units_test.mjs"))
    with tempfile.TemporaryDirectory() as folder:
        run("node", "build.mjs", "--outdir", folder)
        wrong = compare(Path(folder), WEB / "dist")
    if wrong:
        sys.exit("web/dist is not current, run `npm run build` in web/:\n  " + "\n  ".join(wrong))
    print("web/dist is current")


if __name__ == "__main__":
    main()
