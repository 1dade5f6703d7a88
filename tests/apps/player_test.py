"""Players: a paced replay from the command line, and replays of one's own over HTTP with their streams."""

import base64
import json
import os
import pathlib
import re
import socket
import time
import unittest
import urllib.error
import urllib.request

from engine_process_test import Served, settings
from harness import DEADLINE_S, SEED, ProcessTest, run, until

DAY = "2026-01-05"


class Player(ProcessTest):
    """`replay --speed`: all partitions together, in the order of event time."""

    def setUp(self):
        super().setUp()
        self.tape = self.path("tape")
        self.succeeds("record", "--feed", "sim:l3", "--input", f"seed={SEED},symbols=20,messages=40000",
                      "--date", DAY, "--tape", self.tape)

    def replay(self, name, *arguments):
        files = [pathlib.Path(self.path(name + end)) for end in (".digests", ".csv")]
        done = self.succeeds("replay", "--tape", self.tape, "--digests", files[0], "--candles", files[1], *arguments)
        events = int(re.search(r"replayed (\d+) events", done.stdout).group(1))
        return events, [file.read_text(encoding="utf-8") for file in files]

    def test_a_paced_replay_ends_in_the_state_of_an_unpaced_one(self):
        to = f"{DAY}T09:36:00-05:00"
        for state in (False, True):
            if state:
                self.succeeds("tape", "index", "--tape", self.tape)
            fast = self.replay("fast", "--to", to)
            start = time.monotonic()
            paced = self.replay("paced", "--to", to, "--speed", "1000")
            took = time.monotonic() - start
            self.assertEqual(fast, paced)
            self.assertGreater(fast[0], 300)
            # Six minutes of it, less what there is before the first event.
            self.assertGreater(took, 0.3)
        some = ["--to", "0:5:3", "--symbols", self.first_symbol()]
        # What is before --from is folded at once.
        paced = self.replay("some_paced", *some, "--speed", "1000", "--from", f"{DAY}T15:59:00-05:00")
        self.assertEqual(self.replay("some", *some)[1][0], paced[1][0])

    def first_symbol(self):
        """Of partition 0."""
        for line in self.succeeds("tape", "cat", "--tape", self.tape).stdout.splitlines():
            found = re.search(r'"partition":0,.*"symbol":"([^"]+)"', line)
            if found:
                return found.group(1)
        raise AssertionError("no symbol in partition 0")

    def test_other_settings_change_what_is_said_and_diff_shows_the_first_that_differs(self):
        to = ["--to", f"{DAY}T10:30:00-05:00"]
        as_it_is, changed = self.path("as_it_is"), self.path("changed")
        sets = ["--set", "candles.widths=5s,1m", "--set", "alerts.imbalance_high=0.9"]
        self.succeeds("replay", "--tape", self.tape, "--outputs", as_it_is, *to)
        self.succeeds("replay", "--tape", self.tape, "--outputs", changed, *to, *sets)
        widths = []
        for name in (as_it_is, changed):
            lines = [json.loads(line) for line in pathlib.Path(name).read_text(encoding="utf-8").splitlines()]
            widths.append({line["data"]["width"] for line in lines if line["type"] == "candle"})
        self.assertEqual(widths, [{"1s", "10s", "1m"}, {"5s", "1m"}])
        none = self.succeeds("diff", "--tape", self.tape, "--set", "candles.widths=1s,10s,1m")
        self.assertIn("no difference", none.stdout)
        symbol = self.first_symbol()
        differ = self.run_diff(symbol, *sets)
        self.assertRegex(differ, symbol + r": \d+ outputs equal, then at 0:\d+:\d+\n  as it is: candle .*\n  changed:  ")
        self.assertRegex(differ, r"in all \d+ only as it is, \d+ only changed, \d+ different")
        self.fails(2, "engine.threads", "diff", "--tape", self.tape, "--set", "engine.threads=2")
        self.fails(2, "candles.widths", "replay", "--tape", self.tape, "--set", "candles.widths=never")
        self.fails(2, "KEY=VALUE", "replay", "--tape", self.tape, "--set", "candles.widths")
        self.fails(2, "--other", "diff", "--tape", self.tape)

    def run_diff(self, symbol, *sets):
        done = run("diff", "--tape", self.tape, "--symbols", symbol, *sets)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stdout

    def test_what_cannot_be_played_is_said_with_its_reason(self):
        tape = ["replay", "--tape", self.tape]
        self.fails(2, "--speed", *tape, "--speed", "0")
        self.fails(2, "0.1 to 1000", *tape, "--speed", "1001")
        self.fails(2, "NOBODY", *tape, "--speed", "10", "--symbols", "NOBODY")
        self.fails(2, "last time mark", *tape, "--speed", "10", "--from", "2027-01-01T00:00:00Z")


