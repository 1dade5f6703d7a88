// The candle chart with its volume histogram: draws a CandleWindow, marks the instant, reports clicks and scrolling.
import {
  CandlestickSeries,
  ColorType,
  createChart,
  CrosshairMode,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type LogicalRange,
  type MouseEventParams,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Bar, CandleWindow } from "./candles";
import { decimalsOf } from "./decimal";
import { byId, make, setText } from "./dom";
import { InstantLine } from "./instant_line";
import { displayInstant, displaySecond, NS_PER_SECOND, type Ns } from "./time";

const UP = "#2fb886";
const DOWN = "#e5605a";
const BARS_IN_SIGHT = 110;
/** Bars left on a side when more are asked for. */
const NEAR_EDGE = 40;

export interface ChartEvents {
  pick(openSeconds: number): void;
  nearStart(): void;
  nearEnd(): void;
}

export class CandleChart {
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volumes: ISeriesApi<"Histogram">;
  private readonly line: InstantLine;
  private readonly box = byId("chart");
  private readonly message = byId("chart-message");
  private readonly legend = byId("legend");
  private window: CandleWindow | null = null;
  private byTime = new Map<number, Bar>();
  private instant: Ns | null = null;

  constructor(private readonly events: ChartEvents) {
    this.chart = createChart(this.box, chartOptions());
    this.candles = this.chart.addSeries(CandlestickSeries, {
      upColor: UP, downColor: DOWN, wickUpColor: UP, wickDownColor: DOWN, borderVisible: false, priceLineColor: "#5c6b7d",
    });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.line = new InstantLine(this.chart);
    this.candles.attachPrimitive(this.line);
    this.chart.subscribeClick((click) => this.click(click));
    this.chart.subscribeCrosshairMove((move) => this.describe(move));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => this.scrolled(range));
  }

  /** Shows a window from scratch. */
  show(window: CandleWindow): void {
    this.window = window;
    this.say(window.bars.length === 0 ? "No trades in this session yet." : "");
    this.fillAll();
    if (window.bars.length === 0) return;
    this.frame();
  }

  /** More bars at an end: what is in sight stays where it is. */
  extended(): void {
    const range = this.chart.timeScale().getVisibleRange();
    this.fillAll();
    if (range) this.chart.timeScale().setVisibleRange(range);
  }

  /** Bars of the tail changed or came. */
  updated(changed: Bar[]): void {
    const last = this.candles.data().at(-1)?.time as number | undefined;
    if (last === undefined || changed.some((bar) => bar.time < last)) {
      const first = last === undefined;
      this.say("");
      this.fillAll();
      if (first) this.frame();
      return;
    }
    for (const bar of changed) {
      this.byTime.set(bar.time, bar);
      this.candles.update(candleOf(bar));
      this.volumes.update(volumeOf(bar));
    }
    this.describe(null);
    this.placeMark();
  }

  clear(message: string): void {
    this.window = null;
    this.fillAll();
    this.say(message);
  }

  /** Null: now, no mark. */
  mark(instant: Ns | null): void {
    this.instant = instant;
    // The newest price says nothing about a past instant.
    const live = instant === null;
    this.candles.applyOptions({ lastValueVisible: live, priceLineVisible: live });
    this.placeMark();
    const place = instant === null ? null : this.window?.locate(instant);
    if (place && !this.inSight(place.bar)) this.frame();
  }

  /** The instant turned out to have no book: the chart stays, its line goes. */
  unmark(): void {
    this.line.set(null);
    delete this.box.dataset.instant;
  }

  private placeMark(): void {
    const place = this.instant === null ? null : this.window?.locate(this.instant);
    this.line.set(
      place ? { bar: place.bar.time as UTCTimestamp, share: place.share, label: shortTime(this.instant!) } : null,
    );
    if (place) this.box.dataset.instant = this.instant!.toString();
    else delete this.box.dataset.instant;
    this.describe(null);
  }

  private fillAll(): void {
    const bars = this.window?.bars ?? [];
    this.byTime = new Map(bars.map((bar) => [bar.time, bar]));
    const precision = Math.min(8, Math.max(2, ...bars.slice(-50).map((bar) => decimalsOf(bar.candle.close))));
    this.candles.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    this.candles.setData(bars.map(candleOf));
    this.volumes.setData(bars.map(volumeOf));
    this.box.dataset.bars = String(bars.length);
    this.placeMark();
  }

  /** Brings the instant to the middle, or the newest bars in sight. */
  private frame(): void {
    const bars = this.window?.bars ?? [];
    const scale = this.chart.timeScale();
    const place = this.instant === null ? null : this.window?.locate(this.instant);
    if (place) {
      const at = bars.indexOf(place.bar);
      scale.setVisibleLogicalRange({ from: at - BARS_IN_SIGHT / 2, to: at + BARS_IN_SIGHT / 2 });
    } else {
      scale.setVisibleLogicalRange({ from: Math.max(bars.length - BARS_IN_SIGHT, -3), to: Math.max(bars.length + 3, 30) });
    }
  }

  /** With some room on both sides, so that the instant's label is whole. */
  private inSight(bar: Bar): boolean {
    const x = this.chart.timeScale().timeToCoordinate(bar.time as UTCTimestamp);
    const width = this.chart.timeScale().width();
    const margin = width * 0.08;
    return x !== null && x >= margin && x <= width - margin;
  }

  private click(click: MouseEventParams<Time>): void {
    if (typeof click.time === "number" && this.byTime.has(click.time)) this.events.pick(click.time);
  }

  private scrolled(range: LogicalRange | null): void {
    if (!range || !this.window || this.window.bars.length === 0) return;
    if (range.from < NEAR_EDGE) this.events.nearStart();
    if (range.to > this.window.bars.length - NEAR_EDGE) this.events.nearEnd();
  }

  /** The legend: the bar under the pointer, else the marked one, else the last. */
  private describe(move: MouseEventParams<Time> | null): void {
    const marked = this.instant === null ? null : this.window?.locate(this.instant)?.bar;
    const hovered = typeof move?.time === "number" ? this.byTime.get(move.time) : undefined;
    const bar = hovered ?? marked ?? this.window?.bars.at(-1);
    this.legend.replaceChildren();
    if (!bar) return;
    const { candle } = bar;
    const direction = Number(candle.close) >= Number(candle.open) ? "up" : "down";
    this.legend.append(make("span", "dim", displaySecond(BigInt(bar.time) * NS_PER_SECOND).slice(11)));
    const fields: [string, string][] = [
      ["O", candle.open], ["H", candle.high], ["L", candle.low], ["C", candle.close], ["V", candle.volume],
    ];
    for (const [name, value] of fields) {
      const field = make("span", direction);
      field.append(make("i", "", name), value);
      this.legend.append(field);
    }
  }

  private say(text: string): void {
    setText(this.message, text);
    this.message.hidden = text === "";
  }
}

