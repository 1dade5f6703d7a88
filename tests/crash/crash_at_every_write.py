#!/usr/bin/env python3
"""Kills `record` and `serve` at each persistence call (write, pwrite, fsync, fdatasync, rename), one run each, and goes on.

usage: crash_at_every_write.py --program tapedeck --dump dump_state --library libkill_at.so [--runs N] [--offset N] [--seed N]
After each kill the program is started again and runs to its end; then everything on the tape (events, digests, outputs of a plain
refold) and everything in the state (digests, outputs) must be what an undisturbed run leaves. Half of the runs tear the write that they
die in. --runs are spread evenly over all calls; --offset shifts them, so that a sample differs from one commit to the next.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

DEADLINE_S = 120


class Crash:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.source = f"seed={arguments.seed},symbols=12,messages=20000,open=34200,close=34500"

    def path(self, name):
        return os.path.join(self.folder, name)

    def environment(self, kill_at=0, torn=False):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK")}
        # Small steps: many writes, checkpoints and snapshots in little time.
        environment.update(TAPEDECK_RECORD_LINGER_EVENTS="128", TAPEDECK_ENGINE_POLL_RECORDS="64",
                           TAPEDECK_ENGINE_CHECKPOINT_EVENTS="1000",
                           TAPEDECK_RECORD_FSYNC="always")
        if kill_at is not None:
            environment.update(LD_PRELOAD=self.arguments.library, KILL_AT=str(kill_at),
                               KILL_TORN=str(int(torn)), KILL_COUNT=self.path("calls"))
        return environment

    def run(self, *arguments, **kill):
        return subprocess.run([self.arguments.program, *arguments], env=self.environment(**kill), capture_output=True,
                              text=True, timeout=DEADLINE_S)

    def must(self, *arguments):
        done = self.run(*arguments, kill_at=None)
        if done.returncode:
            raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr}")

    def record(self, tape, **kill):
        return self.run("record", "--feed", "sim:l3", "--input", self.source, "--tape", tape, **kill)

    def serve(self, tape, **kill):
        """Serves until the tape's end is folded, then asks for an orderly end."""
        process = subprocess.Popen([self.arguments.program, "serve", "--tape", tape, "--port", "0"],
                                   env=self.environment(**kill), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        url = line[line.find("http://"):].split()[0] if "http://" in line else None
        end = time.monotonic() + DEADLINE_S
        while url and process.poll() is None and time.monotonic() < end:
            try:
                urllib.request.urlopen(url.rstrip("/") + "/health/ready", timeout=10)
                process.send_signal(signal.SIGINT)
                break
            except (urllib.error.URLError, ConnectionError, OSError):
                time.sleep(0.01)
        out, err = process.communicate(timeout=DEADLINE_S)
        return subprocess.CompletedProcess("serve", process.returncode, line + out, err)

    def dump(self, tape, *more):
        return subprocess.run([self.arguments.dump, tape, *more], capture_output=True, text=True, check=True).stdout

    def check(self, tape, expected):
        self.must("tape", "index", "--tape", tape)
        if self.dump(tape, "--refold") != expected:
            raise AssertionError("the tape holds something else than what was recorded")
        if self.dump(tape) != expected:
            raise AssertionError("the state differs from the undisturbed one")

    def recording(self, k, torn, expected):
        tape = self.path("tape")
        shutil.rmtree(tape, ignore_errors=True)
        killed = self.record(tape, kill_at=k, torn=torn)
        again = self.record(tape, kill_at=None)
        if again.returncode:
            raise AssertionError(f"recording does not go on: {again.stderr}")
        self.check(tape, expected)
        return killed.returncode

    def serving(self, k, torn, expected):
        tape = self.path("tape")
        shutil.rmtree(tape, ignore_errors=True)
        shutil.copytree(self.path("recorded"), tape)
        killed = self.serve(tape, kill_at=k, torn=torn)
        self.check(tape, expected)
        return killed.returncode

    def calls(self, action):
        if os.path.exists(self.path("calls")):
            os.remove(self.path("calls"))
        done = action()
        if done.returncode:
            raise AssertionError(f"undisturbed: exit {done.returncode}: {done.stderr}")
        with open(self.path("calls"), encoding="ascii") as file:
            return int(file.readline())


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    for name in ("--program", "--dump", "--library"):
        parser.add_argument(name, required=True, type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tapedeck-crash-") as folder:
        crash = Crash(arguments, folder)
        recorded = crash.path("recorded")
        calls = {"record": crash.calls(lambda: crash.record(recorded))}
        shutil.copytree(recorded, crash.path("served"))
        calls["serve"] = crash.calls(lambda: crash.serve(crash.path("served")))
        expected = crash.dump(recorded, "--refold")
        assert len(expected.splitlines()) == 12 and crash.dump(crash.path("served")) == expected
        killed = bad = 0
        for name, what in (("record", crash.recording), ("serve", crash.serving)):
            runs = arguments.runs // 2
            for i in range(runs):
                k = 1 + (i * calls[name] // runs + arguments.offset) % calls[name]
                torn = (i + arguments.offset) % 2 == 1
                try:
                    killed += what(k, torn, expected) == -signal.SIGKILL
                except AssertionError as error:
                    print(f"{name} killed at call {k} of {calls[name]}{', torn' if torn else ''}: {error}", flush=True)
                    bad += 1
        print(f"{killed} kills over {calls['record']} calls of record and {calls['serve']} of serve, {bad} wrong")
        return 1 if bad or killed < arguments.runs * 3 // 4 else 0


if __name__ == "__main__":
    sys.exit(main())
