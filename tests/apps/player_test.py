"""Players: a paced replay from the command line."""

import pathlib
import re
import time
import unittest

from harness import SEED, ProcessTest

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

    def test_what_cannot_be_played_is_said_with_its_reason(self):
        tape = ["replay", "--tape", self.tape]
        self.fails(2, "--speed", *tape, "--speed", "0")
        self.fails(2, "0.1 to 1000", *tape, "--speed", "1001")
        self.fails(2, "NOBODY", *tape, "--speed", "10", "--symbols", "NOBODY")
        self.fails(2, "last time mark", *tape, "--speed", "10", "--from", "2027-01-01T00:00:00Z")


if __name__ == "__main__":
    unittest.main()
