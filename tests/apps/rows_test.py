"""Text feeds, from a file to candles."""

import gzip
import json

from harness import ProcessTest, events_by_symbol, info

START = 1_700_000_000_000_000


def trades(count, bad=()):
    """Lines of two symbols, a trade a millisecond."""
    lines = []
    for i in range(count):
        price = "oops" if i in bad else f"{100 + i % 7}.{i % 10}"
        lines.append(f"{'AB'[i % 2]},{START + i * 1000},{price},0.5,{('buy', 'sell')[i % 3 % 2]}\n")
    return "".join(lines)


class Rows(ProcessTest):
    def write(self, name, text):
        opener = gzip.open if name.endswith(".gz") else open
        with opener(self.path(name), "wt") as file:
            file.write(text)
        return self.path(name)

    def test_trades_become_candles_of_exact_decimals(self):
        source = self.write("trades.csv.gz", trades(4000))
        tape = self.path("tape")
        self.succeeds("record", "--feed", "trades-csv", "--input", source, "--tape", tape)
        self.assertIn("already", self.succeeds("record", "--feed", "trades-csv", "--input", source,
                                               "--tape", tape).stdout)
        self.assertEqual({s: n for s, (n, _) in events_by_symbol(tape).items()}, {"A": 2002, "B": 2002})
        done = self.succeeds("candles", "--tape", tape, "--symbol", "A", "--width", "1s", "--format", "json")
        first = json.loads(done.stdout)[0]
        prices = [float(f"{100 + i % 7}.{i % 10}") for i in range(0, 1000, 2)]
        self.assertEqual(first["trades"], 500)
        self.assertEqual(float(first["high"]), max(prices))
        self.assertEqual(first["volume"], "250.00000000")

    def test_bad_rows_are_dead_letters_with_their_line(self):
        source = self.write("trades.csv", "symbol,ts_us,price,size,side\n" + trades(100, bad={3, 50}))
        tape = self.path("tape")
        done = self.succeeds("record", "--feed", "trades-csv", "--input", source, "--tape", tape)
        self.assertIn("2 inputs could not be decoded", done.stdout)
        letters = info(tape)["dead_letters"]
        self.assertEqual([letter["reason"].split(": ")[0] for letter in letters],
                         [f"{source}:5", f"{source}:52"])
        self.assertEqual(bytes.fromhex(letters[0]["bytes"]).decode(),
                         trades(4, bad={3}).splitlines()[3])

    def test_json_lines_with_names_of_their_own(self):
        rows = [{"s": "A", "T": START // 1000 + i, "p": str(100 + i), "q": 2} for i in range(10)]
        source = self.write("ticks.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        tape = self.path("tape")
        self.succeeds("record", "--feed", "ticks-json", "--input", source, "--tape", tape,
                      "--columns", "symbol=s,ts_ms=T,price=p,size=q", "--price-exponent=-2",
                      "--size-exponent=0")
        self.assertEqual(events_by_symbol(tape)["A"][0], 12)
        again = self.succeeds("record", "--feed", "ticks-json", "--input", source, "--tape", tape,
                              "--columns", "symbol=s,ts_ms=T,price=p,size=q")
        self.assertNotIn("already", again.stdout)

    def test_what_is_no_column_is_named(self):
        source = self.write("trades.csv", trades(3))
        self.fails(2, "unknown column 'colour'", "record", "--feed", "trades-csv", "--input", source,
                   "--columns", "symbol,ts_us,colour", "--tape", self.path("tape"))
        self.fails(2, "no message of it can be decoded", "record", "--feed", "ticks-json", "--input",
                   source, "--tape", self.path("tape"))

    def test_the_bench_folds_what_a_replay_folds(self):
        # The first row is of the year 2096: it is refused, the symbol's others are not.
        source = self.write("trades.csv", f"A,{4 * 10**15},1,1,buy\n" + trades(5000, bad={7, 4000}))
        tape = self.path("tape")
        self.succeeds("record", "--feed", "trades-csv", "--input", source, "--tape", tape)
        done = self.succeeds("replay", "--tape", tape)
        self.assertIn("5002 folded, 0 duplicates, 1 refused", done.stdout)
        self.succeeds("replay", "--tape", tape, "--digests", self.path("replayed"))
        self.succeeds("bench", "trades", "--input", source, "--repeat", "1", "--whole",
                      "--digests", self.path("folded"), "--dead-letters", self.path("letters"))
        with open(self.path("replayed")) as replayed, open(self.path("folded")) as folded:
            self.assertEqual(folded.read(), replayed.read())
        with open(self.path("letters")) as letters:
            self.assertEqual([line.split("\t")[:2] for line in list(letters)[1:]],
                             [["9", "price"], ["4002", "price"]])
