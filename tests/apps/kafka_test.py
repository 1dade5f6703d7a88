"""A tape on Kafka: the same session, the same digests; killed at random moments, nothing lost or doubled."""

import os
import re
import subprocess
import unittest
import uuid

from harness import ProcessTest, events_by_symbol, info, interrupt, kill_after, marks, place, run, start, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "other_client.py")
SESSION = ["--feed", "sim:l3", "--input", "seed=5,symbols=40,messages=150000"]


def broker(command="start", folder=os.environ["TAPEDECK_TEST_KAFKA_DIR"], *more):
    done = subprocess.run([os.path.join(ROOT, "scripts/kafka"), command, "--dir", folder, *more], capture_output=True,
                          text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"scripts/kafka {command} --dir {folder}: {done.stderr}")
    return done.stdout.strip()


def other_python():
    """A Python that has another Kafka client."""
    done = subprocess.run([os.path.join(ROOT, "scripts/kafka"), "client"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class KafkaTest(ProcessTest):
    def setUp(self):
        super().setUp()
        self.brokers = self.start_broker()

    def start_broker(self):
        return broker()

    def topic(self, state=None):
        flags = ["--brokers", self.brokers, "--topic", f"test-{uuid.uuid4().hex[:12]}"]
        return tuple(flags + (["--state", self.path(state)] if state else []))

    def digests(self, tape, *arguments):
        name = self.path(f"digests-{uuid.uuid4().hex}")
        flags = ["--tape", tape] if isinstance(tape, str) else tape
        done = self.succeeds("replay", *flags, "--digests", name, *arguments)
        self.assertIn(" 0 duplicates, 0 refused", done.stdout)
        with open(name, encoding="ascii") as file:
            return file.read()


class Kafka(KafkaTest):
    def test_the_same_session_gives_the_same_digests_and_answers(self):
        folder, topic = self.path("tape"), self.topic("state")
        self.succeeds("record", *SESSION, "--tape", folder, "--linger", "5000")
        self.succeeds("record", *SESSION, *topic, "--linger", "3000", "--partitions", "3")
        again = self.succeeds("record", *SESSION, *topic)
        self.assertIn("already", again.stdout)
        expected = self.digests(folder)
        self.assertEqual(self.digests(topic), expected)
        self.assertEqual(self.digests(topic[:4], "--threads", "2"), expected)  # without a state folder
        self.assertEqual(events_by_symbol(topic), events_by_symbol(folder))
        self.assertIn("no difference", self.succeeds("diff", *topic, "--other", folder).stdout)
        self.succeeds("tape", "verify", *topic)
        self.succeeds("tape", "index", *topic)
        self.assertRegex(self.succeeds("verify", *topic).stdout, r"^40 digests.* 0 differ, 0 bad")
        symbol = expected.split()[0]
        for command in (["book", "--symbol", symbol, "--at", "2024-01-02T14:30:07.123Z", "--depth", "0"],
                        ["candles", "--symbol", symbol, "--width", "10s", "--format", "csv"]):
            answers = [self.succeeds(*command, *flags).stdout for flags in (["--tape", folder], topic)]
            without_position = [re.sub(r"\d+:\d+:\d+  ", "", answer, count=1) for answer in answers]
            self.assertEqual(*without_position)

    def test_a_recorder_killed_at_random_moments_loses_and_doubles_nothing(self):
        folder = self.path("undisturbed")
        self.succeeds("record", *SESSION, "--tape", folder)
        topic = self.topic("state")
        record = ["record", *SESSION, *topic, "--linger", "1000", "--mark-every", "3000"]
        # Paced, so that it cannot be over before it is killed; what is on the tape already is not paced.
        for _ in range(8):
            self.assertTrue(kill_after(start(*record, "--rate", "20000"), self.random.uniform(0.3, 1.2)))
        resumed = self.succeeds(*record).stdout
        self.assertIn("went on after message", resumed)
        self.assertEqual(self.digests(topic), self.digests(folder))
        self.assertEqual(events_by_symbol(topic), events_by_symbol(folder))
        self.assertTrue(info(topic)["sources"][0]["complete"])
        for partition in marks(topic).values():
            cursors = [mark["cursor_messages"] for mark in partition]
            self.assertEqual(cursors, sorted(cursors))
        self.succeeds("tape", "verify", *topic)

    def test_serve_records_and_serves_and_goes_on_after_a_kill(self):
        topic = self.topic("state")
        serve = ["serve", *topic, *SESSION, "--rate", "100000", "--port", "0"]
        process = start(*serve)
        until(lambda: (info(topic) or {"events": 0})["events"] > 20000, "some events")
        process.kill()
        process.communicate()
        process = start(*serve)
        until(lambda: all(s["complete"] for s in (info(topic) or {}).get("sources") or [{"complete": False}]),
              "the session's end")
        interrupt(process)
        self.assertEqual(process.returncode, 0)
        folder = self.path("tape")
        self.succeeds("record", *SESSION, "--tape", folder)
        self.assertEqual(self.digests(topic), self.digests(folder))
        self.assertRegex(self.succeeds("verify", *topic).stdout, " 0 differ, 0 bad")

    def test_a_copy_to_a_topic_and_back_goes_on_after_kills_and_says_the_same(self):
        folder, back, topic = self.path("tape"), self.path("back"), self.topic("state")
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=5,symbols=40,messages=1500000", "--tape", folder,
                      "--linger", "5000", "--mark-every", "1000")
        self.succeeds("tape", "index", "--tape", folder)
        to_topic = ["tape", "copy", "--tape", folder, "--to-brokers", topic[1], "--to-topic", topic[3],
                    "--to-state", topic[5]]
        to_folder = ["tape", "copy", *topic, "--to-tape", back]
        for copy, target in ((to_topic, topic), (to_folder, back)):
            delay, there = 0.06, 0
            while there == 0:  # later each time, until one was killed in the middle
                self.assertTrue(kill_after(start(*copy), delay), "it was over before it was killed")
                there, delay = (info(target) or {"events": 0})["events"], delay + 0.02
            self.assertLess(there, info(folder)["events"])
            kill_after(start(*copy), self.random.uniform(0.05, 0.5))
            self.assertIn("were there already", self.succeeds(*copy).stdout)
            self.assertIn("copied 0 records", self.succeeds(*copy).stdout)
        expected = self.digests(folder)
        for tape in (topic, back):
            self.assertEqual(self.digests(tape), expected)
            self.assertIn("no difference", self.succeeds("diff", *place(tape), "--other", folder).stdout)
            self.succeeds("tape", "verify", *place(tape))
        self.assertEqual(info(back), info(folder))  # offsets too: a folder's have no holes
        self.assertTrue(os.path.isdir(os.path.join(back, "control")))  # fold settings, through T.control
        other = self.path("other")
        self.succeeds("record", "--feed", "sim:l3", "--input", "seed=6,symbols=40,messages=1000", "--tape", other)
        self.fails(2, "something else", "tape", "copy", *topic, "--to-tape", other)
        self.fails(2, "onto itself", "tape", "copy", *topic, "--to-brokers", topic[1], "--to-topic", topic[3])

    def test_a_message_that_does_not_decode_is_a_dead_letter_in_a_topic_of_its_own(self):
        source, topic = self.path("day.itch"), self.topic()
        with open(source, "wb") as file:
            file.write(b"\0\x0cS" + bytes(4) + (36000 * 10**9).to_bytes(6, "big") + b"O")
            file.write(b"\0\x08\x01garbage")
            file.write(b"\0\x0cS" + bytes(4) + (37000 * 10**9).to_bytes(6, "big") + b"C")
        done = self.succeeds("record", "--feed", "itch", "--input", source, "--date", "2024-01-02", *topic)
        self.assertIn("1 inputs could not be decoded", done.stdout)
        letters = info(topic)["dead_letters"]
        self.assertEqual([bytes.fromhex(letter["bytes"])[-8:] for letter in letters], [b"\x01garbage"])

    def test_a_record_of_somebody_else_is_named_and_never_skipped(self):
        topic = self.topic()
        self.succeeds("record", *SESSION, *topic, "--partitions", "1")
        end = info(topic)["partitions"][0]["end"]
        subprocess.run([os.environ["TAPEDECK_TEST_KAFKA_PRODUCE"], self.brokers, topic[3], "0", "AAPL", "noise"],
                       check=True, timeout=60)
        for command in ("replay", "verify"):
            done = run(*(["tape"] if command == "verify" else []), command, *topic)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, rf"record {topic[3]}\[0\]:({end}|{end + 1}) is not one of tapedeck's")


