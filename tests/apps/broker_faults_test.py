"""What brokers do to a tape: gone for a while, unreachable, another leader (it heals); deleted, cut (it stops, and says so)."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from exactly_once_test import LiveTest
from harness import until
from kafka_test import CLIENT, broker, other_python

AWAY_S = 30
SESSION = ["--feed", "sim:l3", "--input", "seed=17,symbols=24,messages=120000"]
FOREVER = {"retention.ms": "-1", "max.message.bytes": str(2 << 20)}
COMPACTED = {"cleanup.policy": "compact"}


class Proxy:
    """Hands connections on to a port of this machine; refuses them where told to."""

    def __init__(self):
        self.lock, self.sockets, self.target, self.listener = threading.Lock(), [], None, None
        self.port = 0
        self.accept()

    def accept(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port, self.listener = listener.getsockname()[1], listener
        threading.Thread(target=self.serve, args=[listener], daemon=True).start()

    def refuse(self):
        with self.lock:
            sockets, self.sockets = [*self.sockets, self.listener], []
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first
            one.close()

    def serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with self.lock:
                self.sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.copy, args=[source, sink], daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed by refuse()


class BrokerTest(LiveTest):
    """A broker of its own, which can be hurt."""

    def start_broker(self):
        self.folder = tempfile.mkdtemp(prefix="tapedeck-broker-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.own_broker, "stop")
        return self.own_broker()

    def own_broker(self, command="start", name="1", *more):
        return broker(command, os.path.join(self.folder, name), *more)

    def start_all(self):
        """A recorder and an engine that has said something already."""
        self.recorder = self.start_recorder(SESSION, 3000)
        self.engine = self.start_node("a")
        until(lambda: sum(self.committed(self.engine).values()) > 40, "the first outputs to be out")

    def goes_on(self):
        """The engine answers. A recorder that does not know whether its last append arrived says so (3) and goes on
        where it is started again."""
        self.assertIsNone(self.engine.process.poll(), "the engine ended by itself")
        self.engine.get("/v1/positions")
        if self.recorder.poll() == 3:
            self.recorder.communicate()
            self.recorder = self.start_recorder(SESSION, 3000)

    def heals(self):
        """More is recorded and said than before; in the end everything, once."""
        said = sum(self.committed(self.engine).values())

        def more():
            self.goes_on()
            return sum(self.committed(self.engine).values()) > said + 20
        until(more, "more outputs to be out")
        self.recorder.kill()
        self.recorder.communicate()
        self.finish(SESSION, self.engine)


class Heals(BrokerTest):
    def test_a_broker_that_is_gone_for_half_a_minute(self):
        self.start_all()
        self.own_broker("stop")
        back = time.monotonic() + AWAY_S
        while time.monotonic() < back:
            self.goes_on()
        self.own_broker()
        self.heals()


class HealsBehindProxy(BrokerTest):
    def start_broker(self):
        self.proxy = Proxy()
        self.addCleanup(self.proxy.refuse)
        super().start_broker()
        with open(os.path.join(self.folder, "1", "behind"), encoding="ascii") as file:
            self.proxy.target = int(file.read())
        return f"127.0.0.1:{self.proxy.port}"

    def own_broker(self, command="start", name="1", *more):
        more += ("--behind", str(self.proxy.port)) if command == "start" else ()
        return super().own_broker(command, name, *more)

    def test_connections_that_are_refused(self):
        self.start_all()
        self.proxy.refuse()
        back = time.monotonic() + AWAY_S
        while time.monotonic() < back:
            self.goes_on()
        self.proxy.accept()
        self.heals()


class HealsElsewhere(BrokerTest):
    """Two brokers; the second one leads every partition of the tape and of what is said."""

    def start_broker(self):
        self.brokers = super().start_broker()
        warm = self.topic()
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=1,symbols=2,messages=100", *warm)
        self.succeeds("cluster", *warm)  # the cluster's own topics are made, on the first broker
        self.own_broker("start", "2", "--join", os.path.join(self.folder, "1"))
        self.addCleanup(self.own_broker, "stop", "2")
        return self.brokers

    def topic(self, state=None):
        topic = super().topic(state)
        if os.path.exists(os.path.join(self.folder, "2")):
            outputs = [f"{topic[3]}.{group}.{kind}" for group in ("group", "undisturbed")
                       for kind in ("processed", "alerts", "dlq")]
            settings = {name: FOREVER for name in (topic[3], f"{topic[3]}.control", f"{topic[3]}.dlq", *outputs)}
            settings |= {f"{topic[3]}.snapshots": COMPACTED, "tapedeck.members": COMPACTED}
            for name, wanted in settings.items():
                partitions = self.partitions if name == topic[3] else 1
                self.client("create", name, partitions, "2,1", *(f"{key}={value}" for key, value in wanted.items()))
        return topic

    def client(self, command, *arguments):
        subprocess.run([other_python(), CLIENT, self.brokers, command, *map(str, arguments)], check=True, timeout=120)

    def test_a_leader_that_dies(self):
        self.start_all()
        with open(os.path.join(self.folder, "2", "pid"), encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.heals()


class Stops(LiveTest):
    """Each on a topic of its own of the broker that tests share."""

    def client(self, command, *arguments):
        subprocess.run([other_python(), CLIENT, self.brokers, command, *map(str, arguments)], check=True, timeout=120)

    def test_a_topic_that_is_deleted_ends_the_engine_with_a_remedy(self):
        recorder = self.start_recorder(SESSION, 8000)
        engine = self.start_node("a")
        until(lambda: sum(self.committed(engine).values()) > 40, "the first outputs to be out")
        recorder.kill()
        recorder.communicate()
        self.client("delete", self.name)
        until(lambda: engine.process.poll() is not None, "the engine to end")
        self.assertEqual(engine.process.returncode, 3)
        said = engine.process.communicate()[1]
        self.assertIn(self.name, said)
        self.assertRegex(said, "deleted")
        self.assertIn("make it with `tapedeck topics create`", said)
        self.client("create", self.name, self.partitions, "1", *(f"{key}={value}" for key, value in FOREVER.items()))
        # Of another topic of that name nothing is taken for what was there.
        done = self.fails(2, "made anew", "serve", *self.tape, "--state", self.path("a"), "--port", "0",
                          env=self.environment("group"))
        self.assertIn("Delete the folder", done.stderr)

    def test_a_partition_that_retention_has_cut_stops_and_the_others_go_on(self):
        recorder = self.start_recorder(SESSION, 8000)
        engine = self.start_node("a")
        until(lambda: min(self.committed(engine).values(), default=0) > 20, "outputs of each partition to be out")
        engine.end(self)
        del self.nodes["a"]
        recorder.kill()
        recorder.communicate()
        stood = {p["partition"]: p["committed"] for p in self.cluster()["partitions"]}
        self.succeeds("record", *SESSION, *self.tape)
        ends = self.ends()
        self.assertGreater(ends[2], stood[2] + 2)
        expected = self.undisturbed()
        self.client("cut", self.name, 1, 5)  # was folded and is out: the engine does without
        self.client("cut", self.name, 2, stood[2] + 2)

        engine = self.start_node("a")
        others = [p for p in range(self.partitions) if p != 2]
        until(lambda: all(self.committed(engine).get(p) == ends[p] for p in others), "the others to be out")
        status, health = engine.status("/health/ready")
        self.assertEqual(status, 503)
        for words in ("partition 2 is stopped", "retention has cut the topic", "tapedeck tape copy"):
            self.assertIn(words, health["reason"])
        stopped = {p["partition"]: p["stopped"] for p in engine.get("/v1/positions")}
        self.assertIn(f"{self.name}[2]:{stood[2]}", stopped.pop(2))
        self.assertEqual(stopped, {p: None for p in others})
        self.assertEqual(self.committed(engine)[2], stood[2])  # nothing is skipped
        self.assertIn('tapedeck_partition_stopped{partition="2"} 1', engine.metrics())
        self.assertIn('tapedeck_partition_stopped{partition="1"} 0', engine.metrics())
        found = {symbol["symbol"]: symbol for symbol in engine.get("/v1/symbols")}
        trusts = {where: {symbol["trust"] for symbol in found.values() if symbol["position"]["partition"] == where}
                  for where in range(self.partitions)}
        self.assertEqual(trusts[2], {"recovering"})
        self.assertNotIn("recovering", trusts[0] | trusts[1] | trusts[3])
        shown = {p["partition"]: p for p in self.cluster()["partitions"]}
        self.assertEqual([p for p in shown if shown[p]["lost"]], [2])
        self.assertEqual(shown[2]["first"], stood[2] + 2)
        engine.process.send_signal(signal.SIGINT)
        said = engine.process.communicate(timeout=60)[1]
        self.assertEqual(engine.process.returncode, 3, said)
        self.assertIn("partition 2 is stopped", said)
        rows = self.rows("group")
        for symbol, where in {name: one["position"]["partition"] for name, one in found.items()}.items():
            wanted = [row for row in expected[symbol] if where != 2 or int(row[3].split(":")[1]) < stood[2]]
            self.assertEqual(rows[symbol], wanted, symbol)


if __name__ == "__main__":
    unittest.main()
