"""The container files: what can be said about them without an engine to run them in."""
import shutil
import subprocess
import sys
import unittest

from planted import ROOT

VENV = ROOT / "build/venv/bin"
sys.path[:0] = [str(p) for p in (ROOT / "build/venv/lib").glob("python3*/site-packages")]


class Containers(unittest.TestCase):
    def test_hadolint_finds_nothing(self):
        hadolint = shutil.which("hadolint", path=str(VENV)) or shutil.which("hadolint")
        if not hadolint:
            self.skipTest("ABSENT: hadolint (scripts/setup --test installs it)")
        done = subprocess.run([hadolint, ROOT / "docker/Dockerfile"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_image_runs_as_a_user_without_rights_and_says_how_it_is(self):
        text = (ROOT / "docker/Dockerfile").read_text()
        final = text[text.rindex("\nFROM "):]
        for needed in ["USER 10001", "HEALTHCHECK", "/health/live", 'VOLUME ["/tape"]']:
            self.assertIn(needed, final)
        self.assertNotIn("-dev ", final, "the runtime image holds shared libraries only")

    def test_compose_starts_broker_engine_and_prometheus_published_on_loopback_only(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("ABSENT: PyYAML (scripts/setup --test installs it)")
        compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
        services = compose["services"]
        self.assertEqual(set(services), {"kafka", "engine", "prometheus"})
        for name, service in services.items():
            with self.subTest(name):
                self.assertTrue("image" in service or "build" in service)
                for port in service.get("ports", []):
                    self.assertTrue(str(port).startswith("127.0.0.1:"), port)
                for volume in service.get("volumes", []):
                    source = volume.split(":")[0]
                    if source.startswith("."):
                        self.assertTrue((ROOT / "docker" / source).exists(), source)
                    else:
                        self.assertIn(source, compose["volumes"])
        scrape = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())
        targets = [t for job in scrape["scrape_configs"] for s in job["static_configs"] for t in s["targets"]]
        self.assertIn("engine:8080", targets)


if __name__ == "__main__":
    unittest.main()
