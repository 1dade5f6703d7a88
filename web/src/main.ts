// Start here: ties the view (what is looked at) to the parts of the page and to the polls that feed them.
import "./app.css";
import { CandlePanel } from "./candle_panel";
import type { Range } from "./candles";
import { byId, formatCount, setText } from "./dom";
import { fetchBook, fetchMetrics, fetchStatus, fetchSymbols } from "./engine";
import { ApiError, onConnection } from "./http";
import { InstrumentHead } from "./instrument";
import { Ladder, LADDER_DEPTH } from "./ladder";
import { metricsOf, MetricsStrip } from "./metrics";
import { pickable, Picker } from "./picker";
import { Poller } from "./poll";
import { StatusLine } from "./status";
import { SymbolList } from "./symbol_list";
import { formatInstant, parseInstant } from "./time";
import type { Book, SymbolRow } from "./types";
import { readHash, writeHash, type View, type Width } from "./view";

const SYMBOLS_MS = 2000;
const BOOK_MS = 500;
const METRICS_MS = 1000;
const STATUS_MS = 2000;
const RETRY_MS = 1000;
const HASH_MS = 100;
const DEFAULT_LEVELS = 10;

class Page {
  private view: View = readHash(location.hash);
  private levels = DEFAULT_LEVELS;
  private levelsOf = "";
  private book: Book | null = null;
  private hashTimer: ReturnType<typeof setTimeout> | undefined;
  private candleRange: Range | null = null;

  private readonly list = new SymbolList((symbol) => this.go({ symbol }));
  private readonly head = new InstrumentHead(() => this.go({ at: "" }));
  private readonly ladder = new Ladder();
  private readonly strip = new MetricsStrip();
  private readonly status = new StatusLine();
  private readonly picker = new Picker((at) => this.go({ at }));
  private readonly candles = new CandlePanel(
    (instant) => this.go({ at: formatInstant(instant) }),
    (range) => this.ranged(range),
  );

  private readonly symbolsPoll = new Poller(
    () => SYMBOLS_MS,
    fetchSymbols,
    (rows) => this.listed(rows),
    (error) => this.list.fail(error.message),
  );
  private readonly bookPoll = new Poller(
    (failed) => (failed ? RETRY_MS : this.nextBook()),
    (signal) => fetchBook(this.view.symbol, this.view.at, signal),
    (book) => this.booked(book),
    (error) => this.bookFailed(error),
  );
  private readonly metricsPoll = new Poller(
    (failed) => (failed || this.view.at === "" ? METRICS_MS : null),
    (signal) => fetchMetrics(this.view.symbol, signal),
    (metrics) => {
      this.levels = metrics.levels;
      this.levelsOf = this.view.symbol;
      if (this.view.at === "") this.strip.show(metrics);
      else this.showPastMetrics();
    },
    (error) => error instanceof ApiError && this.view.at === "" && this.strip.show(null),
  );
  private readonly statusPoll = new Poller(
    () => STATUS_MS,
    fetchStatus,
    (status) => {
      this.status.showHealth(status.health);
      this.status.showPositions(status.positions);
      this.status.showSupervision(status.supervision);
    },
    () => this.status.unknown(),
  );

