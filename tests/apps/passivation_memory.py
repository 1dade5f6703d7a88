"""Memory of an engine that has seen a million symbols of which ten thousand are active, beside one that has seen only these.

usage: passivation_memory.py TAPEDECK [SEEN [ACTIVE]]   prints megabytes, and bytes for each symbol that is passive

Each symbol that goes idle trades three times within a few milliseconds; then the active ones trade on. A symbol goes a second of
feed time after its last silence alert (30 s) is told.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

SETTINGS = {"TAPEDECK_ENGINE_IDLE_PASSIVATE": "1s", "TAPEDECK_ENGINE_CHECKPOINT_EVENTS": "10000",
            "TAPEDECK_ENGINE_CHECKPOINT_INTERVAL": "1s",
            "MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"}  # free memory goes back at once: only what is held counts
START_US = 1_700_000_000_000_000
STEP_US = 1_000
LAST_US = 120_000_000  # for which the active ones trade on


def write_trades(path, seen, active):
    time_us = START_US
    with open(path, "w", encoding="ascii") as file:
        file.write("symbol,ts_us,price,size,side\n")
        for number in range(seen):
            for trade in range(3):
                file.write(f"S{number:07},{time_us},{100 + trade}.25,10,buy\n")
                time_us += STEP_US
        for turn in range(max(3, LAST_US // STEP_US // active)):
            for number in range(active):
                file.write(f"A{number:07},{time_us},{100 + turn % 50}.5,10,sell\n")
                time_us += STEP_US


def metric(url, name):
    with urllib.request.urlopen(url + "/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return sum(float(found) for found in re.findall(rf"^tapedeck_{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def resident_bytes(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def settled_bytes(process):
    """Once it has not gone down for ten seconds: what was stored last is still being flushed."""
    lowest, since = resident_bytes(process), time.monotonic()
    while time.monotonic() < since + 10:
        time.sleep(0.5)
        now = resident_bytes(process)
        if now < lowest * 0.99:
            lowest, since = now, time.monotonic()
    return lowest


def measure(program, folder, seen, active):
    """Anonymous resident bytes once everything is folded and all that is idle has gone."""
    trades, tape = os.path.join(folder, "trades.csv"), os.path.join(folder, "tape")
    write_trades(trades, seen, active)
    subprocess.run([program, "record", "--feed", "trades-csv", "--input", trades, "--tape", tape], check=True,
                   stdout=subprocess.DEVNULL)
    os.remove(trades)
    process = subprocess.Popen([program, "serve", "--tape", tape, "--port", "0"], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, **SETTINGS})
    try:
        url = next(found.group() for line in process.stdout if (found := re.search(r"http://[0-9.]+:\d+", line)))
        end = time.monotonic() + 1800
        while (metric(url, "symbols_passive") < seen or metric(url, "symbols") < seen + active
               or metric(url, "snapshots_total") < seen):
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit(f"{metric(url, 'symbols_passive'):.0f} of {seen} symbols became passive")
            time.sleep(0.5)
        return settled_bytes(process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(tape)


def main():
    program = sys.argv[1]
    seen = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    active = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
    with tempfile.TemporaryDirectory(prefix="tapedeck-passive-") as folder:
        alone = measure(program, folder, 0, active)
        both = measure(program, folder, seen, active)
    print(f"{active} symbols: {alone / 1e6:.0f} MB; with {seen} more that were seen: {both / 1e6:.0f} MB, "
          f"{(both - alone) / seen:.0f} bytes for each of them")


if __name__ == "__main__":
    main()
