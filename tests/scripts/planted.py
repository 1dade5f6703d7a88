"""What the scripts' tests share: the checkout, and a temporary one with planted files."""
import contextlib
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def tree(files: dict[str, str]):
    """A temporary folder with these files."""
    with tempfile.TemporaryDirectory(prefix="tapedeck-scripts-") as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        yield pathlib.Path(folder)


def run(script: str, *arguments) -> tuple[int, str]:
    """Exit status and output of a Python script of the checkout."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / script, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