// Geometry only: what is written beside the chart comes from the decimal strings.
function candleOf({ time, candle }: Bar) {
  return {
    time: time as UTCTimestamp,
    open: Number(candle.open),
    high: Number(candle.high),
    low: Number(candle.low),
    close: Number(candle.close),
  };
}

function volumeOf({ time, candle }: Bar) {
  const rising = Number(candle.close) >= Number(candle.open);
  return { time: time as UTCTimestamp, value: Number(candle.volume), color: rising ? "#2fb88655" : "#e5605a55" };
}

function shortTime(at: Ns): string {
  return displayInstant(at).slice(11).replace(/\.?0+$/, "");
}

function chartOptions() {
  return {
    autoSize: true,
    layout: {
      background: { type: ColorType.Solid, color: "#11161d" },
      textColor: "#8f9bab",
      fontSize: 11,
      fontFamily: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, monospace",
      // The page's footer carries the attribution; the built-in logo needs an inline style, which the policy forbids.
      attributionLogo: false,
    },
    grid: { vertLines: { color: "#1a222c" }, horzLines: { color: "#1a222c" } },
    crosshair: { mode: CrosshairMode.Normal },
    rightPriceScale: { borderColor: "#232d39" },
    timeScale: { borderColor: "#232d39", timeVisible: true, secondsVisible: true, rightOffset: 3, minBarSpacing: 1 },
    localization: {
      locale: "en-GB",
      timeFormatter: (time: Time) => displaySecond(BigInt(time as number) * NS_PER_SECOND),
    },
  };
}
