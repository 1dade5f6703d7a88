"""WS /v1/stream without a replay: what the running engine folds, as it does."""

import json
import unittest
import urllib.request

from engine_process_test import Served, settings
from harness import SEED, ProcessTest, start, until
from player_test import Stream, book_of, ended, told

FIRST = f"seed={SEED},symbols=6,messages=20000"
SECOND = f"seed={SEED + 1},symbols=6,messages=30000"


class Subscribers(ProcessTest):
    def record(self, what, *more):
        return ["record", "--feed", "sim:l3", "--input", what, "--tape", self.tape, *more]

    def serve(self, **environment):
        self.tape = self.path("tape")
        self.succeeds(*self.record(FIRST))
        served = Served("--tape", self.tape, env=settings(**environment)).ready()
        self.addCleanup(lambda: served.process.poll() is None and served.end(self))
        return served

    def folded(self, served):
        return sum(p["next"] for p in served.get("/v1/positions"))

    def record_beside(self, served, rate):
        recorder = start(*self.record(SECOND, "--rate", rate))
        self.addCleanup(lambda: recorder.poll() is None and recorder.kill())
        return recorder

    def until_folded(self, served, recorder):
        self.assertEqual(recorder.wait(120), 0, recorder.communicate())
        ends = sum(p["end"] for p in json.loads(self.succeeds("tape", "info", "--tape", self.tape, "--format",
                                                              "json").stdout)["partitions"])
        until(lambda: self.folded(served) >= ends, "everything to be folded")

    def read_up_to(self, stream, served, symbols, before=()):
        """Messages until none comes and the books are the engine's."""
        wanted = {symbol: told(served.get(f"/v1/symbols/{symbol}/book?depth=10")) for symbol in symbols}
        messages = list(before)

        def caught_up():
            stream.socket.settimeout(0.2)
            try:
                while True:
                    messages.append(stream.read())
            except TimeoutError:
                return all(book_of(messages, symbol) == wanted[symbol] for symbol in symbols)

        until(caught_up, "the stream to come to the end")
        return messages

    def check_books(self, served, messages, symbols):
        for symbol in symbols:
            book = served.get(f"/v1/symbols/{symbol}/book?depth=10")
            self.assertEqual(book_of(messages, symbol), told(book), symbol)

    def check_stream(self, **environment):
        served = self.serve(**environment)
        symbols = [s["symbol"] for s in served.get("/v1/symbols")]
        alerts_before = served.get("/v1/alerts?limit=10000")
        stream = Stream(self, served, "")
        self.assertEqual(stream.status, 101)
        messages = [stream.read() for _ in symbols]
        self.assertEqual(sorted(m["data"]["symbol"] for m in messages), sorted(symbols))
        self.assertEqual({m["type"] for m in messages}, {"book_snapshot"})
        recorder = self.record_beside(served, 15_000)
        self.until_folded(served, recorder)
        messages = self.read_up_to(stream, served, symbols, messages)
        self.check_books(served, messages, symbols)
        self.assertEqual([m for m in messages if m["type"] == "gap"], [])
        alerts = [json.dumps(m["data"], sort_keys=True) for m in messages if m["type"] == "alert"]
        self.assertEqual(len(alerts), len(set(alerts)), "an alert was told twice")
        self.assertEqual(len(alerts), len(served.get("/v1/alerts?limit=10000")) - len(alerts_before))
        closed = {}
        for message in messages:
            data = message["data"]
            if message["type"] == "candle" and data["state"] == "closed" and data["width"] == "10s":
                key = (data["symbol"], data["open_time"], data["position"]["offset"])
                self.assertNotIn(key, closed)
                closed[key] = data
        self.assertGreater(len(closed), 100)
        return served, symbols, messages

    def test_a_subscriber_knows_what_the_engine_knows(self):
        served, symbols, messages = self.check_stream()
        # One that comes back goes on behind the last message it had; one with an old token is told so.
        again = Stream(self, served, f"resume={messages[10]['seq']}")
        self.assertEqual(again.read()["seq"], messages[11]["seq"])
        old = Stream(self, served, "resume=5")
        self.assertEqual(old.read()["type"], "gap")
        self.assertEqual(old.read()["type"], "book_snapshot")
        one = Stream(self, served, f"symbols={symbols[0]}&channels=book")
        self.assertEqual(one.read()["data"]["symbol"], symbols[0])
        metrics = urllib.request.urlopen(served.url + "/metrics", timeout=60).read().decode()
        self.assertIn("tapedeck_stream_subscribers 4", metrics)

    def outputs(self, messages, symbol):
        """What the fold said of a symbol, in its order; how often books and open candles are told goes by the clock."""
        return [(m["type"], m["data"]) for m in messages
                if m["type"] in ("candle", "correction", "metrics", "alert", "refusal", "late_trade")
                and m["data"]["symbol"] == symbol and m["data"].get("state") != "open"]

    def post(self, served, path, **body):
        request = urllib.request.Request(served.url + "/v1/replays" + path, data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def test_a_replay_is_the_stream_that_a_live_subscriber_had(self):
        served, symbols, live = self.check_stream()
        replay = self.post(served, "", speed="1000")["id"]
        stream = Stream(self, served, f"replay={replay}")
        # Paced, but not for the hours of the session: the rest as fast as it goes.
        self.post(served, f"/{replay}/play")
        self.post(served, f"/{replay}/speed", speed="max")
        replayed = stream.until(ended)
        for symbol in symbols:
            said, again = self.outputs(live, symbol), self.outputs(replayed, symbol)
            self.assertGreater(len(said), 100)
            self.assertEqual(said, again[-len(said):], symbol)

    def test_symbols_that_fail_and_fold_again_say_nothing_twice(self):
        self.check_stream(TAPEDECK_FAULT="*@1/40#7", TAPEDECK_SUPERVISION_SYMBOL_BUDGET="1000000",
                          TAPEDECK_SUPERVISION_ROOT_BUDGET="1000000",
                          TAPEDECK_SUPERVISION_SYMBOL_BACKOFF_MIN="1ms",
                          TAPEDECK_SUPERVISION_SYMBOL_BACKOFF_MAX="5ms")

    def test_a_slow_subscriber_is_told_of_a_gap_and_never_waited_for(self):
        served = self.serve(TAPEDECK_STREAM_KEPT_MESSAGES="100")
        symbols = [s["symbol"] for s in served.get("/v1/symbols")]
        slow = Stream(self, served, "", receive_buffer=4096)
        recorder = self.record_beside(served, "max")
        self.until_folded(served, recorder)
        messages = self.read_up_to(slow, served, symbols)
        self.assertIn("gap", {m["type"] for m in messages})
        self.check_books(served, messages, symbols)


if __name__ == "__main__":
    unittest.main()
