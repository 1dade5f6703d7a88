"""The examples of docs/: settings fold a session and show in what it says; a suite of expectations is checked."""

import json
import os
import re
import unittest

from engine_process_test import dump, settings
from harness import ProcessTest, run

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
SESSION = ["--feed", "sim:l3", "--input", "seed=3,symbols=4,messages=20000"]
BUSY = ["--feed", "sim:l3", "--input", "seed=3,symbols=2,messages=100000"]


def examples(page):
    """The page's TOML, one text a block."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        found = re.findall(r"^```toml\n(.*?)^```", file.read(), re.M | re.S)
    assert found, page
    return found


class Docs(ProcessTest):
    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def fold(self, page, text, session=SESSION):
        """A session folded by an engine with these settings; its first symbol."""
        config = self.write(f"{page}.toml", text)
        self.succeeds("config", "check", "--config", config)
        tape = self.path(page)
        self.succeeds("record", *session, "--tape", tape)
        done = run("tape", "index", "--tape", tape, "--config", config, env=settings())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.succeeds("verify", "--tape", tape)
        return tape, dump(tape).split()[0]

    def outputs(self, tape):
        lines = self.path("outputs")
        self.succeeds("replay", "--tape", tape, "--outputs", lines)
        with open(lines, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_candles(self):
        text, = examples("candles.md")
        tape, symbol = self.fold("candles", text)
        for width in ("1s", "1m", "100t", "5000v", "1000000n", "500i"):
            with self.subTest(width=width):
                found = json.loads(self.succeeds("candles", "--tape", tape, "--symbol", symbol, "--width", width,
                                                 "--format", "json").stdout)
                self.assertTrue(found)

    def said(self, tape, kind):
        return [line["data"] for line in self.outputs(tape) if line["type"] == kind]

    def test_metrics(self):
        text, = examples("metrics.md")
        tape, _ = self.fold("metrics", text)
        rows = self.said(tape, "metrics")
        for name in ("weighted_imbalance", "vtob", "microprice", "bid_depth", "trade_flow_imbalance", "mid"):
            self.assertTrue(any(name in json.dumps(row) for row in rows), name)

    def test_alerts(self):
        text, = examples("alerts.md")
        tape, _ = self.fold("alerts", text, BUSY)
        alerts = self.said(tape, "alert")
        high = {alert["threshold"] for alert in alerts
                if (alert["rule"], alert["level"]) == ("extreme_imbalance", "high")}
        self.assertEqual({float(threshold) for threshold in high}, {0.8})
        patterns = {alert["pattern"] for alert in alerts if alert["rule"] == "pattern"}
        self.assertIn("toxic_flow", patterns)  # this session has no three flips within 10 s
        self.assertLessEqual(patterns, {"toxic_flow", "flicker"})

    def test_refusals_and_expectations(self):
        refusals, suite = examples("quality.md")
        tape, symbol = self.fold("refusals", refusals)
        refused = json.loads(self.succeeds("dlq", "list", "--tape", tape, "--format", "json").stdout.splitlines()[0])
        self.assertEqual((refused["reason"], refused["symbol"] != "AAPL"), ("unknown_symbol", True))
        self.assertTrue(symbol)
        report = self.path("report.json")
        done = run("profile", *SESSION, "--expect", self.write("suite.toml", suite), "--format", "json", "--output",
                   report)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        with open(report, encoding="utf-8") as file:
            names = [one["name"] for one in json.load(file)["expectations"]]
        self.assertEqual(len(names), 2)
        self.assertEqual(names[0], "prices are sane")


if __name__ == "__main__":
    unittest.main()