  start(): void {
    onConnection((up) => this.connection(up));
    addEventListener("hashchange", () => this.follow(readHash(location.hash)));
    for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=width]")) {
      radio.checked = radio.value === this.view.width;
      radio.addEventListener("change", () => this.go({ width: radio.value as Width }));
    }
    this.drawer();
    this.symbolsPoll.restart();
    this.statusPoll.restart();
    if (this.view.symbol) this.open();
  }

  /** Changes what is looked at; the hash follows. */
  private go(change: Partial<View>): void {
    const next = { ...this.view, ...change };
    this.follow(next, change.at !== undefined);
    // Browsers limit how often an address may change, and a dragged slider changes the instant at every move.
    clearTimeout(this.hashTimer);
    this.hashTimer = setTimeout(() => history.replaceState(null, "", writeHash(this.view)), HASH_MS);
  }

  private follow(next: View, again = false): void {
    const before = this.view;
    this.view = next;
    if (next.symbol !== before.symbol) {
      if (next.symbol) this.open();
      return;
    }
    if (next.width !== before.width) {
      for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=width]")) {
        radio.checked = radio.value === next.width;
      }
      this.candles.select(next.symbol, next.width);
    }
    if (next.at !== before.at || again) this.moved();
  }

  /** A symbol is looked at anew. */
  private open(): void {
    const { symbol, width, at } = this.view;
    document.body.classList.remove("drawer-open");
    this.list.select(symbol);
    this.head.select(symbol);
    this.book = null;
    this.ladder.clear("Loading book …");
    this.strip.show(null);
    this.candles.mark(parseInstant(at));
    this.candles.select(symbol, width);
    this.moved();
  }

  /** The instant changed: what is shown stays, dimmed, until the answer is there. */
  private moved(): void {
    const { symbol, at } = this.view;
    if (!symbol) return;
    document.body.classList.add("seeking");
    this.head.waiting(at);
    const instant = parseInstant(at);
    this.picker.show(at);
    if (at === "" || instant !== null) this.candles.mark(instant);
    this.bookPoll.restart();
    if (at === "" || this.levelsOf !== symbol) this.metricsPoll.restart();
    else this.metricsPoll.stop();
  }

  /** A past book does not change; one that is told while its symbol recovers is asked for again. */
  private nextBook(): number | null {
    if (this.view.at === "") return BOOK_MS;
    return this.book?.trust === "recovering" ? RETRY_MS : null;
  }

  private bookTime(): bigint | null {
    return this.book?.event_time ? parseInstant(this.book.event_time) : null;
  }

  private booked(book: Book): void {
    const { at } = this.view;
    this.book = book;
    document.body.classList.remove("seeking");
    this.picker.fail("");
    this.head.show(book, at);
    this.ladder.show(book);
    this.picker.follow(this.bookTime());
    if (at === "") return;
    this.showPastMetrics();
    this.candles.mark(parseInstant(at) ?? this.bookTime());
  }

  private showPastMetrics(): void {
    this.strip.show(this.book ? metricsOf(this.book, this.levels, LADDER_DEPTH) : null);
  }

  private bookFailed(error: Error): void {
    if (!(error instanceof ApiError)) return;
    const { at } = this.view;
    this.book = null;
    document.body.classList.remove("seeking");
    this.head.fail(at, error.message);
    this.ladder.clear("No book to show.");
    this.strip.show(null);
    this.candles.unmark();
    this.picker.fail(error.message);
    // What is refused once is refused again; an engine that is not well may be so in a moment.
    if (at !== "" && error.status < 500) this.bookPoll.stop();
  }

  private listed(rows: SymbolRow[]): void {
    this.list.update(rows);
    setText(byId("summary"), summary(rows));
    if (!this.view.symbol) {
      const busiest = rows.reduce<SymbolRow | null>((best, row) => (best && best.events.folded >= row.events.folded ? best : row), null);
      if (busiest) this.go({ symbol: busiest.symbol });
      else this.head.fail("", "no symbol has been seen on the tape yet");
    }
    this.ranged(this.candleRange);
  }

  private ranged(range: Range | null): void {
    this.candleRange = range;
    const last = this.list.find(this.view.symbol)?.event_time;
    this.picker.setRange(pickable(range, last ? parseInstant(last) : null));
  }

  private connection(up: boolean): void {
    const pill = byId("connection");
    pill.dataset.state = up ? "up" : "down";
    setText(pill, up ? "connected" : "connection lost");
    document.body.classList.toggle("lost", !up);
    if (up) return;
    this.status.unknown();
    this.head.lost(this.view.at);
  }

  /** On a narrow screen the list is a drawer. */
  private drawer(): void {
    const button = byId("toggle-symbols");
    const set = (open: boolean) => {
      document.body.classList.toggle("drawer-open", open);
      button.setAttribute("aria-expanded", String(open));
    };
    button.addEventListener("click", () => {
      const open = !document.body.classList.contains("drawer-open");
      set(open);
      if (open) byId("symbols-scroll").focus({ preventScroll: true });
    });
    byId("symbol-rows").addEventListener("click", () => set(false));
    addEventListener("keydown", (event) => event.key === "Escape" && set(false));
  }
}

function summary(rows: SymbolRow[]): string {
  const events = rows.reduce((sum, row) => sum + row.events.folded, 0);
  const unclean = rows.filter((row) => row.trust !== "clean").length;
  const trust = unclean === 0 ? "all clean" : `${formatCount(unclean)} not clean`;
  return rows.length === 0 ? "" : `${formatCount(rows.length)} symbols · ${formatCount(events)} events · ${trust}`;
}

new Page().start();
