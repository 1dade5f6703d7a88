#!/usr/bin/env python3
"""A stand-in for the engine's HTTP interface: deterministic answers, history by `at`, and the page itself.

    mock_server.py [--port N] [--dist DIR] [--frozen] [--delay-ms N]

Prints a line with its address when it listens. Everything follows from the symbol and the instant, so the same request
has the same answer. Without --frozen the session's present runs on with the clock; with it nothing moves.
"""

import argparse
import bisect
import hashlib
import json
import random
import re
import time
import urllib.parse
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECOND = 10**9
START = 1767623400 * SECOND  # 2026-01-05T14:30:00Z
AGE = 42 * 60 * SECOND + 123_456_789  # of the session when the server starts
LEVELS = 10
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
WIDTHS = {"1s": SECOND, "10s": 10 * SECOND, "1m": 60 * SECOND}
NAMES = (
    "AAPL ADBE AMAT AMD AMZN AVGO CMCSA COST CSCO GILD GOOGL INTC INTU ISRG META MSFT MU NEWCO NFLX NVDA "
    "PEP QCOM SBUX TSLA TXN VRTX ZION ZYXI"
).split()
TRUST = {"CMCSA": "gapped", "INTC": "resyncing", "MU": "suspect", "TSLA": "recovering"}
WITHOUT_ORDERS = {"ZION"}  # an L2 feed
EMPTY = {"NEWCO"}  # announced, never traded


def format_time(ns: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=ns // SECOND)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % SECOND:09d}Z"


def parse_time(text: str) -> int | None:
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", text)
    if not match:
        return None
    try:
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        return None
    return int(moment.timestamp()) * SECOND + int((match[2] or "").ljust(9, "0"))


def price_text(units: int) -> str:
    return f"{units // 10000}.{units % 10000:04d}"


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, field: str | None):
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message, "field": field}}


