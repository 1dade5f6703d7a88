"""Topics that another client writes: JSON and CSV keyed by symbol is folded, what does not decode is a dead letter."""

import json
import os
import subprocess
import unittest

from exactly_once_test import OutputTest
from harness import info, run, until
from kafka_test import CLIENT, other_python

SYMBOLS = ["AAPL", "MSFT", "BTC-USD", "EURUSD", "X", "ZVZZT"]
START_MS = 1_704_200_000_000
MAPPING = "symbol=s,ts_ms=T,price=p,size=q,side=m,id=i,bids=b,asks=a"


class ForeignTest(OutputTest):
    partitions, codec = 3, {}

    def setUp(self):
        super().setUp()
        self.python = other_python()
        self.client("create", self.name, self.partitions)

    def environment(self, group, **more):
        return super().environment(group, **self.codec, **more)

    def client(self, command, *arguments, records=()):
        done = subprocess.run([self.python, CLIENT, self.brokers, command, *map(str, arguments)],
                              input="".join(json.dumps(record) + "\n" for record in records), capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def produce(self, records, *arguments):
        self.client("produce", self.name, *arguments, records=records)

    def consume(self, group, kind):
        return self.client("consume", f"{self.name}.{group}.{kind}")

    def events(self, served):
        """The account, summed over the partitions."""
        total = {}
        for position in served.get("/v1/positions"):
            for name, count in position["events"].items():
                total[name] = total.get(name, 0) + count
        return total


class Session:
    """What a client says of a market, and what should come of it."""

    def __init__(self, random):
        self.random = random
        self.time = START_MS
        self.books = {symbol: {"b": {}, "a": {}} for symbol in SYMBOLS}
        self.trades = {symbol: [] for symbol in SYMBOLS}

    def level(self, symbol, side):
        price = 100.0 + self.random.randint(1, 40) * (0.25 if side == "a" else -0.25)
        size = self.random.choice([0, 1, 2.5, 7])
        if size:
            self.books[symbol][side][price] = size
        else:
            self.books[symbol][side].pop(price, None)
        return [[str(price), size]]

    def record(self):
        symbol = self.random.choice(SYMBOLS)
        self.time += self.random.randint(0, 40)
        value = {"s": symbol, "T": self.time, "unknown": {"to": ["us"]}}
        if self.random.random() < 0.6:
            side = self.random.choice("ba")
            value[side] = self.level(symbol, side)
        else:
            price, size = 100 + self.random.randint(-8, 8) / 4, self.random.randint(1, 9)
            self.trades[symbol].append((self.time, price, size))
            value.update(p=price, q=str(size), m=self.random.choice(["buy", "sell"]), i=len(self.trades[symbol]))
        if self.random.random() < 0.5:
            del value["s"]  # the key says it
        return {"key": symbol, "value": json.dumps(value)}

    def records(self, count):
        return [self.record() for _ in range(count)]


def levels(book, side):
    return {float(level["price"]): float(level["size"]) for level in book[side]}


class Json(ForeignTest):
    codec = {"TAPEDECK_KAFKA_CODEC": "json", "TAPEDECK_KAFKA_COLUMNS": MAPPING}

    def check_books(self, session, ask):
        for symbol in SYMBOLS:
            book = ask(symbol)
            self.assertEqual(levels(book, "bids"), session.books[symbol]["b"], symbol)
            self.assertEqual(levels(book, "asks"), session.books[symbol]["a"], symbol)

    def book(self, symbol, *more):
        done = self.succeeds("book", *self.tape, *more, "--symbol", symbol, "--depth", 0, "--format", "json")
        return json.loads(done.stdout)

    def test_records_of_another_client_are_folded_and_it_reads_what_we_say(self):
        session = Session(self.random)
        self.produce(session.records(4000))
        served = self.serve("group", "state")
        self.until_out(served)
        self.check_books(session, lambda symbol: served.get(f"/v1/symbols/{symbol}/book?depth=100"))
        self.produce(session.records(1000))  # while it runs
        self.until_out(served)
        self.check_books(session, lambda symbol: served.get(f"/v1/symbols/{symbol}/book?depth=100"))
        events = self.events(served)
        self.assertEqual(events["read"], events["folded"])
        self.assertEqual(events["read"], 5000 + 2 * len(SYMBOLS))  # session and instrument of each
        served.end(self)
        self.check_books(session, self.book)  # what the records are is kept with the tape
        self.check_books(session, lambda symbol: self.book(symbol, "--state", self.path("state")))
        volumes = {symbol: 0.0 for symbol in SYMBOLS}
        for row in self.consume("group", "processed"):
            value = json.loads(row["value"])
            if dict(row["headers"])["kind"] == "candle" and value["width"] == "1s":
                volumes[row["key"]] += float(value["volume"])
        for symbol in SYMBOLS:  # the last second may still be open
            done = sum(size for time, _, size in session.trades[symbol] if time < session.time // 1000 * 1000 - 2000)
            self.assertGreaterEqual(volumes[symbol], done)
            self.assertLessEqual(volumes[symbol], sum(size for _, _, size in session.trades[symbol]))

    def bad_records(self, session):
        at = {"T": session.time, "p": 100, "q": 1}
        return [{"key": "AAPL", "value": "noise", "headers": {"who": "me", "schema": "theirs"}},
                {"key": "AAPL", "value": json.dumps({**at, "s": "MSFT"})},
                {"key": "AAPL", "value": json.dumps({**at, "p": "much"})},
                {"key": None, "value": json.dumps({**at, "s": "AAPL"}), "partition": 1},
                {"key": "two words", "value": json.dumps(at)},
                {"key": "NEW", "value": "\u00e9\u0000"}]

    def test_what_does_not_decode_is_a_dead_letter_with_its_bytes_headers_and_position(self):
        session = Session(self.random)
        self.produce(session.records(500))
        bad = self.bad_records(session)
        self.produce(bad)
        self.produce(session.records(500))
        ahead = {"key": "X", "value": json.dumps({"T": 4_000_000_000_000, "p": 1, "q": 1})}
        self.produce([ahead], "murmur2_random")
        served = self.serve("group", "state")
        self.until_out(served)
        self.check_books(session, lambda symbol: served.get(f"/v1/symbols/{symbol}/book?depth=100"))
        events = self.events(served)
        self.assertEqual(events["refused"], len(bad) + 1)
        self.assertEqual(events["read"], events["folded"] + events["refused"])
        served.end(self)
        there = {(r["partition"], r["offset"]): r for r in self.client("consume", self.name)}
        letters = self.consume("group", "dlq")
        undecodable = [letter for letter in letters if dict(letter["headers"])["kind"] == "undecodable"]
        self.assertEqual(sorted(letter["value"] for letter in undecodable),
                         sorted(record["value"].encode().decode("latin-1") for record in bad))
        for letter in undecodable:
            headers = dict(letter["headers"])  # ours are the last of their name
            partition, offset, _ = map(int, headers["position"].split(":"))
            original = there[partition, offset]
            self.assertEqual((letter["key"], letter["value"]), (original["key"], original["value"]))
            self.assertEqual(letter["headers"][:len(original["headers"])], original["headers"])
            self.assertEqual(headers["schema"], "1")
            self.assertIn("expected", headers["reason"])
        self.assertIn(["schema", "theirs"], [header for letter in undecodable for header in letter["headers"]])
        refused = [json.loads(letter["value"]) for letter in letters if letter not in undecodable]
        self.assertEqual([(row["symbol"], row["rule"]) for row in refused], [("X", "future_time")])

    def test_a_client_with_another_partitioner_is_told_so(self):
        session = Session(self.random)
        self.produce(session.records(300), "consistent_random")  # that client's own default
        served = self.serve("group", "state")
        self.until_out(served)
        served.end(self)
        reasons = [dict(letter["headers"])["reason"] for letter in self.consume("group", "dlq")]
        self.assertGreater(len(reasons), 0)
        self.assertTrue(all("partitioner=murmur2_random" in reason for reason in reasons), reasons[0])

    def test_killed_at_random_moments_it_says_each_output_once(self):
        session = Session(self.random)
        self.produce(session.records(6000) + self.bad_records(session) + session.records(6000))
        expected = {kind: None for kind in ("processed", "alerts", "dlq")}
        self.undisturbed()
        for kind in expected:
            expected[kind] = self.rows("undisturbed", kind) if kind != "dlq" else self.consume("undisturbed", kind)
        ends, done = sum(self.ends().values()), 0
        for number in range(5):
            served = self.serve("killed", "state", TAPEDECK_OUTPUTS_MAX_ROWS="20")
            target = max(done + 1, ends * (number + self.random.random()) / 5)
            until(lambda: sum(self.committed(served).values()) >= min(target, ends), "commits")
            done = sum(self.committed(served).values())
            served.process.kill()
            served.process.communicate()
        subprocess.run(["rm", "-rf", self.path("state/state")], check=True)  # the index stays: older than the fold
        served = self.serve("killed", "state")
        self.until_out(served)
        served.end(self)
        self.check_equal(self.rows("killed"), expected["processed"])
        self.assertEqual(self.rows("killed", "alerts"), expected["alerts"])
        plain = [sorted((r["key"] or "", r["value"], r["headers"]) for r in rows)
                 for rows in (self.consume("killed", "dlq"), expected["dlq"])]
        self.assertEqual(*plain)

    def test_every_fold_of_it_gives_the_same_digests(self):
        session = Session(self.random)
        self.produce(session.records(3000) + self.bad_records(session) + session.records(3000))
        env = {**os.environ, **self.codec}
        digests = []

        def replay(*arguments):
            name = self.path(f"digests-{len(digests)}")
            self.succeeds("replay", *arguments, "--digests", name, env=env)
            with open(name, encoding="ascii") as file:
                digests.append(file.read())

        replay(*self.tape, "--threads", "1")
        replay(*self.tape, "--threads", "2")
        self.succeeds("tape", "index", *self.tape, "--state", self.path("state"), env=env)
        replay(*self.tape, "--state", self.path("state"))
        self.assertRegex(self.succeeds("verify", *self.tape, "--state", self.path("state")).stdout, " 0 differ, 0 bad")
        self.succeeds("tape", "copy", *self.tape, "--to-tape", self.path("copy"), env=env)
        replay("--tape", self.path("copy"))
        self.succeeds("tape", "verify", "--tape", self.path("copy"))
        self.assertEqual(len(digests[0].splitlines()), len(SYMBOLS) + 3)
        for other in digests[1:]:
            self.assertEqual(other, digests[0])


class Csv(ForeignTest):
    codec = {"TAPEDECK_KAFKA_CODEC": "csv", "TAPEDECK_KAFKA_PRICE_EXPONENT": "-2", "TAPEDECK_KAFKA_SIZE_EXPONENT": "0"}

    def test_lines_of_trades_are_folded_as_the_same_file_is(self):
        lines = [f"{self.random.choice(SYMBOLS)},{1_704_200_000_000_000 + 1000 * n},{100 + n % 7}.25,{1 + n % 5},buy"
                 for n in range(3000)]
        self.produce([{"key": line.split(",")[0], "value": line} for line in lines])
        file, folder = self.path("trades.csv"), self.path("tape")
        with open(file, "w", encoding="ascii") as out:
            out.write("\n".join(lines) + "\n")
        self.succeeds("record", "--feed", "trades-csv", "--input", file, "--tape", folder, "--price-exponent", "-2",
                      "--size-exponent", "0")
        env = {**os.environ, **self.codec}
        for symbol in SYMBOLS:
            command = ["candles", "--symbol", symbol, "--width", "1s", "--format", "csv"]
            there = self.succeeds(*command, *self.tape, env=env).stdout.splitlines()
            here = self.succeeds(*command, "--tape", folder).stdout.splitlines()
            self.assertGreater(len(here), 2)
            self.assertEqual(there[:-1], here[:-1])  # the last one is open until feed time passes its end


class Refused(ForeignTest):
    def test_what_the_records_are_cannot_change(self):
        json_env = {**os.environ, "TAPEDECK_KAFKA_CODEC": "json"}
        csv_env = {**os.environ, "TAPEDECK_KAFKA_CODEC": "csv"}
        self.produce([{"key": "X", "value": json.dumps({"ts_ms": START_MS, "price": 1, "size": 1})}])
        self.succeeds("topics", "create", *self.tape, env=json_env)
        self.fails(2, "kafka.codec", "book", *self.tape, "--symbol", "X", env=csv_env)
        self.fails(2, "record into a topic of its own", "record", "--feed", "sim:l3", "--input",
                   "seed=1,symbols=2,messages=100", *self.tape)
        self.fails(2, "kafka.columns", "replay", *self.topic(),
                   env={**json_env, "TAPEDECK_KAFKA_COLUMNS": "colour"})
        self.assertEqual(json.loads(self.succeeds("book", *self.tape, "--symbol", "X", "--format", "json").stdout)
                         ["symbol"], "X")

    def test_a_topic_of_ours_is_no_foreign_one(self):
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=1,symbols=2,messages=100", *self.topic()[:2],
                      "--topic", self.name + ".ours")
        done = run("replay", *self.tape[:2], "--topic", self.name + ".ours",
                   env={**os.environ, "TAPEDECK_KAFKA_CODEC": "json"})
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("was made as a tape of capnp", done.stderr)
        self.assertIsNotNone(info([*self.tape[:2], "--topic", self.name + ".ours"]))


if __name__ == "__main__":
    unittest.main()
