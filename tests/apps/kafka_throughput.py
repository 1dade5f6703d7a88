"""How many events a second go onto Kafka, through it and into books on one machine, and what each process of it takes: prints a table.

usage: kafka_throughput.py [--feed FORMAT] [--input INPUT] [--date DAY] [--rounds N]
The environment is that of the process tests (tests/apps/CMakeLists.txt); a broker is started where none runs.
CPU is in seconds of user and system time together; the broker's is what it took meanwhile.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from engine_process_test import Served, settings
from harness import PROGRAM, interrupt, run, start, until
from kafka_test import broker

PARTITIONS = 4
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Machine:
    def __init__(self, arguments):
        self.brokers = broker()
        with open(os.path.join(os.environ["TAPEDECK_TEST_KAFKA_DIR"], "pid"), encoding="ascii") as file:
            self.broker_pid = int(file.read())
        self.session = ["--feed", arguments.feed, "--input", arguments.input]
        if arguments.date:
            self.session += ["--date", arguments.date]

    def topic(self):
        tape = ["--brokers", self.brokers, "--topic", f"throughput-{uuid.uuid4().hex[:12]}"]
        done = run("topics", "create", *tape, "--partitions", PARTITIONS)
        assert done.returncode == 0, done.stderr
        return tape

    def environment(self, tape):
        names = {f"TAPEDECK_OUTPUTS_{kind}": f"{tape[3]}.{kind.lower()}"
                 for kind in ("PROCESSED", "ALERTS", "DLQ", "SNAPSHOTS")}
        return {**os.environ, **names}

    def timed(self, what, events, *command):
        """Prints the row of a command that ends by itself. Returns its events, those that it says it recorded if none are given."""
        before, begin = cpu_of(self.broker_pid), time.monotonic()
        process = subprocess.Popen([PROGRAM, *command], stdout=subprocess.PIPE, text=True)
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        assert status == 0, text
        events = events or int(re.search(r"recorded (\d+) events", text).group(1))
        self.row(what, events, seconds, usage.ru_utime + usage.ru_stime, cpu_of(self.broker_pid) - before)
        return events

    @staticmethod
    def row(what, events, seconds, own, brokers):
        print(f"{what:34}  {events / seconds / 1e6:6.2f} M/s  {seconds:7.2f} s  {own:8.2f} s  {brokers:8.2f} s", flush=True)


def lag(served):
    return sum(p["end"] - p["frontier"] for p in served.get("/v1/positions"))


def folded(served):
    return sum(p["events"]["folded"] for p in served.get("/v1/positions"))


def beside_the_producer(machine, events):
    """An engine that serves, and sends its outputs to topics, while a session is recorded as fast as it goes."""
    tape = machine.topic()
    with tempfile.TemporaryDirectory(prefix="tapedeck-throughput-") as state:
        served = Served(*tape, "--state", state, env=machine.environment(tape))
        before, own, begin = cpu_of(machine.broker_pid), cpu_of(served.process.pid), time.monotonic()
        recorder = subprocess.Popen([PROGRAM, "record", *machine.session, *tape], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(recorder.pid, 0)
        assert status == 0
        recorded = time.monotonic()
        until(lambda: folded(served) >= events, "all to be folded")
        seconds = time.monotonic() - begin
        machine.row("serve, while it is recorded", events, seconds, cpu_of(served.process.pid) - own,
                    cpu_of(machine.broker_pid) - before)
        print(f"    the recorder beside it: {recorded - begin:.2f} s, {usage.ru_utime + usage.ru_stime:.2f} s of CPU")
        interrupt(served.process)


def burst(machine):
    """100,000 events a second, then ten times as many for five seconds, then 100,000 again."""
    tape = machine.topic()
    session = ["--feed", "sim:l3", "--input", "seed=3,symbols=200,messages=100000000"]
    with tempfile.TemporaryDirectory(prefix="tapedeck-throughput-") as state:
        served = Served(*tape, "--state", state, env=machine.environment(tape))
        worst = 0
        for rate, seconds in ((100_000, 5), (1_000_000, 5), (100_000, 0)):
            recorder = start("record", *session, *tape, "--rate", rate)
            before, begin = folded(served), time.monotonic()
            while time.monotonic() - begin < seconds:
                worst = max(worst, lag(served))
                time.sleep(0.05)
            if seconds:
                print(f"    {rate} events a second asked for, folded {(folded(served) - before) / seconds:.0f}")
                recorder.send_signal(signal.SIGINT)
                recorder.communicate()
        begin = time.monotonic()
        until(lambda: lag(served) < 200, "the lag to go")
        print(f"burst: {worst} records behind at most; caught up {time.monotonic() - begin:.2f} s after it", flush=True)
        interrupt(recorder)
        interrupt(served.process)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--feed", default="sim:l3")
    parser.add_argument("--input", default="seed=1,symbols=1000,messages=20000000")
    parser.add_argument("--date")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    machine = Machine(arguments)
    print(f"{'':34}  {'events':>10}  {'time':>9}  {'CPU':>10}  {'broker':>10}")
    for _ in range(arguments.rounds):
        tape = machine.topic()
        events = machine.timed("record alone", 0, "record", *machine.session, *tape)
        machine.timed("read alone (tape verify)", events, "tape", "verify", *tape)
        with tempfile.TemporaryDirectory(prefix="tapedeck-throughput-") as state:
            machine.timed("catch up (tape index)", events, "tape", "index", *tape, "--state", state)
        beside_the_producer(machine, events)
    burst(machine)


if __name__ == "__main__":
    sys.exit(main())