class Stream:
    """A WebSocket on /v1/stream."""

    def __init__(self, test, served, query, receive_buffer=None):
        host, port = served.url.removeprefix("http://").split(":")
        self.socket = socket.socket()
        test.addCleanup(self.socket.close)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect((host, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET /v1/stream?{query} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                            "\r\n".encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])

    def more(self):
        got = self.socket.recv(1 << 20)
        if not got:
            raise EOFError
        self.buffer += got

    def read(self):
        """The next message; None where the server has closed in order."""
        while True:
            while len(self.buffer) < 2:
                self.more()
            kind, size, start = self.buffer[0] & 15, self.buffer[1] & 127, 2
            if size >= 126:
                start = 4 if size == 126 else 10
                while len(self.buffer) < start:
                    self.more()
                size = int.from_bytes(self.buffer[2:start], "big")
            while len(self.buffer) < start + size:
                self.more()
            body, self.buffer = self.buffer[start:start + size], self.buffer[start + size:]
            if kind == 1:
                return json.loads(body)
            if kind == 9:
                self.socket.sendall(bytes([0x8A, 0x80 | len(body), 0, 0, 0, 0]) + body)
            if kind == 8:
                return None

    def until(self, wanted):
        """Messages up to the first one that is wanted, that one included."""
        messages = []
        while not messages or not wanted(messages[-1]):
            messages.append(self.read())
        return messages

    def close(self):
        self.socket.close()


def ended(message):
    return message["type"] == "replay" and message["data"]["state"] == "ended"


def book_of(messages, symbol):
    """What a subscriber knows of a book after these messages."""
    sides = {"bids": {}, "asks": {}}
    for message in messages:
        data = message["data"]
        if message["type"] not in ("book_snapshot", "book") or data["symbol"] != symbol:
            continue
        if message["type"] == "book_snapshot":
            sides = {"bids": {}, "asks": {}}
        for name, levels in sides.items():
            for level in data[name]:
                if float(level["size"]) == 0:
                    levels.pop(level["price"])
                else:
                    levels[level["price"]] = level["size"]
    order = {"bids": lambda p: -float(p), "asks": float}
    return {name: [(p, levels[p]) for p in sorted(levels, key=order[name])] for name, levels in sides.items()}


def told(book):
    return {name: [(level["price"], level["size"]) for level in book[name]] for name in ("bids", "asks")}


