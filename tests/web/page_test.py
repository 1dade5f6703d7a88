#!/usr/bin/env python3
"""The page in a browser, against the stand-in engine: page_test.py [--screenshots DIR]"""

import argparse
from urllib.parse import quote

from browser import as_shown, chromium, get, ladder, mock, opened, overflow, pick, ready, run_all, screenshot, settled, until

INSTANT = "2026-01-05T14:55:31.123456789Z"


class Fixture:
    def __init__(self, browser, url: str, shots: str | None):
        self.browser, self.url, self.shots = browser, url, shots

    def page(self, fragment: str = "", width: int = 1280, height: int = 800):
        return opened(self.browser, f"{self.url}/{fragment}", width, height)

    def book(self, symbol: str, at: str = "") -> dict:
        query = f"&at={quote(at)}" if at else ""
        return get(f"{self.url}/v1/symbols/{symbol}/book?depth=20{query}")

    def expect_book(self, page, symbol: str, at: str = "") -> None:
        want = as_shown(self.book(symbol, at))
        seen = ladder(page)
        assert seen == want, f"{symbol} at {at or 'now'}:\n  page   {seen}\n  engine {want}"


def test_first_sight(on: Fixture):
    """without a hash the busiest symbol is shown, live, with every part filled and nothing cut off"""
    with on.page() as (page, console):
        ready(page)
        symbols = get(f"{on.url}/v1/symbols")
        busiest = max(symbols, key=lambda row: row["events"]["folded"])["symbol"]
        assert page.inner_text("#symbol-name") == busiest
        on.expect_book(page, busiest)
        assert page.inner_text("#mode-tag") == "Live"
        assert page.inner_text("#connection") == "connected"
        assert page.inner_text("#health") == "ready"
        assert page.locator("#partitions .chip").count() == 4
        assert page.inner_text("#restarts").split() == ["restarts", "2"]
        until(page, "document.querySelector('[data-metric=microprice]').textContent !== '–'")
        metrics = get(f"{on.url}/v1/symbols/{busiest}/metrics")
        for field in ("imbalance", "vtob", "spread", "spread_bps", "microprice", "order_flow_imbalance"):
            assert page.get_attribute(f"[data-metric={field}]", "title") == metrics[field], field
        assert overflow(page) == []
        screenshot(page, on.shots, "live-1280x800")
        console.expect_clean()


def test_instant(on: Fixture):
    """a typed instant shows the book as of then, to the nanosecond, with a banner, a mark and a link"""
    with on.page("#symbol=AAPL&width=10s") as (page, console):
        ready(page)
        pick(page, INSTANT)
        until(page, "document.getElementById('mode').dataset.mode === 'past'")
        on.expect_book(page, "AAPL", INSTANT)
        book = on.book("AAPL", INSTANT)
        banner = page.inner_text("#mode")
        position = "{partition}:{offset}:{index}".format(**book["position"])
        for part in ("As of", "2026-01-05 14:55:31.123456789 UTC", position, book["digest"][:10]):
            assert part in banner, f"{part!r} is not in {banner!r}"
        until(page, "document.getElementById('chart').dataset.instant === '1767624931123456789'")
        until(page, f"location.hash === '#symbol=AAPL&width=10s&at={INSTANT}'")
        screenshot(page, on.shots, "as-of-1280x800")
        console.expect_clean()


def test_link(on: Fixture):
    """a link with symbol, width and instant reproduces the view; the way back to now is one click"""
    with on.page(f"#symbol=ZION&width=1s&at={INSTANT}") as (page, console):
        ready(page)
        assert page.inner_text("#symbol-name") == "ZION"
        assert page.is_checked("input[value='1s']")
        assert page.input_value("#instant") == INSTANT
        on.expect_book(page, "ZION", INSTANT)
        assert ladder(page)["asks"][0]["orders"] == "–"
        page.click("#mode-live")
        until(page, "document.getElementById('mode').dataset.mode === 'live'")
        settled(page)
        on.expect_book(page, "ZION")
        until(page, "location.hash === '#symbol=ZION&width=1s'")
        assert page.input_value("#instant") == ""
        console.expect_clean()


