// Which candles are loaded: a window of one symbol and width, grown at its ends as the chart is scrolled, followed live.
import { getJson } from "./http";
import { formatInstant, NS_PER_SECOND, parseInstant, type Ns } from "./time";
import type { Candle } from "./types";
import { WIDTH_SECONDS, type Width } from "./view";

/** A candle with its opening as seconds since 1970, which the chart counts in. */
export interface Bar {
  time: number;
  candle: Candle;
}

/** Opening of the first candle and close of the last. */
export interface Range {
  from: Ns;
  to: Ns;
}

/** Intervals in one request, which bounds an answer whatever the session's length. */
const WINDOW = 3000n;
/** Candles change until this long after their end: late trades correct them. */
const CORRECTION = 60n * NS_PER_SECOND;
const MAX_EMPTY_WINDOWS = 64;

export class CandleWindow {
  bars: Bar[] = [];
  private from: Ns = 0n;
  private to: Ns = 0n;
  private readonly width: Ns;

  constructor(
    readonly symbol: string,
    readonly widthName: Width,
  ) {
    this.width = BigInt(WIDTH_SECONDS[widthName]) * NS_PER_SECOND;
  }

  /** Loads the window that ends with `range`, or the one around `at`. */
  async load(range: Range, at: Ns | null, signal: AbortSignal): Promise<void> {
    const span = this.width * WINDOW;
    const inside = at !== null && at < range.to - span;
    const start = inside ? at - span / 2n : range.to - span;
    this.from = this.align(start > range.from ? start : range.from);
    this.to = inside ? this.align(at + span / 2n) : this.align(range.to) + this.width;
    this.bars = await this.fetch(this.from, this.to, signal);
    if (this.bars.length === 0) await this.earlier(range, signal);
  }

  covers(at: Ns): boolean {
    return at >= this.from && at < this.to;
  }

  /** Bars before what is loaded; empty at the session's start. */
  async earlier(range: Range, signal: AbortSignal): Promise<Bar[]> {
    for (let i = 0; i < MAX_EMPTY_WINDOWS && this.from > range.from; ++i) {
      const from = this.from - this.width * WINDOW;
      const bars = await this.fetch(from, this.from, signal);
      this.from = from;
      this.bars = bars.concat(this.bars);
      if (bars.length > 0) return bars;
    }
    return [];
  }

  /** Bars after what is loaded; empty at the session's end. */
  async later(range: Range, signal: AbortSignal): Promise<Bar[]> {
    for (let i = 0; i < MAX_EMPTY_WINDOWS && this.to < range.to; ++i) {
      const to = this.to + this.width * WINDOW;
      const bars = await this.fetch(this.to, to, signal);
      this.to = to;
      this.bars = this.bars.concat(bars);
      if (bars.length > 0) return bars;
    }
    return [];
  }

  atEnd(range: Range): boolean {
    return this.to >= range.to;
  }

  /** Fetches the tail again. Says which bars are new or changed, oldest first. */
  async refresh(signal: AbortSignal): Promise<Bar[]> {
    const last = this.bars.at(-1);
    const from = last ? BigInt(last.time) * NS_PER_SECOND - CORRECTION : this.from;
    const fresh = await this.fetch(from, null, signal);
    const known = new Map(this.bars.slice(-fresh.length - 64).map((bar) => [bar.time, bar]));
    const changed = fresh.filter((bar) => !same(known.get(bar.time)?.candle, bar.candle));
    if (changed.length === 0) return [];
    const first = fresh[0]!.time;
    this.bars = this.bars.filter((bar) => bar.time < first).concat(fresh);
    const end = BigInt(this.bars.at(-1)!.time) * NS_PER_SECOND + this.width;
    if (end > this.to) this.to = end;
    return changed;
  }

  /** The bar at or before `at`, and how far into its interval `at` is. */
  locate(at: Ns): { bar: Bar; share: number } | null {
    let [low, high] = [0, this.bars.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (BigInt(this.bars[middle]!.time) * NS_PER_SECOND <= at) low = middle + 1;
      else high = middle;
    }
    const bar = this.bars[Math.max(0, low - 1)];
    if (!bar) return null;
    const into = at - BigInt(bar.time) * NS_PER_SECOND;
    const share = Number((into * 1000n) / this.width) / 1000;
    return { bar, share: Math.max(0, Math.min(1, share)) };
  }

  private align(at: Ns): Ns {
    return at - (at % this.width);
  }

  private async fetch(from: Ns, to: Ns | null, signal: AbortSignal): Promise<Bar[]> {
    return fetchBars(this.symbol, this.widthName, from, to, signal);
  }
}

/** The range of a symbol's candles; null while it has none. */
export async function sessionRange(symbol: string, signal: AbortSignal): Promise<Range | null> {
  const bars = await fetchBars(symbol, "1m", null, null, signal);
  const [first, last] = [bars[0], bars.at(-1)];
  if (!first || !last) return null;
  return { from: parseInstant(first.candle.open_time)!, to: parseInstant(last.candle.close_time)! };
}

async function fetchBars(symbol: string, width: Width, from: Ns | null, to: Ns | null, signal: AbortSignal): Promise<Bar[]> {
  const query = new URLSearchParams({ width });
  if (from !== null) query.set("from", formatInstant(from));
  if (to !== null) query.set("to", formatInstant(to));
  const path = `/v1/symbols/${encodeURIComponent(symbol)}/candles?${query}`;
  const candles = await getJson<Candle[]>(path, signal);
  return candles.map((candle) => ({ time: Number(parseInstant(candle.open_time)! / NS_PER_SECOND), candle }));
}

function same(a: Candle | undefined, b: Candle): boolean {
  return a !== undefined && a.revision === b.revision && a.trades === b.trades && a.volume === b.volume && a.state === b.state;
}
