"""The record command: what it takes, what it says, how it ends."""

import gzip
import os
import resource
import signal
import struct
import subprocess
import unittest

from harness import PROGRAM, ProcessTest, events_by_symbol, info, interrupt, marks, run, start, until

DAY = ["--date", "2024-01-02"]


def sim(messages=20000, symbols=10, seed=3):
    return ["--feed", "sim:l3", "--input", f"seed={seed},symbols={symbols},messages={messages}"]


def itch_file(path, orders=200, damage=None, cut=0):
    """A little ITCH session: two symbols and their orders. `damage` puts one unknown message in its middle."""
    out = bytearray()

    def message(body):
        out.extend(struct.pack(">H", len(body)) + body)

    def head(kind, locate, seconds):
        nanoseconds = int(seconds * 1e9)
        return kind + struct.pack(">HH", locate, 0) + nanoseconds.to_bytes(6, "big")

    message(head(b"S", 0, 10000) + b"O")
    for locate, name in ((1, b"AAA     "), (2, b"BBB     ")):
        message(head(b"R", locate, 11000) + name + b"Q" + b"N" + struct.pack(">I", 100) + b"N" + b"C" + b"Z "
                + b"P" + b"N" + b" " + b"1" + b"N" + struct.pack(">I", 0) + b"N")
    for number in range(orders):
        locate = 1 + number % 2
        if number == orders // 2 and damage is not None:
            message(damage)
        message(head(b"A", locate, 34200 + number * 0.01) + struct.pack(">Q", number + 1) + b"B"
                + struct.pack(">I", 100) + (b"AAA     ", b"BBB     ")[locate - 1]
                + struct.pack(">I", 100000 + number))
    data = bytes(out[:len(out) - cut])
    with (gzip.open if path.endswith(".gz") else open)(path, "wb") as file:
        file.write(data)
    return path


