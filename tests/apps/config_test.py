"""`tapedeck config apply`: fold settings change at a stated position of each partition, for every fold alike."""

import json
import os
import re
import subprocess
import unittest

from engine_process_test import Served, dump, settings
from harness import ProcessTest, run, until

FIRST = "seed=7,symbols=6,messages=40000"
SECOND = "seed=8,symbols=6,messages=20000"


class ConfigApply(ProcessTest):
    def setUp(self):
        super().setUp()
        self.tape = self.path("tape")
        self.record(FIRST)

    def record(self, what):
        self.succeeds("record", "--feed", "sim:l3", "--input", what, "--tape", self.tape)

    def index(self, tape=None):
        done = run("tape", "index", "--tape", tape or self.tape, env=settings())
        self.assertEqual(done.returncode, 0, done.stderr)

    def apply(self, *values):
        done = self.succeeds("config", "apply", "--tape", self.tape,
                             *[word for value in values for word in ("--set", value)])
        return dict(re.findall(r"partition (\d+): from offset (\d+) on", done.stdout))

    def candles(self, width, tape=None):
        symbol = dump(tape or self.tape).split()[0]
        done = self.succeeds("candles", "--tape", tape or self.tape, "--symbol", symbol, "--width", width,
                             "--format", "json")
        return json.loads(done.stdout)

    def check_agrees(self):
        """Stored, refolded, verified, made again, copied: all the same across the change."""
        before = dump(self.tape)
        self.assertEqual(before, dump(self.tape, "--refold"))
        self.succeeds("verify", "--tape", self.tape)
        subprocess.run(["rm", "-rf", os.path.join(self.tape, "state")], check=True)
        self.index()
        self.assertEqual(dump(self.tape), before)
        copy = self.path("copy")
        self.succeeds("tape", "copy", "--tape", self.tape, "--to-tape", copy)
        self.index(copy)
        self.assertEqual(dump(copy), before)

    def check_candles(self):
        ticks, kept, new, gone = (self.candles(width) for width in ("50t", "1s", "5s", "10s"))
        self.assertTrue(ticks and kept and new and gone)
        for candle in ticks:
            if candle["state"] == "closed" and candle is not ticks[-1]:
                self.assertLessEqual(candle["trades"], 50)
        def offsets(candles):
            return [candle["position"]["offset"] for candle in candles if candle["state"] == "closed"]

        self.assertLessEqual(max(offsets(gone)), min(offsets(new)))
        self.assertLess(min(offsets(kept)), min(offsets(new)))
        self.assertGreater(max(offsets(kept)), max(offsets(gone)))

    def test_without_an_engine_it_takes_effect_at_the_tapes_end(self):
        self.index()
        at = self.apply("candles.widths=1s,5s,50t", "metrics.further=vtob,trade_flow")
        self.assertEqual(len(at), 4)
        done = self.succeeds("config", "apply", "--tape", self.tape, "--set", "candles.widths=1s,5s,50t")
        self.assertIn("in force already", done.stdout)
        self.record(SECOND)
        self.index()
        self.check_candles()
        self.check_agrees()

    def test_the_running_engine_applies_it(self):
        served = Served("--tape", self.tape, env=settings()).ready()
        self.assertEqual(len(self.apply("candles.widths=1s,5s,50t", "candles.idle_after=1s")), 4)
        symbol = served.get("/v1/symbols")[0]["symbol"]
        self.record(SECOND)
        until(lambda: served.get(f"/v1/symbols/{symbol}/candles?width=50t"), "candles of the new width")
        served.ready()
        served.end(self)
        self.check_candles()
        self.check_agrees()

    def test_it_is_in_force_after_a_restart(self):
        self.index()
        self.apply("candles.widths=1s,5s,50t")
        done = run("serve", "--tape", self.tape, env=settings(TAPEDECK_CANDLES_WIDTHS="1s,10s,1m"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("config apply", done.stderr)
        served = Served("--tape", self.tape, env=settings(TAPEDECK_CANDLES_WIDTHS="1s,5s,50t")).ready()
        served.end(self)

    def test_a_tape_that_no_engine_opened_has_it_from_its_beginning(self):
        done = self.succeeds("config", "apply", "--tape", self.tape, "--set", "candles.widths=1s,50t")
        self.assertIn("from the tape's beginning on", done.stdout)
        self.index()
        self.assertTrue(self.candles("50t"))
        self.fails(2, "it keeps", "candles", "--tape", self.tape, "--symbol",
                   dump(self.tape).split()[0], "--width", "10s")

    def test_it_says_what_is_wrong(self):
        self.index()
        self.fails(2, "candles.widths", "config", "apply", "--tape", self.tape, "--set", "candles.widths=1x")
        self.fails(2, "KEY=VALUE", "config", "apply", "--tape", self.tape, "--set", "candles.widths")
        self.fails(2, "max_kept_updates", "config", "apply", "--tape", self.tape, "--set",
                   "fold.max_kept_updates=5")


if __name__ == "__main__":
    unittest.main()