def test_forms_of_position(on: Fixture):
    """offset:N, partition:offset, an instant with a zone and a bare time of day are taken"""
    with on.page("#symbol=MSFT") as (page, console):
        ready(page)
        partition = on.book("MSFT")["position"]["partition"]
        forms = {
            "offset:2500": "offset:2500",
            f"{partition}:2600": f"{partition}:2600",
            "2026-01-05T09:50:00.5-05:00": "2026-01-05T14:50:00.500000000Z",
            "14:51:02.25": "2026-01-05T14:51:02.250000000Z",
            "14:52": "2026-01-05T14:52:00.000000000Z",
        }
        for text, meaning in forms.items():
            pick(page, text)
            assert page.get_attribute("#mode", "data-mode") == "past", text
            on.expect_book(page, "MSFT", meaning)
            assert page.get_attribute("#chart", "data-instant") is not None, text
        console.expect_clean()


def test_refusals(on: Fixture):
    """an instant beyond the tape and a text that is none are answered in words, with no book shown"""
    with on.page("#symbol=AMD") as (page, console):
        ready(page)
        for text in ("2026-01-05T23:00:00Z", "the day before", "offset:99999999"):
            pick(page, text)
            page.wait_for_selector("#picker-error:not([hidden])")
            assert page.inner_text("#picker-error") == on.book("AMD", text)["error"]["message"]
            assert page.get_attribute("#instant", "aria-invalid") == "true"
            assert page.get_attribute("#mode", "data-mode") == "failed"
            seen = ladder(page)
            assert seen == {"bids": [], "asks": [], "position": None, "digest": None}, seen
        screenshot(page, on.shots, "refused-1280x800")
        assert console.take("status of 400") == 3
        page.click("#now")
        page.wait_for_selector("#picker-error", state="hidden")
        settled(page)
        on.expect_book(page, "AMD")
        console.expect_clean()


def test_steps_and_slider(on: Fixture):
    """the step buttons move by their second or minute, the slider spans the candles, Now comes back"""
    with on.page(f"#symbol=NVDA&at={INSTANT}") as (page, console):
        ready(page)
        for label, at in (("+1 s", "14:55:32"), ("+1 min", "14:56:32"), ("−1 s", "14:56:31"), ("−1 min", "14:55:31")):
            page.get_by_text(label, exact=True).click()
            settled(page)
            instant = f"2026-01-05T{at}.123456789Z"
            assert page.input_value("#instant") == instant
            on.expect_book(page, "NVDA", instant)
        page.wait_for_selector("#slider:not([disabled])")
        page.evaluate("""() => {
          const slider = document.getElementById("slider");
          slider.value = slider.min;
          slider.dispatchEvent(new Event("input"));
        }""")
        settled(page)
        first = get(f"{on.url}/v1/symbols/NVDA/candles?width=1m")[0]
        assert page.input_value("#instant") == first["open_time"]
        on.expect_book(page, "NVDA", first["open_time"])
        page.focus("#slider")
        page.keyboard.press("ArrowRight")
        settled(page)
        assert page.input_value("#instant") == first["open_time"].replace(":00.", ":01.")
        page.click("#now")
        settled(page)
        assert page.get_attribute("#now", "aria-pressed") == "true"
        console.expect_clean()


def test_chart_click(on: Fixture):
    """a click on a candle picks its opening instant; the width selector keeps symbol and instant"""
    with on.page("#symbol=QCOM&width=1m") as (page, console):
        ready(page)
        box = page.locator("#chart").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
        until(page, "document.getElementById('mode').dataset.mode === 'past'")
        settled(page)
        instant = page.input_value("#instant")
        opens = {candle["open_time"] for candle in get(f"{on.url}/v1/symbols/QCOM/candles?width=1m")}
        assert instant in opens, f"{instant} is no opening of a candle"
        on.expect_book(page, "QCOM", instant)
        for width in ("1s", "10s"):
            page.check(f"input[value='{width}']", force=True)
            until(page, f"location.hash === '#symbol=QCOM&width={width}&at={instant}'")
            until(page, "Number(document.getElementById('chart').dataset.bars) > 60")
            page.wait_for_selector("#chart[data-instant]")
            on.expect_book(page, "QCOM", instant)
        console.expect_clean()


