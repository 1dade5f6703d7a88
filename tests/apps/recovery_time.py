"""How long `serve` takes to be ready again after kill -9, on a tape of 20 million events.

usage: recovery_time.py TAPEDECK [TAPE]   prints seconds; makes the tape where there is none
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

SESSION = ["--feed", "sim:l3", "--input", "seed=1,symbols=1000,messages=20000000"]
KILLS = 10


def start(program, tape):
    process = subprocess.Popen([program, "serve", "--tape", tape, "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        found = re.search(r"http://[0-9.]+:\d+", line)
        if found:
            return process, found.group()
    raise SystemExit("serve ended")


def until_ready(program, tape):
    """Seconds from the start, and the process."""
    begin = time.monotonic()
    process, url = start(program, tape)
    while True:
        try:
            with urllib.request.urlopen(url + "/health/ready", timeout=5):
                return time.monotonic() - begin, process
        except urllib.error.URLError:
            time.sleep(0.005)


def end(process):
    process.kill()
    process.wait()


def main():
    program = sys.argv[1]
    tape = sys.argv[2] if len(sys.argv) > 2 else os.path.join(tempfile.mkdtemp(), "tape")
    if not os.path.exists(tape):
        subprocess.run([program, "record", *SESSION, "--tape", tape], check=True)
    state = os.path.join(tape, "state")
    chance = random.Random(1)
    shutil.rmtree(state, ignore_errors=True)
    seconds, process = until_ready(program, tape)
    print(f"from nothing: {seconds:.2f}")
    again, early = [], []
    for _ in range(KILLS):
        time.sleep(chance.random())
        end(process)
        seconds, process = until_ready(program, tape)
        again.append(f"{seconds:.2f}")
    end(process)
    print("killed when it was ready:", *again)
    for _ in range(KILLS):
        shutil.rmtree(state)
        process, _ = start(program, tape)
        time.sleep(0.1 + 0.9 * chance.random())
        end(process)
        seconds, process = until_ready(program, tape)
        early.append(f"{seconds:.2f}")
        end(process)
    print("killed while it first read the tape:", *early)


if __name__ == "__main__":
    main()
