"""The container files: what can be said about them without an engine to run them in."""
import os
import re
import shutil
import subprocess
import sys
import unittest

from planted import ROOT

VENV = ROOT / "build/venv/bin"
sys.path[:0] = [str(p) for p in (ROOT / "build/venv/lib").glob("python3*/site-packages")]


def libraries(binary: str) -> list[str]:
    """Paths of the shared libraries that the program itself names."""
    headers = subprocess.run(["objdump", "-p", binary], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED\s+(\S+)", headers))
    loaded = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    return [path for name, path in re.findall(r"(\S+) => (\S+)", loaded) if name in needed]


def package_of(path: str) -> str:
    # Debian's /lib is a link to /usr/lib, and packages list either.
    real = os.path.realpath(path)
    for candidate in (path, real, real.removeprefix("/usr"), "/usr" + path):
        found = subprocess.run(["dpkg", "-S", candidate], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return path


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

    def test_the_image_holds_every_library_that_the_program_links_and_no_other(self):
        binary = os.environ.get("TAPEDECK_TEST_BINARY")
        if not binary or not shutil.which("dpkg"):
            self.skipTest("ABSENT: the program (TAPEDECK_TEST_BINARY), or dpkg")
        linked = {package_of(path) for path in libraries(binary)}
        # What Debian's smallest image has anyway.
        linked -= {"libc6", "libgcc-s1", "libstdc++6"}
        text = (ROOT / "docker/Dockerfile").read_text()
        final = text[text.rindex("\nFROM "):]
        install = final[final.index("apt-get install"):].split("&&")[0]
        listed = set(re.findall(r"[a-z][a-z0-9.+-]+", install.split("--no-install-recommends")[1]))
        self.assertEqual(listed - {"tzdata"}, linked)

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
