"""What kills the fold: counted over restarts of the process, quarantined in the end, released by hand."""

import json
import os
import re
import signal
import subprocess
import unittest

from engine_process_test import Served, dump, settings
from harness import ProcessTest, run, start, until


class Poison(ProcessTest):
    def setUp(self):
        super().setUp()
        self.tape = self.path("tape")
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=7,symbols=6,messages=40000",
                      "--tape", self.tape)
        self.plain = dump(self.tape, "--refold")
        lines = self.succeeds("tape", "cat", "--tape", self.tape).stdout.splitlines()
        events = [event for event in map(json.loads, lines) if event["kind"] == "execute"]
        event = events[len(events) // 2]
        self.symbol = event["symbol"]
        at = event["position"]
        self.id = f"{at['partition']}:{at['offset']}:{at['index']}"

    def fault(self, action, **more):
        return settings(TAPEDECK_FAULT=f"{self.symbol}@{self.id}*1000000{action}", **more)

    def index(self, environment):
        return run("tape", "index", "--tape", self.tape, env=environment)

    def letters(self, *arguments):
        done = self.succeeds("dlq", "list", "--tape", self.tape, "--format", "json", *arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check_agrees(self):
        """What is stored is what a refold gives by the control records, and verification says so."""
        self.assertEqual(dump(self.tape), dump(self.tape, "--refold"))
        self.succeeds("verify", "--tape", self.tape)

    def check_quarantined(self, error):
        self.check_agrees()
        letter, = self.letters("--kind", "quarantined")
        self.assertEqual((letter["id"], letter["symbol"], letter["state"], letter["reason"]),
                         (self.id, self.symbol, "quarantined", "quarantined"))
        self.assertEqual(len(letter["errors"]), 3)
        for one in letter["errors"]:
            self.assertIn(error, one)
        shown = json.loads(self.succeeds("dlq", "show", "--tape", self.tape, self.id).stdout)
        self.assertEqual(shown, letter)
        book = json.loads(self.succeeds("book", "--tape", self.tape, "--symbol", self.symbol,
                                        "--format", "json").stdout)
        self.assertEqual(book["trust"], "suspect")
        self.assertEqual(book["trust_since"], letter["position"])

    def test_an_exception_is_quarantined_within_one_run(self):
        done = self.index(self.fault(""))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_quarantined("fault point")
        # The state is derived: made again by the same control records, it is the same.
        before = dump(self.tape)
        subprocess.run(["rm", "-rf", os.path.join(self.tape, "state")], check=True)
        self.assertEqual(self.index(self.fault("")).returncode, 0)
        self.assertEqual(dump(self.tape), before)

    def test_a_crash_is_counted_by_the_next_process(self):
        for _ in range(3):
            self.assertEqual(self.index(self.fault("!crash")).returncode, -signal.SIGSEGV)
        self.assertEqual(self.letters("--kind", "quarantined"), [])
        done = self.index(self.fault("!crash"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_quarantined("SIGSEGV")

    def test_a_hang_ends_the_process_and_is_counted(self):
        environment = self.fault("!hang", TAPEDECK_ENGINE_WATCHDOG="500ms")
        for _ in range(3):
            done = self.index(environment)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn(f"symbol {self.symbol} at {self.id}", done.stderr)
        done = self.index(environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_quarantined("hung")

    def test_a_kill_from_outside_accuses_nobody(self):
        environment = self.fault("!hang")
        for how in (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV):
            for _ in range(3):
                process = start("tape", "index", "--tape", self.tape, env=environment)
                until(lambda: os.path.exists(os.path.join(self.tape, "attempts")), "the start")
                try:
                    process.wait(timeout=0.3)
                except subprocess.TimeoutExpired:
                    process.send_signal(how)
                process.communicate()
                self.assertEqual(process.returncode, -how)
        done = self.index(settings())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.letters("--kind", "quarantined"), [])
        self.assertEqual(dump(self.tape), self.plain)

    def check_released(self, out):
        self.assertRegex(out, rf"{re.escape(self.id)} of {self.symbol} is released: .* at \d+:\d+")
        letter, = self.letters("--kind", "quarantined")
        self.assertEqual(letter["state"], "released")
        book = json.loads(self.succeeds("book", "--tape", self.tape, "--symbol", self.symbol,
                                        "--format", "json").stdout)
        self.assertNotEqual(book["trust"], "suspect")
        at = run("book", "--tape", self.tape, "--symbol", self.symbol, "--format", "json", "--at",
                 self.id)
        self.assertEqual(json.loads(at.stdout)["trust"], "suspect")
        self.fails(2, "released", "dlq", "replay", "--tape", self.tape, self.id)

    def test_a_release_without_an_engine(self):
        self.assertEqual(self.index(self.fault("")).returncode, 0)
        out = self.succeeds("dlq", "replay", "--tape", self.tape, self.id).stdout
        self.check_released(out)
        self.assertEqual(self.index(settings()).returncode, 0)
        self.succeeds("verify", "--tape", self.tape)
        # The tape goes on behind the release.
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=8,symbols=6,messages=9000",
                      "--tape", self.tape)
        self.assertEqual(self.index(settings()).returncode, 0)
        self.check_agrees()

    def test_a_release_by_the_running_engine(self):
        self.assertEqual(self.index(self.fault("")).returncode, 0)
        served = Served("--tape", self.tape, env=settings()).ready()
        symbol = f"/v1/symbols/{self.symbol}"
        self.assertEqual(served.get(symbol)["trust"], "suspect")
        self.assertEqual([letter["state"] for letter in served.get("/v1/dead-letters")
                          if letter["kind"] == "quarantined"], ["quarantined"])
        out = self.succeeds("dlq", "replay", "--tape", self.tape, self.id).stdout
        until(lambda: served.get(symbol)["trust"] != "suspect", "the release")
        self.assertEqual([letter["state"] for letter in served.get("/v1/dead-letters")
                          if letter["kind"] == "quarantined"], ["released"])
        served.end(self)
        self.check_released(out)
        self.succeeds("verify", "--tape", self.tape)

    def test_only_what_is_in_quarantine_can_be_put_through(self):
        self.fails(2, "no dead letter", "dlq", "show", "--tape", self.tape, "0:1:2")
        self.assertEqual(self.letters(), [])


if __name__ == "__main__":
    unittest.main()
