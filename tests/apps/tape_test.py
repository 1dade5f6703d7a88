"""tape info, cat and verify."""

import datetime
import json
import os
import shutil
import unittest

from harness import ProcessTest, info, run, start, until

SESSION = ["--feed", "sim:l3", "--input", "seed=2,symbols=12,messages=30000"]


class Tape(ProcessTest):
    def setUp(self):
        super().setUp()
        self.tape = self.path("tape")
        self.succeeds("record", *SESSION, "--tape", self.tape, "--linger", "2000", "--partitions", "3")

    def cat(self, *arguments):
        done = self.succeeds("tape", "cat", "--tape", self.tape, *arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_cat_prints_what_info_counts(self):
        told = info(self.tape)
        lines = self.cat()
        events = [line for line in lines if line["kind"] != "mark"]
        self.assertEqual(len(events), told["events"])
        self.assertEqual(len({line["symbol"] for line in events}), told["symbols"])
        records = self.cat("--records")
        self.assertEqual(sum(1 for record in records if record["kind"] == "events"), told["records"])
        self.assertEqual(sum(record.get("payload_bytes", 0) for record in records), told["payload_bytes"])
        self.assertEqual(len(records), sum(partition["end"] for partition in told["partitions"]))

    def test_cat_is_in_the_order_of_the_tape(self):
        places = [tuple(line["position"].values()) for line in self.cat()]
        self.assertEqual(places, sorted(places))
        self.assertEqual(len(set(places)), len(places))

    def test_cat_of_a_symbol_begins_with_its_session_and_instrument(self):
        symbol = self.cat("--limit", "1")[0]["symbol"]
        lines = self.cat("--symbol", symbol)
        self.assertEqual({line["symbol"] for line in lines}, {symbol})
        self.assertEqual([line["kind"] for line in lines[:2]], ["session", "instrument"])
        self.assertIn("sim:l3", lines[0]["source_name"])
        self.assertEqual(lines[1]["price_exponent"], -4)
        add = next(line for line in lines if line["kind"] == "add")
        self.assertRegex(add["price"], r"^\d+\.\d{4}$")
        sequences = [line["sequence"] for line in lines]
        self.assertEqual(sequences, sorted(sequences))

    def test_bounds_are_inclusive(self):
        everything = self.cat("--partition", "1")
        here = lambda line: (line["position"]["offset"], line["position"]["index"])
        wanted = [line for line in everything if (2, 3) <= here(line) <= (4, 1)]
        self.assertEqual(self.cat("--from", "1:2:3", "--to", "1:4:1"), wanted)
        self.assertEqual(self.cat("--partition", "1", "--from", "offset:3"),
                         [line for line in everything if here(line) >= (3, 0)])
        self.assertEqual(self.cat("--from", "end"), [])
        self.assertEqual(self.cat("--limit", "7"), self.cat()[:7])
        events = [line for line in everything if line["kind"] != "mark"]
        first, last = sorted(line["time"] for line in events)[100:2000:1899]
        self.assertEqual([line for line in self.cat("--partition", "1", "--from", first, "--to", last)
                          if line["kind"] != "mark"],
                         [line for line in events if first <= line["time"] <= last])

    def test_trim_keeps_what_the_engine_needs_and_all_later_answers(self):
        def told_of(*arguments):
            return self.succeeds(*arguments).stdout
        held = told_of("tape", "trim", "--tape", self.tape, "--before", "end")
        self.assertIn("no engine has folded this tape", held)
        self.assertEqual([one["start"] for one in info(self.tape)["partitions"]], [0, 0, 0])
        self.succeeds("tape", "index", "--tape", self.tape)
        self.succeeds("replay", "--tape", self.tape, "--digests", self.path("before"))
        end = info(self.tape)["partitions"][1]["end"]
        symbol = self.cat("--partition", "1", "--limit", "1")[0]["symbol"]
        ask = ["book", "--tape", self.tape, "--symbol", symbol, "--format", "json", "--at"]
        early, late = f"1:{end // 2 - 1}", f"1:{end // 2}"
        book = told_of(*ask, late)
        lines = self.cat("--from", late)
        told = told_of("tape", "trim", "--tape", self.tape, "--before", late)
        self.assertIn(f"partition 1 begins at {end // 2}, it began at 0", told)
        self.assertEqual([one["start"] for one in info(self.tape)["partitions"]], [0, end // 2, 0])
        self.assertEqual(told_of(*ask, late), book)
        for refused in [run(*ask, early), run("tape", "cat", "--tape", self.tape, "--from", early)]:
            self.assertEqual(refused.returncode, 2)
            self.assertIn(f"the first valid position is {late}", refused.stderr)
        self.assertEqual(self.cat("--from", late), lines)
        for _ in range(2):  # the second time with a state that is made again
            self.succeeds("tape", "verify", "--tape", self.tape)
            self.succeeds("verify", "--tape", self.tape)
            self.succeeds("replay", "--tape", self.tape, "--digests", self.path("after"))
            with open(self.path("before")) as before, open(self.path("after")) as after:
                self.assertEqual(after.read(), before.read())
            shutil.rmtree(os.path.join(self.tape, "state"))
            self.succeeds("tape", "index", "--tape", self.tape)
        self.succeeds("tape", "copy", "--tape", self.tape, "--to-tape", self.path("copy"))
        self.succeeds("diff", "--tape", self.tape, "--other", self.path("copy"))
        refused = run("tape", "trim", "--tape", self.tape)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("tape.retention.max_age", refused.stderr)

    def test_retention_trims_by_age(self):
        tape = self.path("aged")
        self.succeeds("record", *SESSION, "--tape", tape, "--linger", "200", "--mark-every", "200")
        self.succeeds("tape", "index", "--tape", tape)
        before = info(tape)
        newest = datetime.datetime.fromisoformat(before["partitions"][0]["feed_time"][:19])
        environment = dict(os.environ, TAPEDECK_TAPE_RETENTION_MAX_AGE="1h")
        done = run("tape", "trim", "--tape", tape, env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(one["start"] > 0 for one in info(tape)["partitions"]))
        cut = (newest - datetime.timedelta(hours=1)).isoformat()
        lines = self.succeeds("tape", "cat", "--tape", tape).stdout.splitlines()
        times = [line["time"] for line in map(json.loads, lines) if line["kind"] != "mark"]
        older = sum(time < cut for time in times)
        self.assertLess(older, 1000)
        self.assertGreater(len(times) - older, 1000)
        self.assertLess(len(times), before["events"] / 2)
        self.succeeds("verify", "--tape", tape)

    def test_bad_questions_name_the_flag(self):
        for flags, text in ((["--partition", "3"], "--partition"), (["--symbol", "NOPE"], "NOPE"),
                            (["--from", "soon"], "--from"), (["--to", "9:1"], "--to"),
                            (["--from", "offset:1"], "--from"), (["--from", "1:0", "--to", "2:0"], "--to")):
            with self.subTest(flags=flags):
                self.fails(2, text, "tape", "cat", "--tape", self.tape, *flags)

    def test_no_tape_there(self):
        for command in ("info", "cat", "verify"):
            done = run("tape", command, "--tape", self.path("nothing"))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(self.path("nothing"), done.stderr)
            self.assertFalse(os.path.exists(self.path("nothing")))

    def test_verify_counts_all_records(self):
        done = self.succeeds("tape", "verify", "--tape", self.tape)
        ends = sum(partition["end"] for partition in info(self.tape)["partitions"])
        self.assertIn(f"{ends} records verified", done.stdout)

    def test_verify_notices_any_flipped_byte_of_the_data(self):
        log = os.path.join(self.tape, "log")
        largest = max((os.path.join(log, name) for name in os.listdir(log) if name.endswith((".sst", ".log"))),
                      key=os.path.getsize)
        size = os.path.getsize(largest)
        self.assertGreater(size, 50000)
        for _ in range(5):
            place = self.random.randrange(size // 10, size // 2)
            with open(largest, "r+b") as file:
                file.seek(place)
                byte = file.read(1)
                file.seek(place)
                file.write(bytes([byte[0] ^ 0x10]))
            with self.subTest(file=largest, place=place):
                self.fails(1, "", "tape", "verify", "--tape", self.tape)
            with open(largest, "r+b") as file:
                file.seek(place)
                file.write(byte)
        self.succeeds("tape", "verify", "--tape", self.tape)

    def test_a_tape_can_be_read_while_it_is_recorded(self):
        tape = self.path("live")
        process = start("record", *SESSION, "--tape", tape, "--rate", "3000")
        seen = []

        def grown():
            told = info(tape)
            if told:
                self.assertEqual(run("tape", "verify", "--tape", tape).returncode, 0)
                seen.append(told["events"])
            return len(set(seen)) >= 4

        until(grown, "the tape's growth")
        self.assertEqual(seen, sorted(seen))
        process.terminate()
        process.communicate()
        self.assertEqual(process.returncode, 0)

    def test_help_and_version(self):
        self.assertRegex(self.succeeds("--version").stdout, r"^tapedeck \d+\.\d+\.\d+\n$")
        for command in ([], ["record"], ["tape"], ["tape", "cat"], ["tape", "info"], ["tape", "verify"]):
            self.assertIn("Usage", self.succeeds(*command, "--help").stdout)


if __name__ == "__main__":
    unittest.main()
