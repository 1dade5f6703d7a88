"""The engine as a process: stopped, killed, restarted, with any threads and polls, it leaves the same state."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.parse
import urllib.request

from harness import PROGRAM, ProcessTest, info, interrupt, kill_after, run, start, until

DUMP = os.environ["TAPEDECK_TEST_DUMP_STATE"]
# The session of the determinism matrix: 5 million events over 300 symbols; smaller for a quick look.
MESSAGES = int(os.environ.get("TAPEDECK_TEST_MESSAGES", "5000000"))
SYMBOLS = int(os.environ.get("TAPEDECK_TEST_SYMBOLS", "300"))
# Stops and kills of each combination of threads and polls; 20 and 10 for the long look.
STOPS = int(os.environ.get("TAPEDECK_TEST_STOPS", "2"))
KILLS = int(os.environ.get("TAPEDECK_TEST_KILLS", "2"))
SEED = os.environ.get("TAPEDECK_TEST_SEED", "1")


def dump(tape, *arguments):
    return subprocess.run([DUMP, tape, *arguments], capture_output=True, text=True, check=True).stdout


def settings(threads=2, poll_records=1 << 20, **more):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("TAPEDECK_ENGINE", "TAPEDECK_TEST", "TAPEDECK_DUMP"))}
    environment.pop("TAPEDECK", None)
    environment.update(TAPEDECK_ENGINE_THREADS=str(threads), TAPEDECK_ENGINE_POLL_RECORDS=str(poll_records))
    environment.update(more)
    return environment


class Served:
    """`tapedeck serve` on a free port."""

    def __init__(self, *arguments, **options):
        self.process = start("serve", "--port", 0, *arguments, **options)
        line = self.process.stdout.readline()
        found = re.search(r"http://[0-9.]+:\d+", line)
        if not found:
            raise AssertionError(f"serve did not start: {line} {self.process.communicate()[1]}")
        self.url = found.group()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def status(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def metrics(self):
        with urllib.request.urlopen(self.url + "/metrics", timeout=60) as answer:
            return answer.read().decode()

    def ready(self):
        until(lambda: self.status("/health/ready")[0] == 200, "ready")
        return self

    def end(self, test):
        out, err = interrupt(self.process)
        test.assertEqual(self.process.returncode, 0, out + err)


class Determinism(ProcessTest):
    """One session; every way to fold it ends in the same digests and outputs."""

    def record(self, name, *arguments):
        tape = self.path(name)
        self.succeeds("record", "--feed", "sim:l3", "--input",
                      f"seed={SEED},symbols={SYMBOLS},messages={MESSAGES}", "--tape", tape, *arguments)
        return tape

    def fresh(self, tape):
        subprocess.run(["rm", "-rf", os.path.join(tape, "state")], check=True)

    def index(self, tape, environment):
        self.succeeds("tape", "index", "--tape", tape, env=environment)

    def stop_in_order(self, tape, environment):
        """STOPS orderly stops somewhere on the tape; once it is through, from its beginning again."""
        stops = 0
        for _ in range(20 * STOPS):
            if stops == STOPS:
                break
            process = start("tape", "index", "--tape", tape, env=environment)
            try:
                process.wait(timeout=self.random.uniform(0.1, 0.3))
                self.fresh(tape)
            except subprocess.TimeoutExpired:
                # Before it listens for signals, one ends it at once: that is no orderly stop.
                out, _ = interrupt(process)
                stops += "interrupted" in out and process.returncode == 0
            self.assertIn(process.returncode, (0, -signal.SIGINT))
        self.assertEqual(stops, STOPS)
        return stops

    def agree_however_folded(self, tape, expected):
        stops = kills = 0
        for threads in (1, 2, 4):
            for records in (1, 64, 4096):
                environment = settings(threads, records)
                with self.subTest(threads=threads, records=records, how="undisturbed"):
                    self.fresh(tape)
                    self.index(tape, environment)
                    self.assertEqual(dump(tape), expected)
                with self.subTest(threads=threads, records=records, how="stopped and resumed"):
                    self.fresh(tape)
                    # Little in flight at a time, so that a stop falls in the middle of the tape.
                    slow = dict(environment, TAPEDECK_ENGINE_MAX_INFLIGHT_BYTES=str(1 << 18),
                                TAPEDECK_ENGINE_POLL_BYTES=str(1 << 16))
                    stops += self.stop_in_order(tape, slow)
                    self.index(tape, environment)
                    self.assertEqual(dump(tape), expected)
                with self.subTest(threads=threads, records=records, how="killed and resumed"):
                    self.fresh(tape)
                    for _ in range(KILLS):
                        kills += kill_after(start("tape", "index", "--tape", tape, env=environment),
                                            self.random.uniform(0.05, 0.5))
                    self.index(tape, environment)
                    self.assertEqual(dump(tape), expected)
        print(f"{stops} stops, {kills} kills")
        self.assertEqual(stops, 9 * STOPS)
        self.assertGreater(kills, 5)
        self.assertIn(" 0 differ, 0 bad", self.succeeds("verify", "--tape", tape, "--threads", "2").stdout)

    def test_threads_polls_stops_and_kills(self):
        tape = self.record("tape")
        expected = dump(tape, "--refold")
        self.assertEqual(len(expected.splitlines()), SYMBOLS)
        self.agree_however_folded(tape, expected)

    def late_trades(self, name):
        """Trades of which some come late, and quotes whose side keeps changing."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("symbol,ts_us,bid,bid_size,ask,ask_size,price,size,side\n")
            now = 1_700_000_000_000_000
            for row in range(60_000):
                now += self.random.randrange(200_000)
                late = self.random.choice((0, 0, 0, 900_000, 30_000_000, 70_000_000))
                sizes = self.random.choice(("9", "1")), self.random.choice(("9", "1"))
                quote = f"99.5,{sizes[0]},100.5,{sizes[1]}" if row % 3 else ",,,"
                price = self.random.randrange(90, 110) if row % 100 == 0 else 100
                file.write(f"T{self.random.randrange(8)},{now - late},{quote},{price},{1 + row % 7},buy\n")
        return path

    def test_every_feature_and_settings_that_change(self):
        """Activity candles, all metrics, patterns, refusals, revisions; other settings from the middle of the tape."""
        tape = self.path("features")
        self.succeeds("record", "--feed", "sim:l3", "--input", f"seed={SEED},symbols=40,messages=200000", "--tape",
                      tape)
        config = self.path("features.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("""
                [candles]
                widths = ["1s", "1m", "100t", "5000v", "1000000n", "500i"]
                origin = "09:30 -04:00"
                [metrics]
                further = ["weighted_imbalance", "vtob", "microprice", "depth", "trade_flow", "variance"]
                [alerts]
                cooldown.flip = "0s"
                [[alerts.pattern]]
                name = "flicker"
                count = 3
                of = "imbalance_flip"
                within = "10s"
                [refusals]
                price_band = 0.05
                zero_size = true
            """)
        self.succeeds("tape", "index", "--tape", tape, "--config", config)
        record = ("record", "--tape", tape, "--feed", "ticks-csv", "--linger", "64", "--input")
        self.succeeds(*record, self.late_trades("first.csv"))
        self.succeeds("tape", "index", "--tape", tape)
        self.succeeds("config", "apply", "--tape", tape, "--set", "candles.widths=1s,5s,7t", "--set",
                      "metrics.further=variance", "--set", "alerts.flip=0.6", "--set", "refusals.price_band=0")
        self.succeeds(*record, self.late_trades("second.csv"))
        self.agree_however_folded(tape, dump(tape, "--refold"))
        outputs = self.path("outputs")
        self.succeeds("replay", "--tape", tape, "--outputs", outputs)
        with open(outputs, encoding="utf-8") as file:
            said = [json.loads(line) for line in file]
        data = {kind: [line["data"] for line in said if line["type"] == kind]
                for kind in {line["type"] for line in said}}
        self.assertTrue(any(candle["revision"] > 0 for candle in data["candle"]))
        self.assertLessEqual({"1m", "100t", "5s", "7t"}, {candle["width"] for candle in data["candle"]})
        self.assertIn("flicker", {alert["pattern"] for alert in data["alert"]})
        self.assertIn("price_band", {refusal["rule"] for refusal in data["refusal"]})
        self.assertIn("late_trade", data)

    def test_serve_equals_replay(self):
        tape = self.record("tape")
        digests = self.path("digests")
        self.succeeds("replay", "--tape", tape, "--digests", digests, "--threads", "2")
        served = Served("--tape", tape, env=settings()).ready()
        lines = [f"{symbol['symbol']} {symbol['events']['folded']} {symbol['digest']}\n"
                 for symbol in served.get("/v1/symbols")]
        with open(digests) as file:
            self.assertEqual("".join(lines), file.read())
        served.end(self)
        self.assertEqual(dump(tape), dump(tape, "--refold"))

    def test_recorded_otherwise_the_same_is_said(self):
        expected = None
        for linger, marks, partitions in ((524288, 65536, 4), (64, 64, 4), (64, 10**9, 3), (1, 1000, 4)):
            with self.subTest(linger=linger, marks=marks):
                tape = self.record(f"tape-{linger}-{marks}", "--linger", linger, "--mark-every", marks,
                                   "--partitions", partitions)
                self.index(tape, settings())
                found = dump(tape)
                expected = expected or found
                self.assertEqual(found, expected)
                subprocess.run(["rm", "-rf", tape], check=True)


class Recovery(ProcessTest):
    def setUp(self):
        super().setUp()
        self.tape = self.path("tape")
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=3,symbols=60,messages=600000", "--tape",
                      self.tape, "--linger", "4096")

    def test_killed_while_it_reads_it_resumes_from_the_checkpoint(self):
        environment = settings(2, 64, TAPEDECK_ENGINE_CHECKPOINT_EVENTS="20000")
        served = Served("--tape", self.tape, env=environment)
        until(lambda: any(p["checkpoint"] > 0 for p in served.get("/v1/positions")), "a checkpoint")
        served.process.kill()
        served.process.communicate()
        served = Served("--tape", self.tape, env=environment).ready()
        positions = served.get("/v1/positions")
        metrics = served.metrics()
        metric = lambda name: sum(float(value) for value in
                                  re.findall(rf'^tapedeck_{name}_total\{{[^}}]*\}} (\S+)', metrics, re.M))
        counts = {key: sum(p["events"][key] for p in positions)
                  for key in ("read", "folded", "duplicates", "refused", "filtered")}
        self.assertLess(metric("records"), info(self.tape)["records"], "nothing was resumed: the whole tape was read again")
        self.assertEqual(metric("events"), counts["read"])
        self.assertEqual(metric("events"), sum(map(metric, ("folded_events", "duplicate_events", "dead_letters", "filtered_events"))))
        self.assertEqual(counts["read"], sum(counts[key] for key in ("folded", "duplicates", "refused", "filtered")))
        served.end(self)
        self.assertEqual(dump(self.tape), dump(self.tape, "--refold"))

    def test_state_deleted_is_made_again_equal(self):
        self.succeeds("tape", "index", "--tape", self.tape, env=settings())
        first = dump(self.tape)
        subprocess.run(["rm", "-rf", os.path.join(self.tape, "state")], check=True)
        self.succeeds("tape", "index", "--tape", self.tape, env=settings())
        self.assertEqual(dump(self.tape), first)

    def test_a_full_disk_ends_it_with_a_remedy_and_the_next_run_goes_on(self):
        def small_disk():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

        done = subprocess.run([PROGRAM, "tape", "index", "--tape", self.tape], capture_output=True, text=True,
                              timeout=60, env=settings(), preexec_fn=small_disk)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("run the same command again", done.stderr)
        self.succeeds("tape", "index", "--tape", self.tape)
        self.assertEqual(dump(self.tape), dump(self.tape, "--refold"))

    def test_without_memory_or_threads_it_ends_and_the_next_run_goes_on(self):
        def index_with(megabytes):
            return subprocess.run([PROGRAM, "tape", "index", "--tape", self.tape], capture_output=True, text=True,
                                  timeout=120, env=settings(), preexec_fn=lambda: resource.setrlimit(
                                      resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)))

        for megabytes in (100, 200, 300):  # less than the threads need: refused
            with self.subTest(megabytes=megabytes):
                done = index_with(megabytes)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn("raise its limit (ulimit -v)", done.stderr)
        for megabytes in (440, 520, 600):  # may run out on the way: whatever it ends with, nothing is damaged
            done = index_with(megabytes)
            print(f"{megabytes} MB: status {done.returncode} {done.stderr}", file=sys.stderr)
        self.succeeds("tape", "index", "--tape", self.tape)
        self.assertEqual(dump(self.tape), dump(self.tape, "--refold"))

    def test_damaged_state_names_its_remedy(self):
        self.succeeds("tape", "index", "--tape", self.tape)
        expected = dump(self.tape)
        state = os.path.join(self.tape, "state")
        manifest = os.path.join(state, next(name for name in os.listdir(state) if name.startswith("MANIFEST")))
        with open(manifest, "r+b") as file:
            file.seek(20)
            byte = file.read(1)[0]
            file.seek(20)
            file.write(bytes([byte ^ 4]))
        for command in (["book", "--symbol", "X"], ["tape", "index"]):
            done = run(*command, "--tape", self.tape)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"delete {state}", done.stderr)
        subprocess.run(["rm", "-rf", state], check=True)
        self.succeeds("tape", "index", "--tape", self.tape)
        self.assertEqual(dump(self.tape), expected)

    def test_a_symbol_that_throws_is_back_and_nothing_is_lost(self):
        cat = self.succeeds("tape", "cat", "--tape", self.tape, "--records", "--partition", 1, "--limit", 400)
        records = [json.loads(line) for line in cat.stdout.splitlines()]
        record = [r for r in records if r.get("symbol")][200]
        position = record["position"]
        fault = f"{record['symbol']}@{position['partition']}:{position['offset']}:1"
        served = Served("--tape", self.tape, env=settings(TAPEDECK_FAULT=fault)).ready()
        tree = json.dumps(served.get("/v1/supervision"))
        self.assertIn(f"symbol {record['symbol']}", tree)
        self.assertIn("fault point", tree)
        metrics = served.metrics()
        self.assertRegex(metrics, r'tapedeck_symbol_restarts_total\{[^}]*\} 1\b')
        self.assertRegex(metrics, r'tapedeck_symbol_restart_seconds_count\{[^}]*\} 1\b')
        served.end(self)
        self.assertEqual(dump(self.tape), dump(self.tape, "--refold"))

    def test_verify_names_a_flipped_byte(self):
        self.fails(1, "tape index", "verify", "--tape", self.tape)
        self.succeeds("tape", "index", "--tape", self.tape, env=settings())
        done = self.succeeds("verify", "--tape", self.tape)
        self.assertRegex(done.stdout, r"^[1-9]\d* digests .* 0 differ, 0 bad")
        for folder in ("state", "log"):
            tables = [os.path.join(self.tape, folder, name) for name in os.listdir(os.path.join(self.tape, folder))
                      if name.endswith(".sst")]
            largest = max(tables, key=os.path.getsize)
            with self.subTest(folder=folder):
                with open(largest, "r+b") as file:
                    at = os.path.getsize(largest) // 3
                    file.seek(at)
                    byte = file.read(1)
                    file.seek(at)
                    file.write(bytes([byte[0] ^ 0x10]))
                done = run("verify", "--tape", self.tape)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stdout + done.stderr, r"\d+:\d+|\.sst")
                with open(largest, "r+b") as file:
                    file.seek(at)
                    file.write(byte)
        self.succeeds("verify", "--tape", self.tape)


class ServeRefuses(ProcessTest):
    def setUp(self):
        super().setUp()
        self.tape = self.path("tape")
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=3,symbols=5,messages=20000", "--tape", self.tape)

    def test_bad_requests_name_the_field(self):
        served = Served("--tape", self.tape, env=settings()).ready()
        symbol = served.get("/v1/symbols")[0]["symbol"]
        for path, code, field in ((f"/v1/symbols/{symbol}/book?depth=x", 400, "depth"),
                                  (f"/v1/symbols/{symbol}/book?at=yesterday", 400, "at"),
                                  (f"/v1/symbols/{symbol}/book?at=2100-01-01T00:00:00Z", 400, "at"),
                                  (f"/v1/symbols/{symbol}/book?at=offset:99999999", 400, "at"),
                                  (f"/v1/symbols/{symbol}/candles?width=7s", 400, "width"),
                                  ("/v1/symbols/NOSUCH/book", 404, "symbol"),
                                  ("/v1/symbols/NOSUCH/book?at=end", 404, "symbol")):
            with self.subTest(path=path):
                status, body = served.status(path)
                self.assertEqual(status, code, body)
                self.assertEqual(body["error"]["field"], field)
        served.end(self)

    def test_past_books_equal_the_command_line(self):
        served = Served("--tape", self.tape, env=settings()).ready()
        symbol = served.get("/v1/symbols")[2]["symbol"]
        candles = served.get(f"/v1/symbols/{symbol}/candles?width=1m")
        self.assertGreater(len(candles), 3)
        for candle in candles[::7]:
            at = candle["close_time"]
            http = served.get(f"/v1/symbols/{symbol}/book?depth=50&at={urllib.parse.quote(at)}")
            command = self.succeeds("book", "--tape", self.tape, "--symbol", symbol, "--at", at, "--depth", "50",
                                    "--format", "json")
            self.assertEqual(http, json.loads(command.stdout))
        command = self.succeeds("candles", "--tape", self.tape, "--symbol", symbol, "--width", "1m", "--format", "json")
        self.assertEqual([c for c in candles if c["state"] == "closed"],
                         [c for c in json.loads(command.stdout) if c["state"] == "closed"])
        served.end(self)

    def test_other_settings_than_the_tape_has_exit_2(self):
        self.succeeds("tape", "index", "--tape", self.tape, env=settings())
        self.fails(2, "config apply", "serve", "--tape", self.tape, "--port", 0,
                   env=settings(TAPEDECK_CANDLES_WIDTHS="1s,5m"))
        self.succeeds("tape", "index", "--tape", self.tape, env=settings(TAPEDECK_CANDLES_WIDTHS="1s,10s,1m"))

    def test_environment_and_configuration(self):
        self.fails(2, "no", "serve", "--tape", self.path("absent"), "--port", 0)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.fails(3, str(taken.getsockname()[1]), "serve", "--tape", self.tape, "--port",
                       taken.getsockname()[1])
        config = self.path("bad.toml")
        with open(config, "w") as file:
            file.write("[engine]\nthraeds = 2\n")
        done = self.fails(2, "thraeds", "serve", "--tape", self.tape, "--config", config)
        self.assertIn("bad.toml:2", done.stderr)
        served = Served("--tape", self.tape, env=settings())
        self.fails(3, "another", "serve", "--tape", self.tape, "--port", 0)
        served.end(self)

    def test_questions_to_a_tape(self):
        symbol = json.loads(self.succeeds("tape", "cat", "--tape", self.tape, "--limit", 1).stdout)["symbol"]
        self.fails(2, "last time mark", "book", "--tape", self.tape, "--symbol", symbol, "--at", "2100-01-01T00:00:00Z")
        self.fails(2, "past the end", "book", "--tape", self.tape, "--symbol", symbol, "--at", "offset:99999999")
        self.fails(2, "NOSUCH", "book", "--tape", self.tape, "--symbol", "NOSUCH")
        self.fails(2, "--at", "book", "--tape", self.tape, "--symbol", symbol, "--at", "noon")
        self.fails(2, "width", "candles", "--tape", self.tape, "--symbol", symbol, "--width", "7s")
        self.fails(2, "absent", "book", "--tape", self.path("absent"), "--symbol", symbol)


class Live(ProcessTest):
    def test_recorded_and_served_in_one_process_is_what_was_recorded_alone(self):
        session = ["--feed", "sim:l3", "--input", "seed=8,symbols=20,messages=60000"]
        alone, live = self.path("alone"), self.path("live")
        self.succeeds("record", *session, "--tape", alone)
        served = Served("--tape", live, *session, "--rate", "60000", env=settings())
        until(lambda: sum(p["events"]["read"] for p in served.get("/v1/positions")) >= 60000, "the whole session")
        served.end(self)
        self.assertEqual(dump(live), dump(alone, "--refold"))

    def test_a_tape_is_served_while_another_process_records_it(self):
        session = ["--feed", "sim:l3", "--input", "seed=9,symbols=20,messages=60000"]
        tape = self.path("tape")
        recorder = start("record", *session, "--tape", tape, "--rate", "30000")
        until(lambda: run("tape", "info", "--tape", tape).returncode == 0, "the tape")
        served = Served("--tape", tape, env=settings())
        recorder.communicate(timeout=100)
        self.assertEqual(recorder.returncode, 0)
        until(lambda: sum(p["events"]["read"] for p in served.get("/v1/positions")) >= 60000, "the whole session")
        served.end(self)
        self.assertEqual(dump(tape), dump(tape, "--refold"))


if __name__ == "__main__":
    unittest.main()