class Replays(ProcessTest):
    """Replays over HTTP: what a stream says is what the engine says."""

    SYMBOLS = 6

    def serve(self, **environment):
        self.tape = self.path("tape")
        self.succeeds("record", "--feed", "sim:l3", "--input",
                      f"seed={SEED},symbols={self.SYMBOLS},messages=20000", "--date", DAY, "--tape", self.tape)
        served = Served("--tape", self.tape, env=settings(**environment)).ready()
        self.addCleanup(lambda: served.process.poll() is None and served.end(self))
        return served

    def send(self, served, method, path, **body):
        data = json.dumps(body).encode() if body else b""
        request = urllib.request.Request(served.url + "/v1/replays" + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def make(self, served, **body):
        status, replay = self.send(served, "POST", "", **body)
        self.assertEqual(status, 201, replay)
        self.assertEqual(replay["state"], "paused")
        return replay["id"]

    def test_a_stream_says_what_the_engine_says(self):
        served = self.serve()
        replay = self.make(served, speed="max")
        stream = Stream(self, served, f"replay={replay}")
        self.assertEqual(stream.status, 101)
        self.assertEqual(self.send(served, "POST", f"/{replay}/play")[0], 200)
        messages = stream.until(ended)
        self.assertEqual([m["seq"] for m in messages if m["type"] == "gap"], [])
        seqs = [m["seq"] for m in messages]
        self.assertEqual(seqs, sorted(seqs))
        for symbol in [s["symbol"] for s in served.get("/v1/symbols")]:
            quoted = urllib.request.quote(symbol)
            book = served.get(f"/v1/symbols/{quoted}/book?depth=10")
            self.assertEqual(book_of(messages, symbol), told(book))
            newest = {}
            for m in messages:
                if m["type"] in ("candle", "correction") and m["data"]["symbol"] == symbol:
                    if m["data"]["width"] == "10s" and m["data"]["state"] == "closed":
                        newest[m["data"]["open_time"]] = m["data"]
            candles = [c for c in served.get(f"/v1/symbols/{quoted}/candles?width=10s") if c["state"] == "closed"]
            self.assertEqual(sorted(newest), [c["open_time"] for c in candles])
            self.assertGreater(len(candles), 10)
            for candle in candles:
                said = newest[candle["open_time"]]
                self.assertEqual({k: v for k, v in said.items() if k != "position"},
                                 {k: v for k, v in candle.items() if k != "position"})
        alerts = [m["data"] for m in messages if m["type"] == "alert"]
        self.assertEqual(len(alerts), len(served.get("/v1/alerts?limit=100000")))
        _, status = self.send(served, "GET", f"/{replay}")
        self.assertEqual(status["state"], "ended")
        self.assertGreater(status["events"], 20000)

    def test_a_seek_shows_the_book_of_the_instant_and_a_step_what_is_next(self):
        served = self.serve()
        symbol = served.get("/v1/symbols")[0]["symbol"]
        quoted = urllib.request.quote(symbol)
        replay = self.make(served, symbols=[symbol], depth=5)
        stream = Stream(self, served, f"replay={replay}&symbols={quoted}&channels=book")
        stream.until(lambda m: m["type"] == "book_snapshot")
        for instant in (f"{DAY}T12:00:00-05:00", f"{DAY}T10:00:00-05:00", "end"):
            status, now = self.send(served, "POST", f"/{replay}/seek", at=instant)
            self.assertEqual(status, 200, now)
            snapshot = stream.until(lambda m: m["type"] == "book_snapshot")[-1]["data"]
            expected = served.get(f"/v1/symbols/{quoted}/book?depth=5&at={urllib.request.quote(instant)}")
            self.assertEqual({k: v for k, v in snapshot.items() if k != "position"},
                             {k: v for k, v in expected.items() if k != "position"})
        self.assertEqual(now["state"], "ended")
        self.send(served, "POST", f"/{replay}/seek", at=f"{DAY}T10:00:00-05:00")
        _, before = self.send(served, "GET", f"/{replay}")
        _, after = self.send(served, "POST", f"/{replay}/step", unit="event", count=3)
        self.assertGreaterEqual(after["events"] - before["events"], 3)
        at = ":".join(str(after["position"][k]) for k in ("partition", "offset", "index"))
        stream.until(lambda m: m["type"] == "replay" and m["data"]["position"] == after["position"])
        self.send(served, "POST", f"/{replay}/seek", at=at)
        snapshot = stream.until(lambda m: m["type"] == "book_snapshot")[-1]["data"]
        self.assertEqual(snapshot["digest"], served.get(f"/v1/symbols/{quoted}/book?at={at}")["digest"])

    def test_a_replay_waits_for_its_subscriber_and_one_that_comes_back_is_told_what_it_missed(self):
        served = self.serve(TAPEDECK_REPLAYS_KEPT_MESSAGES="64")
        # Event by event, so that it is more than what sockets hold.
        replay = self.make(served, speed=1000, depth=100)
        slow = Stream(self, served, f"replay={replay}&channels=book", receive_buffer=4096)
        first = slow.until(lambda m: m["type"] == "book_snapshot")[-1]["seq"]
        self.send(served, "POST", f"/{replay}/play")

        def stands():
            """It has come to a halt before its end."""
            events = self.send(served, "GET", f"/{replay}")[1]["events"]
            time.sleep(0.5)
            now = self.send(served, "GET", f"/{replay}")[1]
            self.assertEqual(now["state"], "playing")
            return 0 < events == now["events"]
        until(stands, "the replay waits")
        seqs = [first] + [slow.read()["seq"] for _ in range(50)]
        slow.close()
        self.send(served, "POST", f"/{replay}/speed", speed="max")
        back = Stream(self, served, f"replay={replay}&channels=book&resume={seqs[-1]}")
        messages = back.until(ended)
        self.assertEqual(seqs, sorted(seqs))
        if messages[0]["type"] == "gap":
            self.assertEqual(messages[0]["data"]["from"], seqs[-1] + 1)
        else:
            self.assertGreater(messages[0]["seq"], seqs[-1])

    def test_there_is_a_limit_and_idle_replays_end(self):
        served = self.serve(TAPEDECK_REPLAYS_MAX="2", TAPEDECK_REPLAYS_IDLE_AFTER="2s")
        kept, idle = self.make(served), self.make(served)
        listener = Stream(self, served, f"replay={kept}")
        status, error = self.send(served, "POST", "")
        self.assertEqual(status, 503)
        self.assertIn("replays.max", error["error"]["message"])
        self.assertIn("tapedeck_replays_refused_total 1", served.metrics())
        until(lambda: "tapedeck_replays_expired_total 1" in served.metrics(), "the idle one ends")
        self.assertEqual(self.send(served, "GET", f"/{idle}")[0], 404)
        self.assertEqual(self.send(served, "GET", f"/{kept}")[0], 200)
        self.assertEqual(self.send(served, "DELETE", f"/{kept}")[0], 200)
        try:
            while listener.read() is not None:
                pass
        except EOFError:
            self.fail("a stream's end is a close, not a cut")
        until(lambda: "tapedeck_replays 0" in served.metrics(), "it has ended")
        self.assertEqual(Stream(self, served, f"replay={kept}").status, 404)
        self.assertEqual(Stream(self, served, "").status, 400)
        status, error = self.send(served, "POST", "", symbols=["NOBODY"])
        self.assertEqual((status, error["error"]["field"]), (404, "symbols"))
        status, error = self.send(served, "POST", "", **{"from": "2030-01-01T00:00:00Z"})
        self.assertEqual((status, error["error"]["field"]), (400, "from"))


if __name__ == "__main__":
    unittest.main()
