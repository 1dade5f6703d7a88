// The strip of book metrics: the engine's own now, and the same formulas over the shown book as of an instant.
import { add, divide, formatDecimal, multiply, parseDecimal, subtract, type Decimal } from "./decimal";
import { byId, make, setText } from "./dom";
import type { Book, Level, Metrics } from "./types";

type Field = "imbalance" | "weighted_imbalance" | "spread" | "spread_bps" | "microprice" | "vtob" | "order_flow_imbalance";

const FIELDS: [Field, string, string][] = [
  ["imbalance", "Imbalance", "(bid − ask) / (bid + ask) of the volumes of the top N levels"],
  ["weighted_imbalance", "Weighted imb.", "imbalance with level k weighted N + 1 − k"],
  ["spread", "Spread", "best ask − best bid"],
  ["spread_bps", "Spread bps", "spread / mid price × 10,000"],
  ["microprice", "Microprice", "(bid × ask volume + ask × bid volume) / (bid volume + ask volume), at the touch"],
  ["vtob", "VTOB", "volume at the touch / volume of the top N levels"],
  ["order_flow_imbalance", "Order flow", "order-flow imbalance since the current window opened; known for now only"],
];

/** What a glance needs; the whole value is the tile's tooltip. */
const SHOWN_DECIMALS: Partial<Record<Field, number>> = {
  imbalance: 4, weighted_imbalance: 4, spread_bps: 3, microprice: 5, vtob: 4,
};

const SIGNED: Field[] = ["imbalance", "weighted_imbalance", "order_flow_imbalance"];

export class MetricsStrip {
  private readonly box = byId("metrics");
  private readonly values = new Map<Field, HTMLElement>();

  constructor() {
    for (const [field, label, meaning] of FIELDS) {
      const tile = make("div", "metric");
      const value = make("dd", "", "–");
      value.dataset.metric = field;
      const name = make("dt", "", label);
      name.title = meaning;
      tile.append(name, value);
      this.values.set(field, value);
      this.box.append(tile);
    }
  }

  show(metrics: Metrics | null): void {
    for (const [field, element] of this.values) {
      const text = metrics?.[field] ?? null;
      const decimals = SHOWN_DECIMALS[field];
      setText(element, text === null ? "–" : decimals === undefined ? text : rounded(text, decimals));
      if (text === null) element.removeAttribute("title");
      else element.title = text;
      if (SIGNED.includes(field)) element.dataset.sign = signOf(text);
      if (field.endsWith("imbalance") && field !== "order_flow_imbalance") lean(element, text);
    }
  }
}

function rounded(text: string, decimals: number): string {
  const value = divide(parseDecimal(text), one, decimals);
  return value ? formatDecimal(value) : text;
}

function signOf(text: string | null): string {
  if (text === null || /^-?[0.]*$/.test(text)) return "zero";
  return text.startsWith("-") ? "minus" : "plus";
}

/** The tile's gauge: from the middle to the left or right. Geometry only. */
function lean(element: HTMLElement, text: string | null): void {
  const share = text === null ? 0 : Math.max(-1, Math.min(1, Number(text)));
  const tile = element.parentElement!;
  tile.classList.add("gauge");
  tile.style.setProperty("--from", `${share < 0 ? 50 + share * 50 : 50}%`);
  tile.style.setProperty("--to", `${share > 0 ? 50 - share * 50 : 50}%`);
}

/** Decimals of ratios, as the engine answers; the microprice has more where prices have more. */
const RATIO_DECIMALS = 9;

/** Metrics of `book` over its top `levels`; exact, rounded half-even as the engine does. Null if the book is too shallow to tell. */
export function metricsOf(book: Book, levels: number, depth: number): Metrics | null {
  if (levels > depth) return null;
  const bids = book.bids.slice(0, levels);
  const asks = book.asks.slice(0, levels);
  const [bidVolume, askVolume] = [volume(bids), volume(asks)];
  const both = add(bidVolume, askVolume);
  const [bidWeighted, askWeighted] = [weighted(bids, levels), weighted(asks, levels)];
  const touch = add(volume(bids.slice(0, 1)), volume(asks.slice(0, 1)));
  return {
    event_time: book.event_time,
    levels,
    imbalance: ratio(subtract(bidVolume, askVolume), both, RATIO_DECIMALS),
    weighted_imbalance: ratio(subtract(bidWeighted, askWeighted), add(bidWeighted, askWeighted), RATIO_DECIMALS),
    vtob: ratio(touch, both, RATIO_DECIMALS),
    order_flow_imbalance: null,
    ...touchMetrics(bids[0], asks[0]),
  };
}

function touchMetrics(bid: Level | undefined, ask: Level | undefined): Pick<Metrics, "spread" | "spread_bps" | "microprice"> {
  if (!bid || !ask) return { spread: null, spread_bps: null, microprice: null };
  const [bidPrice, askPrice] = [parseDecimal(bid.price), parseDecimal(ask.price)];
  const [bidSize, askSize] = [parseDecimal(bid.size), parseDecimal(ask.size)];
  const spread = subtract(askPrice, bidPrice);
  const crossed = add(multiply(bidPrice, askSize), multiply(askPrice, bidSize));
  return {
    spread: formatDecimal(spread),
    spread_bps: ratio(multiply(spread, { units: 20_000n, scale: 0 }), add(bidPrice, askPrice), RATIO_DECIMALS),
    microprice: ratio(crossed, add(bidSize, askSize), Math.max(RATIO_DECIMALS, bidPrice.scale)),
  };
}

function volume(levels: Level[]): Decimal {
  return levels.reduce((sum, level) => add(sum, parseDecimal(level.size)), zero);
}

function weighted(levels: Level[], count: number): Decimal {
  return levels.reduce((sum, level, i) => {
    const weight = { units: BigInt(count - i), scale: 0 };
    return add(sum, multiply(parseDecimal(level.size), weight));
  }, zero);
}

function ratio(a: Decimal, b: Decimal, decimals: number): string | null {
  const value = divide(a, b, decimals);
  return value && formatDecimal(value);
}

const zero: Decimal = { units: 0n, scale: 0 };
const one: Decimal = { units: 1n, scale: 0 };
