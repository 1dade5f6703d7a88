"""The shell scripts parse, are executable, and refuse what they do not know."""
import os
import subprocess
import unittest

from planted import ROOT

SCRIPTS = ["scripts/setup", "scripts/demo", "scripts/test", "scripts/check", "scripts/kafka", ".ci/run"]


class ShellScripts(unittest.TestCase):
    def test_each_parses_and_is_executable(self):
        for script in [*SCRIPTS, "scripts/lib.sh"]:
            with self.subTest(script):
                done = subprocess.run(["bash", "-n", ROOT / script], capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
        for script in SCRIPTS:
            with self.subTest(script):
                self.assertTrue(os.access(ROOT / script, os.X_OK))

    def test_an_unknown_argument_is_refused_before_anything_is_done(self):
        for script in ["scripts/setup", "scripts/check", "scripts/kafka"]:
            with self.subTest(script):
                done = subprocess.run([ROOT / script, "--nonsense"], capture_output=True, text=True, timeout=30)
                self.assertEqual(done.returncode, 1)
                self.assertIn("unknown argument '--nonsense'", done.stderr)

    def test_help_says_what_the_script_does(self):
        for script in ["scripts/setup", "scripts/check", "scripts/kafka"]:
            with self.subTest(script):
                done = subprocess.run([ROOT / script, "--help"], capture_output=True, text=True, timeout=30)
                self.assertEqual(done.returncode, 0)
                self.assertTrue(done.stdout.startswith(script), done.stdout)

    def test_parallel_jobs_are_at_least_one_and_at_most_the_processors(self):
        done = subprocess.run(["bash", "-c", f"source {ROOT}/scripts/lib.sh; jobs"], capture_output=True, text=True)
        self.assertIn(int(done.stdout), range(1, (os.cpu_count() or 1) + 1))

    def test_a_failing_step_says_what_failed_and_shows_its_output(self):
        step = f"source {ROOT}/scripts/lib.sh; cd \"$(mktemp -d)\"; logged 'a step' sh -c 'echo its words; exit 3'"
        done = subprocess.run(["bash", "-c", step], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("its words", done.stderr)
        self.assertIn("a step failed", done.stderr)


if __name__ == "__main__":
    unittest.main()
