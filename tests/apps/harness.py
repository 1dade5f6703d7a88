"""What the process tests share: running the program, temporary folders, reading a tape."""

import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.environ["TAPEDECK"]
SEED = int(os.environ.get("TAPEDECK_TEST_SEED", "1"))
DEADLINE_S = 300


def run(*arguments, **options):
    """Runs the program to its end; text output."""
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          timeout=DEADLINE_S, **options)


def start(*arguments, **options):
    """Starts the program; it is killed with the test program."""
    process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **options)
    atexit.register(lambda: process.poll() is None and process.kill())
    return process


def until(condition, what):
    """Waits until condition() is true; fails after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {DEADLINE_S} s")
        time.sleep(0.005)


def kill_after(process, seconds):
    """SIGKILL unless the process ended before. Returns whether it was killed."""
    try:
        process.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        return True
    finally:
        process.communicate()


def place(tape):
    """The flags of a tape: a folder, or a tuple of flags (a topic)."""
    return ["--tape", tape] if isinstance(tape, str) else list(tape)


def events_by_symbol(tape):
    """Symbol to (events, hash over its events as `tape cat` prints them, positions left out)."""
    found = {}
    with subprocess.Popen([PROGRAM, "tape", "cat", *place(tape)], stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            rest = line.split(b"},", 1)[1]
            if not rest.startswith(b'"symbol":"'):
                continue
            symbol = rest[10:rest.index(b'"', 10)].decode()
            entry = found.setdefault(symbol, [0, hashlib.blake2b(digest_size=16)])
            entry[0] += 1
            entry[1].update(rest)
    assert process.returncode == 0
    return {symbol: (count, digest.hexdigest()) for symbol, (count, digest) in found.items()}


def marks(tape):
    """The marks of each partition in order."""
    found = {}
    for line in run("tape", "cat", *place(tape)).stdout.splitlines():
        record = json.loads(line)
        if record["kind"] == "mark":
            found.setdefault(record["position"]["partition"], []).append(record)
    return found


def info(tape):
    """`tape info` as an object, or None where there is no tape."""
    done = run("tape", "info", *place(tape), "--format", "json")
    return json.loads(done.stdout) if done.returncode == 0 else None


class ProcessTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tapedeck-apps-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.random = random.Random(SEED)
        print(f"{self.id()}: seed {SEED}", file=sys.stderr)

    def path(self, name):
        return os.path.join(self.folder, name)

    def succeeds(self, *arguments, **options):
        done = run(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def fails(self, code, text, *arguments, **options):
        """Exit status and a one-line reason on stderr, nothing else there."""
        done = run(*arguments, **options)
        self.assertEqual(done.returncode, code, done.stderr or done.stdout)
        self.assertTrue(done.stderr.startswith("tapedeck: "), done.stderr)
        self.assertIn(text.lower(), done.stderr.lower())
        return done


def interrupt(process):
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=DEADLINE_S)
