"""record killed at random moments and run again holds the same events as an undisturbed one."""

import time
import unittest

from harness import ProcessTest, events_by_symbol, info, kill_after, marks, start

SESSION = ["--feed", "sim:l3", "--input", "seed=5,symbols=40,messages=150000"]


class RecordKilled(ProcessTest):
    def record(self, tape, linger="64"):
        return ["record", *SESSION, "--tape", tape, "--linger", linger, "--mark-every", "3000"]

    def test_ten_kills_then_the_rest(self):
        undisturbed = self.path("undisturbed")
        began = time.monotonic()
        self.succeeds(*self.record(undisturbed))
        took = time.monotonic() - began
        expected = events_by_symbol(undisturbed)
        self.assertGreaterEqual(sum(count for count, _ in expected.values()), 150000)

        tape = self.path("killed")
        kills = 0
        for _ in range(10):
            moment = self.random.uniform(0.02, took / 4)
            kills += kill_after(start(*self.record(tape)), moment)
        self.assertGreaterEqual(kills, 3, "the recording was over too soon to be killed")
        self.succeeds(*self.record(tape))
        self.assertEqual(events_by_symbol(tape), expected)
        self.assertTrue(info(tape)["sources"][0]["complete"])
        for partition in marks(tape).values():
            cursors = [mark["cursor_messages"] for mark in partition]
            self.assertEqual(cursors, sorted(cursors))
        self.succeeds("tape", "verify", "--tape", tape)

    def test_one_kill_each_on_ten_tapes(self):
        undisturbed = self.path("undisturbed")
        began = time.monotonic()
        self.succeeds(*self.record(undisturbed))
        took = time.monotonic() - began
        expected = events_by_symbol(undisturbed)
        for number in range(10):
            tape = self.path(f"killed{number}")
            moment = self.random.uniform(0.0, took)
            killed = kill_after(start(*self.record(tape)), moment)
            with self.subTest(number=number, moment=moment, killed=killed):
                self.succeeds(*self.record(tape, "1000"))
                self.assertEqual(events_by_symbol(tape), expected)
                again = self.succeeds(*self.record(tape))
                self.assertIn("already", again.stdout)
                self.assertEqual(events_by_symbol(tape), expected)


if __name__ == "__main__":
    unittest.main()