class Market:
    """Trades of one symbol, and its book as a function of time."""

    def __init__(self, name: str):
        self.name = name
        self.partition = int(hashlib.md5(name.encode()).hexdigest(), 16) % 4
        rng = random.Random(f"tapedeck {name}")
        price = rng.randrange(15, 900) * 10000
        pace = rng.choice([0.4, 0.8, 1.5, 3.0])
        self.times: list[int] = []
        self.trades: list[tuple[int, int, bool]] = []
        at = START
        while name not in EMPTY and at < START + 6 * 3600 * SECOND:
            at += int(rng.expovariate(1 / pace) * SECOND) + 1
            price = max(20000, price + rng.choice([-300, -200, -100, -100, 0, 0, 100, 100, 200, 300]) * (1 + price // 3_000_000))
            self.times.append(at)
            self.trades.append((price, rng.choice([1, 10, 50, 100, 100, 100, 200, 300, 700]), rng.random() < 0.5))

    def trades_until(self, at: int) -> int:
        return bisect.bisect_right(self.times, at)

    def events(self, at: int) -> int:
        return max(0, (at - START) // (SECOND // 10)) + self.trades_until(at) * 3

    def position(self, at: int) -> dict:
        events = self.events(at)
        return {"partition": self.partition, "offset": events // 4, "index": events % 4}

    def at_offset(self, offset: int) -> int:
        low, high = START, START + 6 * 3600 * SECOND
        while low < high:
            middle = (low + high) // 2
            if self.events(middle) // 4 > offset:
                high = middle
            else:
                low = middle + 1
        return low - 1

    def levels(self, at: int) -> tuple[list, list]:
        count = self.trades_until(at)
        if self.name in EMPTY or count == 0:
            return [], []
        last = self.trades[count - 1][0]
        rng = random.Random(f"{self.name} {self.events(at)}")
        bids, asks = [], []
        for side, sign, out in (("b", -1, bids), ("a", 1, asks)):
            price = last + sign * 100
            for depth in range(25):
                orders = 1 + int(rng.expovariate(0.35))
                size = 100 * orders + rng.randrange(0, 40 * (depth + 1))
                shown = None if self.name in WITHOUT_ORDERS else orders
                out.append((price, size, shown))
                price += sign * 100 * rng.choice([1, 1, 1, 2, 3])
        return [l for l in bids if l[0] > 0], asks

    def digest(self, at: int) -> str:
        return hashlib.md5(f"{self.name} {self.events(at)}".encode()).hexdigest()


def level_json(level) -> dict | None:
    return level and {"price": price_text(level[0]), "size": str(level[1]), "orders": level[2]}


def ratio(numerator: int, denominator: int, exponent: int = 0) -> str | None:
    if denominator == 0:
        return None
    with localcontext() as context:
        context.prec = 80
        value = Decimal(numerator).scaleb(exponent) / Decimal(denominator)
        return str(value.quantize(Decimal("1e-9"), ROUND_HALF_EVEN)) if value else "0.000000000"


class Engine:
    def __init__(self, frozen: bool):
        self.frozen = frozen
        self.born = time.monotonic_ns()
        self.markets = {name: Market(name) for name in NAMES}

    def now(self) -> int:
        return START + AGE + (0 if self.frozen else time.monotonic_ns() - self.born)

    def market(self, name: str) -> Market:
        if name not in self.markets:
            raise Refusal(404, "not_found", f'no symbol "{name}" on this tape', "symbol")
        return self.markets[name]

    def resolve(self, market: Market, at: str) -> int:
        if at in ("", "end"):
            return self.now()
        if match := re.fullmatch(r"offset:(\d+)", at):
            return self.offset(market, market.partition, int(match[1]))
        if match := re.fullmatch(r"(\d+):(\d+)(?::\d+)?", at):
            return self.offset(market, int(match[1]), int(match[2]))
        instant = parse_time(at)
        if instant is None:
            raise Refusal(400, "invalid", f'"{at}" is no position: expected end, offset:N, partition:offset[:index] or an RFC 3339 time', "at")
        if instant > self.now():
            mark = format_time(self.now())
            raise Refusal(400, "out_of_range", f"{at} is past the last time mark of partition {market.partition}, {mark}", "at")
        return instant

    def offset(self, market: Market, partition: int, offset: int) -> int:
        end = market.position(self.now())["offset"]
        if partition != market.partition:
            raise Refusal(400, "invalid", f"{market.name} is in partition {market.partition}, not {partition}", "at")
        if offset > end:
            raise Refusal(400, "out_of_range", f"offset {offset} is past the end of partition {partition}, whose last offset is {end}", "at")
        return market.at_offset(offset)

    def head(self, market: Market, at: int) -> dict:
        trust = TRUST.get(market.name, "clean")
        since = None if trust == "clean" else market.position(START + 600 * SECOND)
        return {
            "symbol": market.name, "position": market.position(at), "event_time": format_time(at),
            "trust": trust, "trust_since": since,
        }

    def book(self, name: str, query: dict) -> dict:
        market = self.market(name)
        at = self.resolve(market, query.get("at", ""))
        depth = int(query.get("depth", "10"))
        bids, asks = market.levels(at)
        return self.head(market, at) | {
            "digest": market.digest(at),
            "bids": [level_json(level) for level in bids[:depth]],
            "asks": [level_json(level) for level in asks[:depth]],
        }

    def metrics(self, name: str) -> dict:
        market = self.market(name)
        at = self.now()
        bids, asks = (side[:LEVELS] for side in market.levels(at))
        volumes = [sum(level[1] for level in side) for side in (bids, asks)]
        weighted = [sum(level[1] * (LEVELS - i) for i, level in enumerate(side)) for side in (bids, asks)]
        both = bool(bids and asks)
        (bid, bid_size, _), (ask, ask_size, _) = (bids[0], asks[0]) if both else ((0, 0, 0), (0, 0, 0))
        return self.head(market, at) | {
            "levels": LEVELS,
            "imbalance": ratio(volumes[0] - volumes[1], sum(volumes)),
            "weighted_imbalance": ratio(weighted[0] - weighted[1], sum(weighted)),
            "spread": price_text(ask - bid) if both else None,
            "spread_bps": ratio((ask - bid) * 20000, bid + ask),
            "vtob": ratio(bid_size + ask_size, sum(volumes)),
            "microprice": ratio(bid * ask_size + ask * bid_size, bid_size + ask_size, -4),
            "order_flow_imbalance": str(volumes[0] - volumes[1]),
        }

    def symbols(self) -> list:
        return [self.symbol(market) for market in self.markets.values()]

    def symbol(self, market: Market) -> dict:
        at = self.now()
        bids, asks = market.levels(at)
        trades = market.trades_until(at)
        events = market.events(at)
        return self.head(market, at) | {
            "feed_time": format_time(at), "digest": market.digest(at),
            "events": {"read": events, "folded": events, "duplicates": 0, "refused": 0, "filtered": 0},
            "best_bid": level_json(bids[0]) if bids else None,
            "best_ask": level_json(asks[0]) if asks else None,
            "last_trade": price_text(market.trades[trades - 1][0]) if trades else None,
            "trades": trades,
        }

    def candles(self, name: str, query: dict) -> list:
        market = self.market(name)
        if query.get("width") not in WIDTHS:
            raise Refusal(400, "invalid", f'no candles of width "{query.get("width")}"; there are {", ".join(WIDTHS)}', "width")
        width = WIDTHS[query["width"]]
        bounds = []
        for field, default in (("from", 0), ("to", 1 << 62)):
            bound = parse_time(query[field]) if field in query else default
            if bound is None:
                raise Refusal(400, "invalid", f'"{query[field]}" is no RFC 3339 time', field)
            bounds.append(bound)
        begin = market.trades_until(-(-bounds[0] // width) * width - 1)
        end = market.trades_until(self.now())
        out: list = []
        for i in range(begin, end):
            opened = market.times[i] // width * width
            if opened >= bounds[1]:
                break
            price, size, buy = market.trades[i]
            if not out or out[-1]["at"] != opened:
                out.append({"at": opened, "prices": [], "volume": 0, "buy": 0, "notional": 0})
            candle = out[-1]
            candle["prices"].append(price)
            candle["volume"] += size
            candle["buy"] += size if buy else 0
            candle["notional"] += price * size
        return [self.candle(market, width, query["width"], candle) for candle in out]

    def candle(self, market: Market, width: int, name: str, candle: dict) -> dict:
        prices = candle["prices"]
        close_time = candle["at"] + width
        return {
            "symbol": market.name, "width": name, "open_time": format_time(candle["at"]), "close_time": format_time(close_time),
            "open": price_text(prices[0]), "high": price_text(max(prices)), "low": price_text(min(prices)),
            "close": price_text(prices[-1]), "volume": str(candle["volume"]), "buy_volume": str(candle["buy"]),
            "sell_volume": str(candle["volume"] - candle["buy"]), "notional": price_text(candle["notional"]),
            "vwap": ratio(candle["notional"], candle["volume"], -4)[:-1], "trades": len(prices), "revision": 0,
            "state": "closed" if self.now() >= close_time else "open", "ohlc_exact": True, "trust": "clean",
            "position": market.position(close_time),
        }

    def positions(self) -> list:
        at = self.now()
        out = []
        for partition in range(4):
            ends = [m.position(at)["offset"] + 1 for m in self.markets.values() if m.partition == partition]
            end = sum(ends)
            lag = 3 if partition == 2 and not self.frozen else 0
            out.append({
                "partition": partition, "next": end - lag, "end": end, "frontier": end - lag, "cursor": end - lag,
                "checkpoint": end // 1000 * 1000, "committed": 0, "feed_time": format_time(at),
                "events": {"read": end * 4, "folded": end * 4, "duplicates": 0, "refused": 0, "filtered": 0},
            })
        return out

    def supervision(self) -> dict:
        def node(name, restarts=0, error=None, children=(), running=0):
            return {
                "name": name, "state": "running", "restarts": restarts, "last_error": error, "since": format_time(START),
                "children_running": running, "children": list(children),
            }
        symbol = node("symbol TSLA", 2, "fault point at 1:2210:0")
        return node("root", children=[node(f"partition {p}", children=[symbol] if p == 1 else [], running=7) for p in range(4)])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine
    dist: Path
    delay = 0.0

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            if url.path.startswith(("/v1/", "/health/")):
                time.sleep(self.delay)
                self.send(200, "application/json", json.dumps(self.api(url.path, query)).encode())
            else:
                self.asset(url.path)
        except Refusal as refusal:
            self.send(refusal.status, "application/json", json.dumps(refusal.body).encode())

    def api(self, path: str, query: dict):
        fixed = {
            "/v1/symbols": self.engine.symbols, "/v1/positions": self.engine.positions,
            "/v1/supervision": self.engine.supervision,
            "/health/ready": lambda: {"live": True, "ready": True, "reason": None},
        }
        if path in fixed:
            return fixed[path]()
        match = re.fullmatch(r"/v1/symbols/([^/]+)/(book|candles|metrics)", path)
        if not match:
            raise Refusal(404, "not_found", f"no route {path}", None)
        name = urllib.parse.unquote(match[1])
        if match[2] == "metrics":
            return self.engine.metrics(name)
        return getattr(self.engine, match[2])(name, query)

    def asset(self, path: str):
        file = self.dist / ("index.html" if path == "/" else path.lstrip("/"))
        types = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
        if file.parent != self.dist or not file.is_file():
            raise Refusal(404, "not_found", f"no route {path}", None)
        self.send(200, types[file.suffix], file.read_bytes())

    def send(self, status: int, content_type: str, body: bytes):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A browser that aborts a request closes its connection: nothing to tell."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dist", type=Path, default=Path(__file__).resolve().parents[2] / "web" / "dist")
    parser.add_argument("--frozen", action="store_true", help="the session's present stands still")
    parser.add_argument("--delay-ms", type=int, default=0, help="before each answer")
    arguments = parser.parse_args()
    Handler.engine = Engine(arguments.frozen)
    Handler.dist = arguments.dist.resolve()
    Handler.delay = arguments.delay_ms / 1000
    server = Server(("127.0.0.1", arguments.port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
