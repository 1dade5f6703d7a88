"""Checkpoints in a topic: a partition's next owner begins there, and never where they are not whole."""

import json
import subprocess
import os
import unittest

from exactly_once_test import PARTITIONS, OutputTest
from harness import interrupt, until

SESSION = ["--feed", "sim:l3", "--input", "seed=21,symbols=24,messages=150000"]


class Snapshots(OutputTest):
    def setUp(self):
        super().setUp()
        self.succeeds("record", *SESSION, *self.tape, "--partitions", PARTITIONS, "--linger", "500", "--mark-every",
                      "2000")

    def until_published(self):
        """Until every partition has a manifest in the topic."""
        def manifests():
            done = subprocess.run([os.environ["TAPEDECK_TEST_KAFKA_READ"], self.brokers, f"{self.name}.snapshots"],
                                  capture_output=True, timeout=120)
            return done.stdout.count(b'/manifest"')
        until(lambda: manifests() >= PARTITIONS, "snapshots of every partition")

    def first_owner(self):
        """Folds what there is, publishes, and is gone; its state too."""
        served = self.serve("group", "first")
        self.until_out(served)
        self.until_published()
        served.end(self)

    def begin(self, name):
        """A new owner."""
        return self.serve("group", name)

    def end(self, served):
        out, err = interrupt(served.process)
        self.assertEqual(served.process.returncode, 0, out + err)
        return out + err

    def candles(self, served, symbol):
        return served.status(f"/v1/symbols/{symbol}/candles?width=1s")

    def test_a_new_owner_begins_at_the_last_ones_snapshots_and_says_the_same(self):
        self.first_owner()
        served = self.begin("second")
        self.until_out(served)
        positions = {p["partition"]: p for p in served.get("/v1/positions")}
        for position in positions.values():  # what was read since is little: it did not begin at 0
            self.assertGreater(position["checkpoint"], 0)
        symbol = served.get("/v1/symbols")[0]["symbol"]
        command = self.succeeds("candles", *self.tape, "--symbol", symbol, "--width", "1s", "--format", "json")
        expected = json.loads(command.stdout)

        def complete():  # never a list that lacks something
            status, found = self.candles(served, symbol)
            if status == 503:
                self.assertIn("recovering", found["error"]["message"])
                return False
            self.assertEqual(status, 200, found)
            self.assertEqual([c["open_time"] for c in found], [c["open_time"] for c in expected])
            return True
        until(complete, "the history")
        until(lambda: not os.path.getsize(self.path("second/history")), "all gaps to be filled")
        more = ["--feed", "sim:l3", "--input", "seed=22,symbols=24,messages=60000"]
        self.succeeds("record", *more, *self.tape, "--linger", "500", "--mark-every", "2000")
        self.until_out(served)
        err = self.end(served)
        self.assertEqual(err.count("published snapshots as of offset"), PARTITIONS, err)
        self.check_equal(self.rows("group"), self.undisturbed())
        verified = self.succeeds("verify", *self.tape, "--state", self.path("second"))
        self.assertRegex(verified.stdout, " 0 differ, 0 bad")
        answers = [self.succeeds("candles", *self.tape, *state, "--symbol", symbol, "--width", "1s", "--format",
                                 "json").stdout
                   for state in ([], ["--state", self.path("second")], ["--state", self.path("undisturbed")])]
        self.assertGreater(len(json.loads(answers[0])), len(expected))
        self.assertEqual(answers[1:], answers[:1] * 2)  # in the state as if it had folded everything

    def test_a_set_that_was_damaged_is_said_and_not_used(self):
        self.first_owner()
        for partition in range(PARTITIONS):
            key = f"{self.name}/{self.name}.group/{partition}/s/NOBODY/0"
            subprocess.run([os.environ["TAPEDECK_TEST_KAFKA_PRODUCE"], self.brokers, f"{self.name}.snapshots",
                            str(partition), key, "noise"], check=True, timeout=60)
        served = self.begin("second")
        self.until_out(served)
        self.assertEqual(self.candles(served, served.get("/v1/symbols")[0]["symbol"])[0], 200)
        err = self.end(served)
        self.assertEqual(err.count("does not match its checksum"), PARTITIONS, err)
        self.assertNotIn("published snapshots as of offset", err)
        self.check_equal(self.rows("group"), self.undisturbed())

    def test_sets_are_read_while_they_are_written(self):
        served = self.begin("first")
        for number in range(4):
            until(lambda: sum(p["checkpoint"] for p in served.get("/v1/positions")) > 0, "checkpoints")
            served.process.kill()
            served.process.communicate()
            served = self.begin(f"next-{number}")
        self.until_out(served)
        self.end(served)
        self.check_equal(self.rows("group"), self.undisturbed())


if __name__ == "__main__":
    unittest.main()