class Record(ProcessTest):
    def test_same_source_again_says_so_and_changes_nothing(self):
        tape = self.path("tape")
        self.succeeds("record", *sim(), "--tape", tape)
        before = info(tape)
        again = self.succeeds("record", *sim(), "--tape", tape)
        self.assertIn("already", again.stdout)
        self.assertEqual(info(tape), before)

    def test_linger_and_marks_change_the_cut_only(self):
        plain = self.path("plain")
        self.succeeds("record", *sim(), "--tape", plain)
        expected = events_by_symbol(plain)
        for number, flags in enumerate((["--linger", "0"], ["--linger", "64ev", "--mark-every", "1"],
                                        ["--linger", "1ms"], ["--partitions", "7", "--mark-every", "10ms"],
                                        ["--rate", "400000"])):
            with self.subTest(flags=flags):
                tape = self.path(f"tape{number}")
                self.succeeds("record", *sim(), "--tape", tape, *flags)
                self.assertEqual(events_by_symbol(tape), expected)
        self.assertGreater(info(self.path("tape0"))["records"], 15000)
        self.assertGreater(len(marks(self.path("tape1"))[0]), 200)

    def test_realtime_goes_by_the_events_times(self):
        source = itch_file(self.path("day.itch"), orders=100)
        fast, slow = self.path("fast"), self.path("slow")
        self.succeeds("record", "--feed", "itch", "--input", source, *DAY, "--tape", fast)
        # The orders stand 6.4 hours after the first message: nobody waits for them here.
        process = start("record", "--feed", "itch", "--input", source, *DAY, "--tape", slow, "--rate", "realtime")
        until(lambda: (info(slow) or {"events": 0})["events"] > 0, "the first event")
        out, _ = interrupt(process)
        self.assertEqual(process.returncode, 0)
        self.assertIn("interrupted", out)
        self.assertLess(info(slow)["events"], info(fast)["events"])
        self.succeeds("record", "--feed", "itch", "--input", source, *DAY, "--tape", slow)
        self.assertEqual(events_by_symbol(slow), events_by_symbol(fast))

    def test_gzip_is_the_same_feed(self):
        for name in ("day.itch", "day.itch.gz"):
            itch_file(self.path(name))
            self.succeeds("record", "--feed", "itch", "--input", self.path(name), *DAY, "--tape", self.path("t" + name))
        found = [events_by_symbol(self.path("t" + name)) for name in ("day.itch", "day.itch.gz")]
        self.assertEqual([{s: n for s, (n, _) in f.items()} for f in found], [found_counts(found[0])] * 2)

    def test_symbols_leaves_the_others_out_and_is_a_source_of_its_own(self):
        source = itch_file(self.path("day.itch"))
        tape = self.path("tape")
        done = self.succeeds("record", "--feed", "itch", "--input", source, *DAY, "--tape", tape, "--symbols", "BBB")
        self.assertIn("left out", done.stdout)
        self.assertEqual(list(events_by_symbol(tape)), ["BBB"])
        # All of the day is another source than one symbol of it.
        done = self.succeeds("record", "--feed", "itch", "--input", source, *DAY, "--tape", tape)
        self.assertNotIn("already", done.stdout)
        self.assertEqual(len(info(tape)["sources"]), 2)

    def test_a_bad_message_is_a_dead_letter_and_the_recording_goes_on(self):
        source = itch_file(self.path("day.itch"), damage=b"\x01garbage")
        tape = self.path("tape")
        done = self.succeeds("record", "--feed", "itch", "--input", source, *DAY, "--tape", tape)
        self.assertIn("1 inputs could not be decoded", done.stdout)
        letters = info(tape)["dead_letters"]
        self.assertEqual([bytes.fromhex(letter["bytes"])[-8:] for letter in letters], [b"\x01garbage"])
        good = self.path("good")
        self.succeeds("record", "--feed", "itch", "--input", itch_file(self.path("good.itch")), *DAY, "--tape", good)
        self.assertEqual(info(tape)["events"], info(good)["events"])

    def test_interrupt_ends_cleanly_and_the_next_run_goes_on(self):
        for number, sent in enumerate((signal.SIGINT, signal.SIGTERM)):
            tape = self.path(f"tape{number}")
            process = start("record", *sim(), "--tape", tape, "--rate", "4000")
            until(lambda: (info(tape) or {"events": 0})["events"] > 300, "some events")
            process.send_signal(sent)
            out, errors = process.communicate(timeout=60)
            self.assertEqual((process.returncode, errors), (0, ""))
            self.assertIn("run the same command again to go on", out)
            self.assertFalse(info(tape)["sources"][0]["complete"])
            done = self.succeeds("record", *sim(), "--tape", tape)
            self.assertIn("went on after message", done.stdout)
            whole = self.path(f"whole{number}")
            self.succeeds("record", *sim(), "--tape", whole)
            self.assertEqual(events_by_symbol(tape), events_by_symbol(whole))


def found_counts(found):
    return {symbol: count for symbol, (count, _) in found.items()}


