"""How long partitions are not served when one of three engines is killed, with and without standbys: prints a table.

usage: failover.py [--rate EVENTS_A_SECOND] [--symbols N] [--warm-up SECONDS] [--rounds N] [--recorded MESSAGES] [--unpublished]
--recorded: messages on the tape before the engines begin. --unpublished: no checkpoints are published (outputs.snapshots = "").
The environment is that of the process tests (tests/apps/CMakeLists.txt); a broker is started where none runs.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from engine_process_test import Served, settings
from harness import interrupt, run, start, until
from kafka_test import broker

PARTITIONS = 12


class Group:
    """Three engines with the settings they have by default, and a recorder that goes on."""

    def __init__(self, arguments, copies, folder):
        self.tape = ["--brokers", broker(), "--topic", f"failover-{uuid.uuid4().hex[:12]}"]
        topic = self.tape[3]
        names = {f"TAPEDECK_OUTPUTS_{kind}": f"{topic}.{kind.lower()}"
                 for kind in ("PROCESSED", "ALERTS", "DLQ", "SNAPSHOTS")}
        if arguments.unpublished:
            names["TAPEDECK_OUTPUTS_SNAPSHOTS"] = ""
        env = settings(2, TAPEDECK_KAFKA_STANDBY=str(copies), **names)
        self.succeeds("topics", "create", *self.tape, "--partitions", PARTITIONS)
        if arguments.recorded:
            self.succeeds("record", "--feed", "sim:l3", "--input",
                          f"seed=2,symbols={arguments.symbols},messages={arguments.recorded}", *self.tape)
        self.recorder = start("record", "--feed", "sim:l3", "--input",
                              f"seed=1,symbols={arguments.symbols},messages=100000000", *self.tape, "--rate",
                              arguments.rate, "--mark-every", "2000")
        self.nodes = {name: Served(*self.tape, "--state", os.path.join(folder, name), env=env) for name in "abc"}

    @staticmethod
    def succeeds(*arguments):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def owned(self, name):
        return {p["partition"] for p in self.nodes[name].get("/v1/positions") if not p["standby"]}

    def lag(self):
        shown = json.loads(self.succeeds("cluster", *self.tape, "--format", "json"))["partitions"]
        return max(copy["lag"] for p in shown for copy in [p, *p["standby"]])

    def current(self, name, symbols):
        """Whether all these books are as of now, asked at once."""
        def one(symbol):
            status, book = self.nodes[name].status(f"/v1/symbols/{symbol}/book?depth=1")
            return status == 200 and book["trust"] != "recovering"
        with ThreadPoolExecutor(4) as pool:
            return all(pool.map(one, symbols))

    def end(self):
        self.recorder.kill()
        self.recorder.communicate()
        logs = ["".join(interrupt(node.process)) for node in self.nodes.values()]
        return sum(int(re.findall(r"[1-9]\d* partitions gained, (\d+) of them warm", log)[-1]) for log in logs if "of them warm" in log)


def measure(arguments, copies):
    """Seconds from the kill to the assignment, from there until every moved book is current; warm partitions."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-failover-") as folder:
        group = Group(arguments, copies, folder)
        until(lambda: sorted(p for name in "abc" for p in group.owned(name)) == list(range(PARTITIONS))
              and all(len(group.owned(name)) == PARTITIONS // 3 for name in "abc"), "an even group")
        time.sleep(arguments.warm_up)
        until(lambda: group.lag() < 1000, "all to be caught up")
        moved = [found["symbol"] for found in group.nodes["a"].get("/v1/symbols")]
        killed = group.nodes.pop("a").process
        begin = time.monotonic()
        killed.kill()
        killed.communicate()
        until(lambda: len(group.owned("b") | group.owned("c")) == PARTITIONS, "the others to own all")
        assigned = time.monotonic()
        until(lambda: group.current("b", moved), "the moved books to be current")
        ready = time.monotonic()
        return assigned - begin, ready - assigned, group.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=30000)
    parser.add_argument("--symbols", type=int, default=240)
    parser.add_argument("--warm-up", type=float, default=45)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--recorded", type=int, default=0)
    parser.add_argument("--unpublished", action="store_true")
    arguments = parser.parse_args()
    print(f"3 engines, {PARTITIONS} partitions, {arguments.symbols} symbols, {arguments.rate} messages a second; "
          f"{arguments.recorded} recorded before, checkpoints {'not ' if arguments.unpublished else ''}published; "
          f"killed after {arguments.warm_up:.0f} s")
    print("standby  kill to assigned  assigned to ready  kill to ready  warm of 4", flush=True)
    for copies in (0, 1):
        found = [measure(arguments, copies) for _ in range(arguments.rounds)]
        moved, ready, warm = (statistics.median(column) for column in zip(*found))
        print(f"{copies:7}  {moved:14.2f} s  {ready:15.2f} s  {moved + ready:11.2f} s  {warm:9.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
