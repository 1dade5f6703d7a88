// Keeps the chart's window loaded: for the symbol and width looked at, around the instant, followed at its end.
import { CandleWindow, sessionRange, type Bar, type Range } from "./candles";
import { CandleChart } from "./chart";
import { isAbort } from "./http";
import { Poller } from "./poll";
import { NS_PER_SECOND, type Ns } from "./time";
import type { Width } from "./view";

const FOLLOW_MS = 1000;
const RETRY_MS = 2000;

export class CandlePanel {
  private readonly chart: CandleChart;
  private readonly loader: Poller<Loaded>;
  private readonly follower: Poller<Bar[]>;
  private window: CandleWindow | null = null;
  private range: Range | null = null;
  private instant: Ns | null = null;
  private symbol = "";
  private width: Width = "1m";
  private growing: AbortController | null = null;

  /** `ranged` learns the session's range of a symbol, null while unknown. */
  constructor(
    pick: (instant: Ns) => void,
    private readonly ranged: (range: Range | null) => void,
  ) {
    this.chart = new CandleChart({
      pick: (seconds) => pick(BigInt(seconds) * NS_PER_SECOND),
      nearStart: () => void this.grow("earlier"),
      nearEnd: () => void this.grow("later"),
    });
    this.loader = new Poller(
      (failed) => (failed || this.range === null ? RETRY_MS : null),
      (signal) => this.load(signal),
      (loaded) => this.loaded(loaded),
      (error) => this.chart.clear(error.message),
    );
    this.follower = new Poller(
      () => FOLLOW_MS,
      async (signal) => (this.window && this.range && this.window.atEnd(this.range) ? this.window.refresh(signal) : []),
      (changed) => this.followed(changed),
      () => undefined,
    );
  }

  select(symbol: string, width: Width): void {
    if (symbol !== this.symbol) {
      this.range = null;
      this.ranged(null);
    }
    this.symbol = symbol;
    this.width = width;
    this.reload("Loading candles …");
  }

  /** Null: now. */
  mark(instant: Ns | null): void {
    if (instant === this.instant) return;
    const back = instant === null;
    this.instant = instant;
    const outside = this.window !== null && this.range !== null && this.needsOtherWindow(this.range);
    if (outside) this.reload(null);
    else if (back && this.window) this.chart.show(this.withMark(this.window));
    else this.chart.mark(instant);
  }

  unmark(): void {
    this.chart.unmark();
  }

  private withMark(window: CandleWindow): CandleWindow {
    this.chart.mark(this.instant);
    return window;
  }

  private needsOtherWindow(range: Range): boolean {
    if (!this.window) return false;
    if (this.instant === null) return !this.window.atEnd(range);
    return this.instant >= range.from && this.instant < range.to && !this.window.covers(this.instant);
  }

  private reload(message: string | null): void {
    this.stop();
    if (message !== null) this.chart.clear(message);
    this.loader.restart();
  }

  private stop(): void {
    this.growing?.abort();
    this.growing = null;
    this.follower.stop();
    this.loader.stop();
    this.window = null;
  }

  private async load(signal: AbortSignal): Promise<Loaded> {
    const range = this.range ?? (await sessionRange(this.symbol, signal));
    const window = new CandleWindow(this.symbol, this.width);
    if (range) await window.load(range, this.instant, signal);
    return { range, window };
  }

  private loaded({ range, window }: Loaded): void {
    this.range = range;
    this.ranged(range);
    this.window = window;
    this.chart.mark(this.instant);
    this.chart.show(window);
    if (range) this.follower.restart();
  }

  private followed(changed: Bar[]): void {
    if (changed.length === 0 || !this.window || !this.range) return;
    this.chart.updated(changed);
    const end = BigInt(changed.at(-1)!.time + 1) * NS_PER_SECOND;
    if (end > this.range.to) {
      this.range = { from: this.range.from, to: end };
      this.ranged(this.range);
    }
  }

  private async grow(way: "earlier" | "later"): Promise<void> {
    const { window, range } = this;
    if (!window || !range || this.growing) return;
    const growing = new AbortController();
    this.growing = growing;
    try {
      const bars = await window[way](range, growing.signal);
      if (this.window === window && bars.length > 0) this.chart.extended();
    } catch (error) {
      // The next scroll asks again.
      if (!isAbort(error)) return;
    } finally {
      if (this.growing === growing) this.growing = null;
    }
  }
}

interface Loaded {
  range: Range | null;
  window: CandleWindow;
}
