"""What the browser tests share: a headless Chromium, servers as child processes, and conditions with a deadline."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
TIMEOUT_MS = 20_000


class Console:
    """Everything the page complains of. A test that provokes an answer of 400 expects Chromium's line about it."""

    def __init__(self, page: Page):
        self.lines: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: message.type in ("error", "warning") and self.lines.append(message.text))
        page.on("pageerror", lambda error: self.lines.append(f"uncaught: {error}"))

    def expect_clean(self) -> None:
        assert not self.lines, "the page complained:\n  " + "\n  ".join(self.lines)

    def take(self, pattern: str) -> int:
        """Removes the lines that match, and says how many."""
        kept = [line for line in self.lines if not re.search(pattern, line)]
        count = len(self.lines) - len(kept)
        self.lines = kept
        return count


@contextmanager
def chromium():
    path = shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, url: str, width: int = 1280, height: int = 800):
    """A page, its console, and the promise that it asked nobody but `url`'s host for anything."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    origin = "/".join(url.split("/")[:3])
    console = Console(page)
    page.on("request", lambda request: request.url.startswith(origin) or console.foreign.append(request.url))
    try:
        page.goto(url)
        yield page, console
        assert not console.foreign, f"the page asked other hosts: {console.foreign}"
    finally:
        context.close()


class Server:
    """A child that prints http://127.0.0.1:PORT when it listens."""

    def __init__(self, *command: str, deadline_s: float = 60):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self.url: str | None = None
        self.listening = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        if not self.listening.wait(deadline_s) or self.url is None:
            self.stop()
            raise AssertionError(f"{' '.join(command)} did not listen:\n{''.join(self.lines)}")

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found and self.url is None:
                self.url = found[0]
                self.listening.set()
        self.listening.set()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def mock(*options: str) -> Server:
    return Server(sys.executable, "-u", str(HERE / "mock_server.py"), *options)


def get(url: str):
    """JSON of `url`, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def wait_for(condition, what: str, deadline_s: float = 30):
    """Asks `condition` until it gives something true, which is returned."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain: {what}")
        threading.Event().wait(0.05)


LADDER = """() => {
  const side = (id) => [...document.querySelectorAll(`#${id} .level`)].filter((row) => !row.hidden).map((row) => ({
    price: row.querySelector(".price").textContent,
    size: row.querySelector(".size").textContent,
    orders: row.querySelector(".orders").textContent,
  }));
  const box = document.getElementById("ladder").dataset;
  return { bids: side("bids"), asks: side("asks"), position: box.position ?? null, digest: box.digest ?? null };
}"""


def ladder(page: Page) -> dict:
    """The book as the page shows it, best first."""
    return page.evaluate(LADDER)


def as_shown(book: dict, depth: int = 20) -> dict:
    """A book of the interface as the page should show it."""
    def side(levels):
        return [
            {"price": l["price"], "size": l["size"], "orders": "–" if l["orders"] is None else str(l["orders"])}
            for l in levels[:depth]
        ]
    position = book["position"]
    return {
        "bids": side(book["bids"]), "asks": side(book["asks"]),
        "position": f'{position["partition"]}:{position["offset"]}:{position["index"]}', "digest": book["digest"],
    }


def until(page: Page, expression: str) -> None:
    """Waits for a condition in the page. The page's policy forbids Playwright's own way, which evaluates text in it."""
    end = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {expression}")
        page.wait_for_timeout(20)


def ready(page: Page) -> None:
    """Book, candles, symbols and status have arrived."""
    page.wait_for_selector("#symbol-rows tr[data-symbol]", state="attached")
    page.wait_for_selector("#ladder[data-position]")
    until(page, "Number(document.getElementById('chart').dataset.bars) > 0")
    page.wait_for_selector("#partitions .chip")
    until(page, "!document.body.classList.contains('seeking')")


def settled(page: Page) -> None:
    """The answer to the last pick has come: a book, or words."""
    until(page, "!document.body.classList.contains('seeking')")


def pick(page: Page, text: str) -> None:
    page.fill("#instant", text)
    page.press("#instant", "Enter")
    settled(page)


def overflow(page: Page) -> list[str]:
    """What sticks out of the window sideways."""
    return page.evaluate("""() => {
      const out = [];
      if (document.documentElement.scrollWidth > innerWidth) out.push(`page: ${document.documentElement.scrollWidth}`);
      for (const element of document.querySelectorAll("main > *, .market > *, .workspace > *, footer")) {
        const box = element.getBoundingClientRect();
        if (getComputedStyle(element).visibility !== "hidden" && box.right > innerWidth + 1) out.push(element.className || element.id);
      }
      return out;
    }""")


def screenshot(page: Page, folder: str | None, name: str) -> None:
    if folder:
        os.makedirs(folder, exist_ok=True)
        page.screenshot(path=os.path.join(folder, f"{name}.png"))


def run_all(tests, *arguments) -> None:
    """Runs each, tells of each, ends with 1 if one failed."""
    import traceback

    failed = 0
    for test in tests:
        title = (test.__doc__ or test.__name__).strip().split("\n")[0]
        try:
            test(*arguments)
            print(f"ok    {title}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {title}\n{traceback.format_exc(limit=4)}", flush=True)
    print(f"{len(tests) - failed} of {len(tests)} passed")
    sys.exit(1 if failed else 0)
