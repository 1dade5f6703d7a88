"""The profile command: what it finds in a file and on a tape, expectations, the clean copy."""

import json
import re

from harness import ProcessTest, run

START = 1_700_000_000_000_000


def row(i, symbol="A", price="100.00", size="1", offset=0):
    return f"{symbol},{START + i * 1000 + offset},{price},{size},buy\n"


class Profile(ProcessTest):
    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def dirty(self):
        """Two hundred good rows and one of each fault."""
        lines = [row(i, price=f"{100 + i % 3}.5") for i in range(200)]
        bad = {
            50: lines[49],                               # duplicate
            90: row(88, price="250.0", offset=1),        # outlier
            120: "A,whenever,1,1,buy\n",                 # not decoded
            150: row(146, size="-1", offset=1),         # refused
            170: row(120, price="101.5", offset=7),      # backwards
        }
        for at, line in bad.items():
            lines.insert(at, line)
        return "symbol,ts_us,price,size,side\n" + "".join(lines), bad

    def profile(self, *arguments):
        done = self.succeeds("profile", *arguments, "--format", "json")
        return json.loads(done.stdout)

    def test_finds_what_is_wrong_and_the_clean_copy_is_without_it(self):
        text, bad = self.dirty()
        source, clean = self.write("trades.csv", text), self.path("clean.csv")
        found = self.profile("--feed", "trades-csv", "--input", source, "--clean", clean)
        counts = {name: finding["count"] for name, finding in found["findings"].items()}
        self.assertEqual(counts, {"time_gap": 0, "backwards": 1, "duplicate": 1, "outlier": 1, "crossed_quote": 0,
                                  "locked_quote": 0, "stale_quote": 0, "skew": 0, "refused": 1})
        self.assertEqual(found["dead_letters"], 1)
        with open(clean) as file:
            copied = file.read()
        lines = text.splitlines(keepends=True)
        expected = [line for i, line in enumerate(lines) if i - 1 not in bad]
        self.assertEqual(copied, "".join(expected))
        again = self.profile("--feed", "trades-csv", "--input", clean)
        self.assertEqual(sum(finding["count"] for finding in again["findings"].values()), 0)
        self.assertEqual(again["dead_letters"], 0)

    def test_a_tape_is_worth_what_its_file_is(self):
        source, tape = self.write("trades.csv", self.dirty()[0]), self.path("tape")
        self.succeeds("record", "--feed", "trades-csv", "--input", source, "--tape", tape)
        of_file = self.profile("--feed", "trades-csv", "--input", source)
        of_tape = self.profile("--tape", tape)
        for each in (of_file, of_tape):
            each.pop("input")
            for gap in each["gaps"]:
                gap.pop("feed", None)
        self.assertEqual(of_tape, of_file)

    def test_expectations_fail_with_counts_and_examples(self):
        source = self.write("trades.csv", self.dirty()[0])
        suite = self.write("suite.toml", """
[[expect]]
name = "prices are near a hundred"
field = "price"
rule = "between"
min = "90"
max = "110"
share = "SHARE"
[[expect]]
field = "side"
rule = "known"
""")
        with open(suite) as file:
            text = file.read()
        for share, status in (("0.1%", 1), ("1%", 0)):
            self.write("suite.toml", text.replace("SHARE", share))
            done = run("profile", "--feed", "trades-csv", "--input", source, "--expect", suite, "--format", "json")
            self.assertEqual(done.returncode, status, done.stderr)
            first, second = json.loads(done.stdout)["expectations"]
            self.assertEqual((first["checked"], first["failed"], first["passed"]), (204, 1, status == 0))
            self.assertIn("250.00000000", first["examples"][0])
            self.assertTrue(second["passed"])

    def test_the_page_holds_everything_itself(self):
        source, page = self.write("trades.csv", self.dirty()[0].replace("A,", "<A&B>,")), self.path("page.html")
        self.succeeds("profile", "--feed", "trades-csv", "--input", source, "--format", "html", "--output", page)
        with open(page) as file:
            html = file.read()
        self.assertGreaterEqual(html.count("<svg"), 5)
        self.assertIn("&lt;A&amp;B&gt;", html)
        self.assertNotIn("<A&B>", html)
        self.assertEqual(re.findall(r"(?:src|href)=\"(?!data:)", html), [])

    def test_a_range_is_looked_at_alone(self):
        source = self.write("trades.csv", "".join(row(i) for i in range(3000)))
        found = self.profile("--feed", "trades-csv", "--input", source,
                             "--from", "2023-11-14T22:13:21Z", "--to", "2023-11-14T22:13:21.999Z")
        self.assertEqual(found["events"], 1000)

    def test_refuses_what_it_cannot_do(self):
        source = self.write("trades.csv", row(1))
        self.fails(2, "one of the two", "profile", "--input", source)
        self.fails(2, "expected text, json or html", "profile", "--feed", "trades-csv", "--input", source,
                   "--format", "pdf")
        self.fails(2, "a clean copy is made of", "profile", "--feed", "sim:l3", "--clean", self.path("x"))
        self.fails(2, "the input itself", "profile", "--feed", "trades-csv", "--input", source, "--clean", source)
        suite = self.write("suite.toml", "[[expect]]\nfield = 'price'\nrule = 'odd'\n")
        self.fails(2, "found odd", "profile", "--feed", "trades-csv", "--input", source, "--expect", suite)
