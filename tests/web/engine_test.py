#!/usr/bin/env python3
"""The page against the real engine: engine_test.py TAPEDECK [--screenshots DIR] [--seed N]

Records a synthetic session, serves it, and holds the page's ladder at past instants against what the HTTP interface and the
command line say about the same instants.
"""

import argparse
import json
import random
import shutil
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

from browser import Server, as_shown, chromium, get, ladder, opened, overflow, pick, ready, run_all, screenshot, settled, until, wait_for

SECOND = 10**9
RECORD = ["record", "--feed", "sim:l3", "--input", "seed=7,symbols=20,messages=50000", "--date", "2026-01-05"]


def to_ns(text: str) -> int:
    moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * SECOND + int(text[20:29])


def to_text(ns: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=ns // SECOND)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % SECOND:09d}Z"


class Session:
    """A served tape, the browser, and the two other ways to ask about it."""

    def __init__(self, tapedeck: str, tape: str, url: str, browser, seed: int, shots: str | None):
        self.tapedeck, self.tape, self.url, self.browser, self.shots = tapedeck, tape, url, browser, shots
        self.random = random.Random(seed)
        wait_for(lambda: get(f"{url}/health/ready")["ready"], "the engine is ready", 120)
        self.symbols = sorted(get(f"{url}/v1/symbols"), key=lambda row: -row["events"]["folded"])
        assert len(self.symbols) == 20, [row["symbol"] for row in self.symbols]

    def page(self, fragment: str = "", width: int = 1280, height: int = 800):
        return opened(self.browser, f"{self.url}/{fragment}", width, height)

    def http(self, symbol: str, at: str = "") -> dict:
        query = f"&at={quote(at)}" if at else ""
        return get(f"{self.url}/v1/symbols/{quote(symbol)}/book?depth=20{query}")

    def command(self, symbol: str, at: str) -> dict:
        line = [self.tapedeck, "book", "--tape", self.tape, "--symbol", symbol, "--at", at, "--depth", "20", "--format", "json"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{' '.join(line)}: {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout)

    def candles(self, symbol: str) -> list:
        return get(f"{self.url}/v1/symbols/{quote(symbol)}/candles?width=1m")

    def middle(self, symbol: str) -> str:
        """An instant about half way through the session, at no candle's edge."""
        candles = self.candles(symbol)
        assert len(candles) >= 3, f"{symbol} has {len(candles)} candles"
        return to_text(to_ns(candles[len(candles) // 2]["open_time"]) + 31 * SECOND + 123_456_789)

    def expect_same(self, page, symbol: str, at: str) -> dict:
        """Page, HTTP and command line agree on the book at `at`, which is returned."""
        http, command, seen = self.http(symbol, at), self.command(symbol, at), ladder(page)
        assert http == command, f"{symbol} at {at}:\n  HTTP     {http}\n  command  {command}"
        assert seen == as_shown(http), f"{symbol} at {at}:\n  page  {seen}\n  HTTP  {as_shown(http)}"
        return http


def test_live(on: Session):
    """the page shows the busiest symbol as the engine has it, every part filled, without a complaint"""
    with on.page() as (page, console):
        ready(page)
        busiest = on.symbols[0]["symbol"]
        assert page.inner_text("#symbol-name") == busiest
        assert ladder(page) == as_shown(on.http(busiest))
        positions = get(f"{on.url}/v1/positions")
        assert page.locator("#partitions .chip").count() == len(positions)
        assert page.inner_text("#health") == "ready"
        metrics = get(f"{on.url}/v1/symbols/{busiest}/metrics")
        until(page, "document.querySelector('[data-metric=imbalance]').textContent !== '–'")
        for field in ("imbalance", "weighted_imbalance", "spread", "spread_bps", "vtob", "microprice"):
            assert page.get_attribute(f"[data-metric={field}]", "title") == metrics[field], field
        assert overflow(page) == []
        screenshot(page, on.shots, "engine-live-1280x800")
        console.expect_clean()


def test_instant(on: Session):
    """what did the book look like then: page, HTTP and command line give one answer"""
    symbol = on.symbols[0]["symbol"]
    at = on.middle(symbol)
    with on.page(f"#symbol={symbol}&width=10s") as (page, console):
        ready(page)
        pick(page, at)
        until(page, "document.getElementById('mode').dataset.mode === 'past'")
        book = on.expect_same(page, symbol, at)
        assert book["bids"] and book["asks"], "the middle of a session has orders on both sides"
        assert to_ns(book["event_time"]) <= to_ns(at)
        assert book["digest"] != on.http(symbol)["digest"], "the past is not the present"
        banner = page.inner_text("#mode")
        position = "{partition}:{offset}:{index}".format(**book["position"])
        for part in (at[:10], at[11:29], position, book["digest"][:10]):
            assert part in banner, f"{part!r} is not in {banner!r}"
        until(page, f"document.getElementById('chart').dataset.instant === '{to_ns(at)}'")
        screenshot(page, on.shots, "engine-as-of-1280x800")
        console.expect_clean()


def test_random_instants(on: Session):
    """random symbols at random nanoseconds of the session, by link and by picker"""
    for row in on.random.sample(on.symbols, 5):
        symbol = row["symbol"]
        candles = on.candles(symbol)
        if not candles:
            continue
        first, last = to_ns(candles[0]["open_time"]), to_ns(row["event_time"])
        link, typed = (to_text(on.random.randint(first, last)) for _ in range(2))
        with on.page(f"#symbol={quote(symbol)}&width=1m&at={link}") as (page, console):
            ready(page)
            on.expect_same(page, symbol, link)
            pick(page, typed)
            on.expect_same(page, symbol, typed)
            console.expect_clean()


def test_positions(on: Session):
    """a book's position, typed into the picker, gives the same book again"""
    symbol = on.symbols[1]["symbol"]
    at = on.middle(symbol)
    with on.page(f"#symbol={symbol}") as (page, console):
        ready(page)
        position = on.http(symbol, at)["position"]
        whole = "{partition}:{offset}:{index}".format(**position)
        pick(page, whole)
        book = on.expect_same(page, symbol, whole)
        assert book["digest"] == on.http(symbol, at)["digest"]
        assert book["position"] == position
        pick(page, f"offset:{position['offset']}")
        on.expect_same(page, symbol, f"offset:{position['offset']}")
        console.expect_clean()


def test_beyond(on: Session):
    """an instant beyond the tape is refused in the engine's words"""
    symbol = on.symbols[0]["symbol"]
    at = "2031-01-01T00:00:00.000000000Z"
    with on.page(f"#symbol={symbol}") as (page, console):
        ready(page)
        pick(page, at)
        page.wait_for_selector("#picker-error:not([hidden])")
        assert page.inner_text("#picker-error") == on.http(symbol, at)["error"]["message"]
        assert ladder(page)["bids"] == []
        screenshot(page, on.shots, "engine-refused-1280x800")
        assert console.take("status of 400") == 1
        console.expect_clean()


def test_candle_click(on: Session):
    """a click on a candle shows the book as of its opening"""
    symbol = on.symbols[0]["symbol"]
    with on.page(f"#symbol={symbol}&width=1m") as (page, console):
        ready(page)
        box = page.locator("#chart").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
        until(page, "document.getElementById('mode').dataset.mode === 'past'")
        settled(page)
        at = page.input_value("#instant")
        assert at in {candle["open_time"] for candle in on.candles(symbol)}
        on.expect_same(page, symbol, at)
        console.expect_clean()


def test_phone(on: Session):
    """the same answer on a phone"""
    symbol = on.symbols[0]["symbol"]
    at = on.middle(symbol)
    with on.page(f"#symbol={symbol}&at={at}", 390, 844) as (page, console):
        ready(page)
        on.expect_same(page, symbol, at)
        assert overflow(page) == []
        screenshot(page, on.shots, "engine-phone")
        console.expect_clean()


TESTS = [test for name, test in list(globals().items()) if name.startswith("test_")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tapedeck", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--screenshots")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    folder = tempfile.mkdtemp(prefix="tapedeck-web-")
    try:
        tape = f"{folder}/tape"
        done = subprocess.run([arguments.tapedeck, *RECORD, "--tape", tape], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"record: {done.returncode}\n{done.stdout}{done.stderr}"
        with Server(arguments.tapedeck, "serve", "--tape", tape, "--port", "0") as server, chromium() as browser:
            run_all(TESTS, Session(arguments.tapedeck, tape, server.url, browser, arguments.seed, arguments.screenshots))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
