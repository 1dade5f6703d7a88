"""The examples of docs/: settings fold a session and show in what it says; a suite of expectations is checked; the
commands and routes that the pages name are those of the program."""

import glob
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
        self.assertEqual(patterns, {"toxic_flow"})  # this session has no three flips within 10 s

    def test_alerts_of_a_side_that_keeps_changing(self):
        text, = examples("alerts.md")
        quotes = self.path("quotes.csv")
        with open(quotes, "w", encoding="utf-8") as file:
            file.write("symbol,ts_us,bid,bid_size,ask,ask_size,price,size,side\n")
            for second in range(6):
                bid, ask = (100, 1) if second % 2 == 0 else (1, 100)
                file.write(f"BTC,{(1_700_000_000 + second) * 1_000_000},99.5,{bid},100.5,{ask},,,\n")
        tape, _ = self.fold("alerts", text, ["--feed", "ticks-csv", "--input", quotes])
        alerts = self.said(tape, "alert")
        self.assertEqual(sum(alert["rule"] == "imbalance_flip" for alert in alerts), 5)
        flicker = [alert["time"] for alert in alerts if alert["pattern"] == "flicker"]
        self.assertEqual(flicker, ["2023-11-14T22:13:23.000000000Z"])  # at the third flip

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


class Names(ProcessTest):
    """Of what the pages tell the reader to type."""

    def pages(self):
        for path in [os.path.join(DOCS, "..", "README.md"), *glob.glob(os.path.join(DOCS, "**", "*.md"), recursive=True)]:
            with open(path, encoding="utf-8") as file:
                yield os.path.relpath(path, os.path.join(DOCS, "..")), file.read()

    def help(self, known, words):
        if words not in known:
            known[words] = self.succeeds(*words, "--help").stdout
        return known[words]

    def test_commands_and_flags_exist(self):
        known, seen = {}, 0
        for page, text in self.pages():
            inline = [one.replace("\n", " ") for one in re.findall(r"`(tapedeck [^`]+)`", text)]
            blocks = re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.M | re.S)
            lines = [one.split("#")[0] for block in blocks for one in re.sub(r"\n +", " ", block).splitlines()]
            for command in inline + [line for line in lines if line.startswith("tapedeck ")]:
                with self.subTest(page=page, command=command):
                    words = ()
                    for word in command.split()[1:]:
                        listed = re.findall(r"^  ([a-z]+)  ", self.help(known, words).split("Subcommands:")[-1], re.M)
                        names = word.split("|")
                        if "Subcommands:" not in self.help(known, words):
                            break
                        self.assertLessEqual(set(names), set(listed))
                        words += (names[0],)
                    for flag in re.findall(r"--[a-z][a-z-]+", command):
                        self.assertRegex(self.help(known, words), rf"(?m)^ .*{flag}\b")
                    seen += 1
        self.assertGreater(seen, 30)

    def test_routes_exist(self):
        with open(os.path.join(DOCS, "..", "api", "openapi.json"), encoding="utf-8") as file:
            routes = {re.sub(r"{[^}]*}", "{}", path): methods for path, methods in json.load(file)["paths"].items()}
        seen = 0
        for page, text in self.pages():
            for method, path in re.findall(r"\b(GET|POST|DELETE|WS) (/[a-z0-9/{}_.-]+)", text):
                with self.subTest(page=page, route=f"{method} {path}"):
                    self.assertIn(method.lower().replace("ws", "get"), routes[re.sub(r"{[^}]*}", "{}", path)])
                    seen += 1
        self.assertGreater(seen, 3)


if __name__ == "__main__":
    unittest.main()