class RecordRefuses(ProcessTest):
    def record(self, *arguments):
        return ["record", *arguments, "--tape", self.path("tape")]

    def refused(self, code, text, *arguments):
        self.fails(code, text, *self.record(*arguments))
        self.assertFalse(os.path.exists(self.path("tape")), "a tape was left behind")

    def test_missing_input(self):
        missing = self.path("nothing.itch")
        self.refused(3, f"{missing}: No such file", "--feed", "itch", "--input", missing, *DAY)

    def test_directory_as_input(self):
        self.refused(2, f"{self.folder} is a directory", "--feed", "itch", "--input", self.folder, *DAY)

    def test_input_that_is_no_itch(self):
        noise = self.path("noise.itch")
        with open(noise, "wb") as file:
            file.write(bytes(self.random.randrange(256) for _ in range(100000)))
        self.refused(2, noise, "--feed", "itch", "--input", noise, *DAY)

    def test_unknown_feed(self):
        self.refused(2, "unknown feed 'tape8'", "--feed", "tape8", "--input", "x")

    def test_missing_and_bad_date(self):
        source = itch_file(self.path("day.itch"))
        self.refused(2, "--date", "--feed", "itch", "--input", source)
        for date in ("2024-02-30", "yesterday", "2024-1-2", "20240102"):
            self.refused(2, "--date", "--feed", "itch", "--input", source, "--date", date)

    def test_bad_timezone(self):
        source = itch_file(self.path("day.itch"))
        self.refused(2, "Mars/Olympus", "--feed", "itch", "--input", source, *DAY, "--timezone", "Mars/Olympus")

    def test_bad_flags_name_the_flag(self):
        for flag, value in (("--rate", "fast"), ("--rate", "0"), ("--linger", "soon"), ("--linger", "-1"),
                            ("--mark-every", "x"), ("--partitions", "0"), ("--partitions", "100000")):
            with self.subTest(flag=flag, value=value):
                self.refused(2, flag, *sim(), f"{flag}={value}")
        self.fails(2, "--tape", "record", *sim())
        self.fails(2, "subcommand")
        self.refused(2, "--colour", *sim(), "--colour", "red")

    def test_another_partition_count_than_the_tape_has(self):
        self.succeeds(*self.record(*sim(), "--partitions", "3"))
        done = run(*self.record(*sim(seed=9), "--partitions", "5"))
        self.assertIn(done.returncode, (2, 3))
        self.assertIn("partition", done.stderr)
        self.assertEqual(len(info(self.path("tape"))["sources"]), 1)

    def test_truncated_input_keeps_what_is_whole(self):
        source = itch_file(self.path("cut.itch"), cut=11)
        tape = self.path("tape")
        done = run(*self.record("--feed", "itch", "--input", source, *DAY))
        self.assertIn("decoded", done.stdout + done.stderr)
        whole = self.path("whole")
        self.succeeds("record", "--feed", "itch", "--input", itch_file(self.path("whole.itch")), *DAY, "--tape", whole)
        self.assertEqual(info(tape)["events"], info(whole)["events"] - 1)
        self.assertEqual(len(info(tape)["dead_letters"]), 1)

    def test_second_writer(self):
        tape = self.path("tape")
        first = start("record", *sim(), "--tape", tape, "--rate", "2000")
        until(lambda: (info(tape) or {"events": 0})["events"] > 0, "the first event")
        self.fails(3, tape, "record", *sim(seed=8), "--tape", tape)
        self.assertIsNone(first.poll())
        interrupt(first)
        self.assertEqual(first.returncode, 0)
        self.assertEqual(len(info(tape)["sources"]), 1)

    @unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), "needs a user without rights")
    def test_folder_without_write_permission(self):
        folder = self.path("readonly")
        os.mkdir(folder)
        os.chmod(folder, 0o555)
        os.chmod(self.folder, 0o755)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run([*as_nobody, PROGRAM, "record", *sim(), "--tape", os.path.join(folder, "tape")],
                              capture_output=True, text=True, timeout=60)
        if done.returncode == 126 or done.returncode == 127:
            self.skipTest("the program lies where others may not run it")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("permission", done.stderr.lower())
        os.chmod(folder, 0o755)
        self.assertEqual(os.listdir(folder), [])

    def test_a_file_where_the_tape_should_be(self):
        with open(self.path("tape"), "w", encoding="ascii") as file:
            file.write("not a folder")
        done = run(*self.record(*sim()))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(self.path("tape"), done.stderr)

    def test_full_disk_ends_with_a_remedy_and_the_next_run_goes_on(self):
        tape = self.path("tape")

        def small_disk():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))

        flags = [*sim(messages=100000), "--linger", "500"]
        done = subprocess.run([PROGRAM, "record", *flags, "--tape", tape], capture_output=True, text=True, timeout=60,
                              preexec_fn=small_disk)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("run the same command again", done.stderr)
        self.succeeds("record", *flags, "--tape", tape)
        whole = self.path("whole")
        self.succeeds("record", *flags, "--tape", whole)
        self.assertEqual(events_by_symbol(tape), events_by_symbol(whole))
        self.succeeds("tape", "verify", "--tape", tape)


if __name__ == "__main__":
    unittest.main()