def test_symbol_list(on: Fixture):
    """symbols are searched, sorted by value, coloured by trust, and chosen by mouse and by keys"""
    with on.page("#symbol=AAPL") as (page, console):
        ready(page)
        names = "[...document.querySelectorAll('#symbol-rows tr[data-symbol]')].map((row) => row.dataset.symbol)"
        badges = dict(page.evaluate("[...document.querySelectorAll('#symbol-rows tr[data-symbol]')].map((row) => [row.dataset.symbol, row.querySelector('.badge').dataset.trust])"))
        for row in get(f"{on.url}/v1/symbols"):
            assert badges[row["symbol"]] == row["trust"], row["symbol"]
        page.click("th[data-key=last] button")
        prices = {row["symbol"]: row["last_trade"] for row in get(f"{on.url}/v1/symbols")}
        shown = page.evaluate(names)
        values = [float(prices[name]) for name in shown if prices[name]]
        assert values == sorted(values, reverse=True) and shown[-1] == "NEWCO", shown
        page.click("th[data-key=trust] button")
        assert page.evaluate(names)[0] == "MU"
        page.keyboard.press("/")
        page.keyboard.type("am")
        until(page, f"{names}.every((name) => name.includes('AM'))")
        assert sorted(page.evaluate(names)) == ["AMAT", "AMD", "AMZN"]
        assert page.inner_text("#symbol-count") == "3 of 28"
        page.click("th[data-key=symbol] button")
        page.click("#symbol-rows tr[data-symbol=AMAT]")
        settled(page)
        page.focus("#symbols-scroll")
        page.keyboard.press("ArrowDown")
        until(page, "document.getElementById('symbol-name').textContent === 'AMD'")
        ready(page)
        on.expect_book(page, "AMD")
        page.fill("#search", "nothing like it")
        page.wait_for_selector("#symbols-empty:not([hidden])")
        assert page.inner_text("#symbols-empty") == "No symbol matches the search."
        console.expect_clean()


def test_digest(on: Fixture):
    """the short digest copies the whole one"""
    with on.page(f"#symbol=META&at={INSTANT}") as (page, console):
        ready(page)
        page.click("#digest")
        page.wait_for_selector("#digest[data-copied]")
        assert page.evaluate("navigator.clipboard.readText()") == on.book("META", INSTANT)["digest"]
        console.expect_clean()


def test_empty_symbol(on: Fixture):
    """a symbol without trades and orders says so; an unknown symbol is answered in words"""
    with on.page("#symbol=NEWCO") as (page, console):
        page.wait_for_selector("#ladder[data-position]")
        until(page, "document.getElementById('chart-message').textContent.startsWith('No trades')")
        assert page.inner_text("#ladder-message") == "The book is empty."
        assert page.is_disabled("#slider")
        screenshot(page, on.shots, "empty-1280x800")
        console.expect_clean()
    with on.page("#symbol=NOSUCH") as (page, console):
        page.wait_for_selector("#picker-error:not([hidden])")
        assert "NOSUCH" in page.inner_text("#picker-error")
        assert console.take("status of 404") > 0
        console.expect_clean()


def test_past_metrics(on: Fixture):
    """metrics of a past book follow the engine's formulas: as of the present they are the engine's own"""
    with on.page("#symbol=TXN") as (page, console):
        ready(page)
        metrics = get(f"{on.url}/v1/symbols/TXN/metrics")
        pick(page, metrics["event_time"])
        until(page, "document.querySelector('[data-metric=order_flow_imbalance]').textContent === '–'")
        for field in ("imbalance", "weighted_imbalance", "vtob", "spread", "spread_bps", "microprice"):
            assert page.get_attribute(f"[data-metric={field}]", "title") == metrics[field], field
        console.expect_clean()


