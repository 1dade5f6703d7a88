"""Outputs on Kafka: whatever is killed when, a reader of committed rows sees each output once, in order."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from engine_process_test import Served, settings
from harness import SEED, info, interrupt, start, until
from kafka_test import CLIENT, KafkaTest, broker, other_python

READ = os.environ["TAPEDECK_TEST_KAFKA_READ"]
ROUNDS = int(os.environ.get("TAPEDECK_TEST_ROUNDS", "8"))
PARTITIONS = 4
SESSION = ["--feed", "sim:l3", "--input", "seed=11,symbols=24,messages=120000"]


def rows(brokers, topic):
    """Symbol to its rows in the topic's order: identity, kind, revision, position, value."""
    done = subprocess.run([READ, brokers, topic], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        record = json.loads(line)
        headers = record["headers"]
        assert headers["schema"] == "1"
        found.setdefault(record["key"], []).append(
            (headers["identity"], headers["kind"], headers["revision"], headers["position"], record["value"]))
    return found


class OutputTest(KafkaTest):
    """One tape; engines whose outputs go to topics of their own."""

    def setUp(self):
        super().setUp()
        self.tape = self.topic()
        self.name = self.tape[3]

    def environment(self, group, **more):
        """Small polls and many checkpoints, so that there is much to be killed in."""
        names = {f"TAPEDECK_OUTPUTS_{kind}": f"{self.name}.{group}.{kind.lower()}"
                 for kind in ("PROCESSED", "ALERTS", "DLQ")}
        names["TAPEDECK_OUTPUTS_SNAPSHOTS"] = f"{self.name}.snapshots"
        return settings(2, 64, TAPEDECK_ENGINE_CHECKPOINT_EVENTS="4000", TAPEDECK_KAFKA_GROUP=f"{self.name}.{group}",
                        TAPEDECK_OUTPUTS_SNAPSHOT_INTERVAL="50ms", TAPEDECK_OUTPUTS_ADOPT_EVENTS="1",
                        **{**names, **more})

    def serve(self, group, state, *arguments, **more):
        return Served(*self.tape, "--state", self.path(state), *arguments, env=self.environment(group, **more))

    def rows(self, group, kind="processed"):
        return rows(self.brokers, f"{self.name}.{group}.{kind}")

    def ends(self):
        return {p["partition"]: p["end"] for p in info(self.tape)["partitions"]}

    def committed(self, *engines):
        """Partition to the committed offset, over all engines that answer."""
        return {p["partition"]: p["committed"] for engine in engines for p in engine.get("/v1/positions")
                if not p["standby"]}

    def until_out(self, *engines):
        ends = self.ends()
        until(lambda: self.committed(*engines) == ends, f"everything to be out ({ends})")

    def undisturbed(self, group="undisturbed", **more):
        """All rows of a run that nobody disturbs."""
        served = self.serve(group, group, **more)
        self.until_out(served)
        served.end(self)
        return self.rows(group)

    def check_equal(self, found, expected):
        self.assertEqual(sorted(found), sorted(expected))
        for symbol, wanted in expected.items():
            identities = [row[0] for row in found[symbol]]
            self.assertEqual(len(identities), len(set(identities)), f"{symbol}: a row stands twice")
            self.assertEqual(found[symbol], wanted, symbol)
        self.assertGreater(sum(map(len, expected.values())), 500)


class ExactlyOnce(OutputTest):
    def record(self):
        self.succeeds("record", *SESSION, *self.tape, "--partitions", PARTITIONS, "--linger", "500", "--mark-every",
                      "2000")

    def kill_in_delivery(self, group, **more):
        """ROUNDS kills, each while rows leave: some offsets were committed since the start, not all."""
        ends = sum(self.ends().values())
        done = 0
        for number in range(ROUNDS):
            served = self.serve(group, "state", TAPEDECK_OUTPUTS_MAX_ROWS="5", **more)
            target = max(done + 1, ends * (number + self.random.random()) / ROUNDS)
            until(lambda: sum(self.committed(served).values()) >= min(target, ends), "commits")
            done = sum(self.committed(served).values())
            served.process.kill()
            served.process.communicate()
            self.assertLess(done, ends, "all was out before the kill")

    def test_an_engine_killed_at_random_moments_says_each_output_once_in_order(self):
        self.record()
        expected = self.undisturbed()
        self.kill_in_delivery("killed")
        served = self.serve("killed", "state")
        self.until_out(served)
        served.end(self)
        self.check_equal(self.rows("killed"), expected)
        # Nothing of the state is needed to know what is out already.
        subprocess.run(["rm", "-rf", self.path("state")], check=True)
        served = self.serve("killed", "state")
        self.until_out(served)
        served.end(self)
        self.check_equal(self.rows("killed"), expected)

    def test_a_symbol_that_throws_holds_the_commit_back_until_it_has_said_everything(self):
        self.record()
        expected = self.undisturbed()
        cat = self.succeeds("tape", "cat", *self.tape, "--records", "--limit", 400)
        records = [record for record in map(json.loads, cat.stdout.splitlines()) if record.get("symbol")]
        faults = []
        for record in self.random.sample(records, 5):
            at = record["position"]
            faults.append(f"{record['symbol']}@{at['partition']}:{at['offset']}:1*2")
        served = self.serve("faults", "state", TAPEDECK_FAULT=",".join(faults))
        self.until_out(served)
        self.assertIn("fault point", json.dumps(served.get("/v1/supervision")))
        served.end(self)
        self.check_equal(self.rows("faults"), expected)

    def test_idempotent_delivery_may_repeat_rows_and_their_identity_says_so(self):
        self.record()
        expected = self.undisturbed()
        how = {"TAPEDECK_OUTPUTS_DELIVERY": "idempotent"}
        self.kill_in_delivery("idempotent", **how)
        served = self.serve("idempotent", "state", **how)
        self.until_out(served)
        served.end(self)
        once = {symbol: list(dict.fromkeys(found)) for symbol, found in self.rows("idempotent").items()}
        self.check_equal({symbol: sorted(found) for symbol, found in once.items()},
                         {symbol: sorted(found) for symbol, found in expected.items()})

    def test_rows_say_what_the_command_line_says(self):
        self.record()
        expected = self.undisturbed()
        symbol = sorted(expected)[0]
        newest = {}
        for _, kind, _, _, value in expected[symbol]:
            row = json.loads(value)
            if kind == "candle" and row["width"] == "10s":
                newest[row["open_time"]] = row
        command = self.succeeds("candles", *self.tape, "--state", self.path("undisturbed"), "--symbol", symbol,
                                "--width", "10s", "--format", "json")
        closed = [candle for candle in json.loads(command.stdout) if candle["state"] == "closed"]
        self.assertGreater(len(closed), 3)
        self.assertEqual(closed, [newest[time] for time in sorted(newest)])


class LiveTest(OutputTest):
    """A recorder that goes on while engines of one group come and go."""

    partitions = PARTITIONS
    node_settings = {}

    def setUp(self):
        super().setUp()
        self.succeeds("topics", "create", *self.tape, "--partitions", self.partitions)
        self.nodes = {}

    def start_recorder(self, session, rate):
        return start("record", *session, *self.tape, "--linger", "200", "--mark-every", "500", "--rate", rate)

    def start_node(self, name, **more):
        self.nodes[name] = self.serve("group", name, **self.node_settings, **more)
        return self.nodes[name]

    def cluster(self):
        done = self.succeeds("cluster", *self.tape, "--format", "json", env=self.environment("group"))
        return json.loads(done.stdout)

    def owned(self, name):
        return set(self.committed(self.nodes[name]))

    def until_shared(self, *names):
        """Every partition has one owner, and each of the engines some."""
        def shared():
            owned = [self.owned(name) for name in names]
            return all(owned) and sorted(p for some in owned for p in some) == list(range(self.partitions))
        until(shared, "each of " + ", ".join(names) + " to own some partitions")

    def finish(self, session, *engines):
        """The recording goes on to its end; then all rows are out, and equal an undisturbed run's."""
        self.succeeds("record", *session, *self.tape)
        self.until_out(*engines)
        ends = [interrupt(engine.process) for engine in engines]
        for engine, (out, err) in zip(engines, ends):
            self.assertEqual(engine.process.returncode, 0, out + err)
        self.check_equal(self.rows("group"), self.undisturbed())
        folder = self.path("alone")
        self.succeeds("record", *session, "--tape", folder)
        self.assertEqual(self.digests(self.tape), self.digests(folder))
        return ["".join(texts) for texts in ends]


class Group(LiveTest):
    session = ["--feed", "sim:l3", "--input", "seed=12,symbols=24,messages=200000"]

    def test_partitions_are_shared_and_move_without_a_gap_or_a_repeat(self):
        recorder = self.start_recorder(self.session, 8000)
        first = self.start_node("a")
        until(lambda: len(self.owned("a")) == PARTITIONS, "one engine to own all")
        second = self.start_node("b")
        self.until_shared("a", "b")
        shown = self.cluster()
        self.assertEqual(shown["state"], "Stable")
        self.assertEqual(sorted(sorted(node["partitions"]) for node in shown["nodes"]),
                         sorted([sorted(self.owned("a")), sorted(self.owned("b"))]))
        self.assertEqual([p["partition"] for p in shown["partitions"]], list(range(PARTITIONS)))
        self.check_forwarding(first, second)
        first.process.kill()
        first.process.communicate()
        until(lambda: len(self.owned("b")) == PARTITIONS, "the other engine to own all")
        self.start_node("c")
        self.until_shared("b", "c")
        second.end(self)  # in order: its partitions go to c, from b's last commit
        until(lambda: len(self.owned("c")) == PARTITIONS, "the last engine to own all")
        recorder.kill()
        recorder.communicate()
        self.finish(self.session, self.nodes["c"])
        self.assertEqual([p["lag"] for p in self.cluster()["partitions"]], [0] * PARTITIONS)

    def check_forwarding(self, first, second):
        """Whoever is asked, the owner answers; a question that was forwarded once is not again."""
        def everywhere():
            names = [{found["symbol"] for found in node.get("/v1/symbols")} for node in (first, second)]
            answers = [node.status(f"/v1/symbols/{symbol}/{what}") for node in (first, second)
                       for symbol in names[0] | names[1] for what in ("book", "candles?width=1s")]
            for status, body in answers:
                if status != 200:
                    self.assertEqual(status, 503)
                    self.assertIn("recovering", body["error"]["message"])
            return all(names) and all(status == 200 for status, _ in answers)
        until(everywhere, "both engines to answer for every symbol")
        symbol = first.get("/v1/symbols")[0]["symbol"]
        request = urllib.request.Request(second.url + f"/v1/symbols/{symbol}/book", headers={"X-Tapedeck-Forwarded": "1"})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        self.assertEqual(refused.exception.code, 503)
        self.assertIn("another engine", refused.exception.read().decode())

    def test_a_frozen_owner_that_wakes_up_changes_nothing(self):
        recorder = self.start_recorder(self.session, 8000)
        first, second = self.start_node("a"), self.start_node("b")
        self.until_shared("a", "b")
        first.process.send_signal(signal.SIGSTOP)
        until(lambda: len(self.owned("b")) == PARTITIONS, "the other engine to own all")
        first.process.send_signal(signal.SIGCONT)
        self.until_shared("a", "b")
        recorder.kill()
        recorder.communicate()
        self.finish(self.session, first, second)

    def test_of_two_engines_of_one_name_the_newer_stays(self):
        recorder = self.start_recorder(self.session, 8000)
        older = self.start_node("a", TAPEDECK_KAFKA_NODE="one")
        until(lambda: len(self.owned("a")) == PARTITIONS, "one engine to own all")
        newer = self.start_node("b", TAPEDECK_KAFKA_NODE="one")
        until(lambda: older.process.poll() is not None, "the older engine to end")
        self.assertEqual(older.process.returncode, 3)
        self.assertIn("has another member of the name one: give each engine a kafka.node of its own",
                      older.process.communicate()[1])
        recorder.kill()
        recorder.communicate()
        self.finish(self.session, newer)

    def test_an_engine_that_was_fenced_by_an_attempt_of_its_own_joins_once_more(self):
        python = other_python()
        recorder = self.start_recorder(self.session, 8000)
        engine = self.start_node("a", TAPEDECK_KAFKA_NODE="one")
        until(lambda: len(self.owned("a")) == PARTITIONS, "one engine to own all")
        # What the brokers see of a join that they took late: a member of the name that says no more.
        subprocess.run([python, CLIENT, self.brokers, "join", self.name, f"{self.name}.group", "one"], check=True,
                       timeout=120)
        until(lambda: not self.owned("a"), "the engine to be fenced")
        until(lambda: len(self.owned("a")) == PARTITIONS, "it to own all again")
        recorder.kill()
        recorder.communicate()
        self.finish(self.session, engine)


class Failover(LiveTest):
    """Three engines, twelve partitions: one is killed, one joins; every question is answered throughout."""

    partitions = 12
    session = ["--feed", "sim:l3", "--input", "seed=13,symbols=48,messages=400000"]

    def ask(self, name, symbols):
        """How many of the symbols' books are as of now; the others are recovering, never wrong."""
        current = 0
        for symbol in symbols:
            status, book = self.nodes[name].status(f"/v1/symbols/{symbol}/book?depth=1")
            if status == 200:
                self.assertEqual(book["symbol"], symbol)
                current += book["trust"] != "recovering"
            else:
                self.assertEqual(status, 503, book)
                self.assertIn("recovering", book["error"]["message"])
        return current

    def copies(self):
        """Partition to the nodes that say they keep a copy, and how far each is behind the commit."""
        return {p["partition"]: {copy["node"]: copy["lag"] for copy in p["standby"]}
                for p in self.cluster()["partitions"]}

    def test_a_killed_engines_partitions_serve_again_elsewhere(self):
        self.fail_over()

    def test_with_standbys_they_go_where_they_are_warm(self):
        self.node_settings = {"TAPEDECK_KAFKA_STANDBY": "1"}

        def followed():
            copies = self.copies()
            owners = {p["partition"]: p["node"] for p in self.cluster()["partitions"]}
            return all(len(found) == 1 and owners[p] not in found for p, found in copies.items())

        logs = self.fail_over(lambda: until(followed, "one copy of each partition"))
        gained = [re.findall(r"([1-9]\d*) partitions gained, (\d+) of them warm", log)[-1] for log in logs[:2]]
        self.assertEqual(sum(int(count) for count, _ in gained), self.moved, gained)
        self.assertTrue(all(count == warm for count, warm in gained), gained)

    def fail_over(self, before_kill=lambda: None):
        recorder = self.start_recorder(self.session, 8000)
        for name in "abc":
            self.start_node(name)
        self.until_shared("a", "b", "c")

        def known():
            return sorted({found["symbol"] for name in "abc" for found in self.nodes[name].get("/v1/symbols")})
        until(lambda: len(known()) > 30, "the engines to know most symbols")
        symbols = known()
        until(lambda: self.ask("b", symbols) == len(symbols), "all books at any engine")
        before_kill()
        self.moved = len(self.owned("a"))
        killed = self.nodes.pop("a").process
        begin = time.monotonic()
        killed.kill()
        killed.communicate()

        def assigned():
            self.ask("b", symbols[:6])
            return len(self.owned("b") | self.owned("c")) == self.partitions
        until(assigned, "the others to own all")
        moved = time.monotonic()
        until(lambda: self.ask("c", symbols) == len(symbols), "all books to be as of now")
        ready = time.monotonic()
        print(f"killed, assigned after {moved - begin:.2f} s, all books current {ready - moved:.2f} s later",
              file=sys.stderr)
        self.start_node("d")
        self.until_shared("b", "c", "d")
        until(lambda: self.ask("d", symbols) == len(symbols), "all books at the new engine")
        recorder.kill()
        recorder.communicate()
        return self.finish(self.session, *self.nodes.values())


class Rounds(LiveTest):
    """TAPEDECK_TEST_ROUNDS rounds of kill -9: an engine, the recorder, or the broker; rebalances in between."""

    def setUp(self):
        self.broker_folder = tempfile.mkdtemp(prefix="tapedeck-broker-")
        self.addCleanup(shutil.rmtree, self.broker_folder, ignore_errors=True)
        self.addCleanup(self.own_broker, "stop")
        super().setUp()

    def own_broker(self, command="start"):
        return broker(command, self.broker_folder)

    def start_broker(self):
        return self.own_broker()

    def kill_broker(self):
        with open(os.path.join(self.broker_folder, "pid"), encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        time.sleep(self.random.uniform(0.0, 1.0))  # how long it is away
        self.own_broker()

    def kill_node(self, name):
        process = self.nodes.pop(name).process
        ended = process.poll()
        self.assertIsNone(ended, f"engine {name} ended by itself: {process.communicate() if ended else ''}")
        process.kill()
        process.communicate()
        self.start_node(name)

    def toggle(self, name):
        """An engine more joins, or one leaves for good: partitions move."""
        if name not in self.nodes:
            self.start_node(name)
        elif self.random.random() < 0.5:
            self.nodes.pop(name).end(self)
        else:
            process = self.nodes.pop(name).process
            process.kill()
            process.communicate()

    def test_rounds(self):
        session = ["--feed", "sim:l3", "--input", f"seed={SEED},symbols=24,messages={40000 * max(ROUNDS, 8)}"]
        recorder = self.start_recorder(session, 6000)
        for name in "ab":
            self.start_node(name)
        done = {}
        for number in range(ROUNDS):
            time.sleep(self.random.uniform(0.2, 2.5))  # into the load
            if recorder.poll() == 3:  # a commit was in doubt when the broker died: the next run finds out
                recorder.communicate()
                recorder = self.start_recorder(session, 6000)
            self.assertIsNone(recorder.poll(), "the recording was over before the rounds were")
            # Each kind once, then by chance.
            kinds = ("engine", "recorder", "broker", "rebalance")
            kind = kinds[number] if number < len(kinds) else self.random.choices(kinds, (5, 2, 2, 3))[0]
            done[kind] = done.get(kind, 0) + 1
            print(f"round {number}: {kind}, nodes {sorted(self.nodes)}", file=sys.stderr, flush=True)
            if kind == "engine":
                self.kill_node(self.random.choice("ab"))
            elif kind == "recorder":
                recorder.kill()
                recorder.communicate()
                recorder = self.start_recorder(session, 6000)
            elif kind == "broker":
                self.kill_broker()
            else:
                self.toggle("c")
        print(f"seed {SEED}: {ROUNDS} rounds: {done}", file=sys.stderr)
        recorder.kill()
        recorder.communicate()
        self.finish(session, *self.nodes.values())


if __name__ == "__main__":
    unittest.main()