class KafkaRefuses(KafkaTest):
    def test_which_tape_is_asked_for(self):
        self.fails(2, "--tape DIR, or --brokers LIST --topic T", "replay")
        self.fails(2, "no topic", "replay", *self.topic())
        self.fails(2, "--state DIR", "serve", *self.topic())
        self.fails(3, "127.0.0.1:1", "replay", "--brokers", "127.0.0.1:1", "--topic", "any")

    def test_topics_are_made_once_and_keep_their_partitions(self):
        topic = self.topic()
        outputs = {f"TAPEDECK_OUTPUTS_{kind}": f"{topic[3]}.out.{kind.lower()}" for kind in ("PROCESSED", "ALERTS", "DLQ")}
        environment = {**os.environ, **outputs}
        made = self.succeeds("topics", "create", *topic, "--partitions", "3", env=environment).stdout
        names = [f"{topic[3]}.control", f"{topic[3]}.dlq", topic[3], *outputs.values()]
        self.assertEqual(made.split(), [word for name in names for word in ("made", name)])
        self.assertIn("are there", self.succeeds("topics", "create", *topic, env=environment).stdout)
        self.fails(2, "3 partitions", "topics", "create", *topic, "--partitions", "4")
        self.fails(2, "3 partitions", "record", *SESSION, *topic, "--partitions", "4")

    def test_settings_come_from_a_file_and_secrets_are_not_shown(self):
        topic = self.topic()
        settings, secret = self.path("t.toml"), self.path("secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write("s3cret\n")
        with open(settings, "w", encoding="ascii") as file:
            file.write(f'[kafka]\nbrokers = "{topic[1]}"\ntopic = "{topic[3]}"\n'
                       f'[kafka.client]\nsasl.username = "u"\nsasl.password_file = "{secret}"\n')
        self.succeeds("topics", "create", "--config", settings)
        shown = self.succeeds("config", "show", "--config", settings).stdout
        self.assertIn('"sasl.password" = "***"', shown)
        self.assertNotIn("s3cret", shown)
        self.fails(2, "no.such", "topics", "create", "--config", settings,
                   env={**os.environ, "TAPEDECK_KAFKA_CLIENT_NO_SUCH": "s3cret"})


if __name__ == "__main__":
    unittest.main()