def test_phone(on: Fixture):
    """on a phone nothing sticks out, the list is a drawer, and an instant can be picked"""
    with on.page("#symbol=SBUX", 390, 844) as (page, console):
        ready(page)
        assert overflow(page) == []
        assert not page.is_visible("#search")
        page.click("#toggle-symbols")
        page.wait_for_selector("#search", state="visible")
        screenshot(page, on.shots, "phone-symbols")
        page.fill("#search", "cost")
        page.click("#symbol-rows tr[data-symbol=COST]")
        page.wait_for_selector("#search", state="hidden")
        ready(page)
        pick(page, INSTANT)
        on.expect_book(page, "COST", INSTANT)
        assert overflow(page) == []
        screenshot(page, on.shots, "phone")
        console.expect_clean()


TESTS = [test for name, test in list(globals().items()) if name.startswith("test_")]


def connection_lost(browser, shots: str | None) -> None:
    """live prices move, and a server that goes is noticed, as is its return"""
    server = mock()
    port = server.url.rsplit(":", 1)[1]
    try:
        with opened(browser, f"{server.url}/#symbol=VRTX&width=1s") as (page, console):
            ready(page)
            before = ladder(page)["position"]
            until(page, f"document.getElementById('ladder').dataset.position !== '{before}'")
            server.stop()
            until(page, "document.getElementById('connection').textContent === 'connection lost'")
            screenshot(page, shots, "lost-1280x800")
            server = mock("--port", port)
            until(page, "document.getElementById('connection').textContent === 'connected'")
            settled(page)
            console.take("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
            console.expect_clean()
    finally:
        server.stop()


COUNT_REQUESTS = """(() => {
  const running = new Map(), counts = { worst: {}, dropped: 0 };
  const original = window.fetch;
  window.requestCounts = counts;
  window.fetch = (path, options) => {
    const route = path.split("?")[0];
    const more = (running.get(route) ?? 0) + 1;
    running.set(route, more);
    counts.worst[route] = Math.max(counts.worst[route] ?? 0, more);
    let over = false;
    const end = () => {
      if (!over) running.set(route, running.get(route) - 1);
      over = true;
    };
    options.signal.addEventListener("abort", () => {
      if (!over) counts.dropped += 1;
      end();
    });
    return original(path, options).finally(end);
  };
})()"""


def one_at_a_time(browser) -> None:
    """however slow the engine, a route is never asked twice at once, and a pick drops what it makes stale"""
    with mock("--frozen", "--delay-ms", "700") as server, opened(browser, "about:blank") as (page, console):
        page.add_init_script(COUNT_REQUESTS)
        page.goto(f"{server.url}/#symbol=PEP")
        ready(page)
        for second in range(5):
            with page.expect_request(lambda request: "/book?" in request.url):
                page.fill("#instant", f"2026-01-05T14:40:0{second}Z")
                page.press("#instant", "Enter")
        settled(page)
        want = as_shown(get(f"{server.url}/v1/symbols/PEP/book?depth=20&at=2026-01-05T14:40:04Z"))
        assert ladder(page) == want, "the last pick wins"
        counts = page.evaluate("window.requestCounts")
        assert counts["dropped"] >= 4, counts
        assert set(counts["worst"].values()) == {1}, counts
        console.foreign.clear()
        console.expect_clean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshots")
    parser.add_argument("--only", help="part of a test's name")
    arguments = parser.parse_args()
    with chromium() as browser, mock("--frozen") as server:
        fixture = Fixture(browser, server.url, arguments.screenshots)

        def bound(test, *values):
            def run():
                test(*values)
            run.__doc__, run.__name__ = test.__doc__, test.__name__
            return run

        tests = [bound(test, fixture) for test in TESTS]
        tests.append(bound(connection_lost, browser, arguments.screenshots))
        tests.append(bound(one_at_a_time, browser))
        run_all([test for test in tests if (arguments.only or "") in test.__name__])


if __name__ == "__main__":
    main()
