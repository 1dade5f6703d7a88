// The instant picker: text, slider, steps, now. Knows how to read what a person types; the engine judges the rest.
import type { Range } from "./candles";
import { byId, setText } from "./dom";
import { dateOf, displayInstant, displaySecond, formatInstant, NS_PER_MS, NS_PER_SECOND, parseInstant, type Ns } from "./time";

const TIME_OF_DAY = /^\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$/;

export class Picker {
  private readonly form = byId<HTMLFormElement>("picker");
  private readonly input = byId<HTMLInputElement>("instant");
  private readonly slider = byId<HTMLInputElement>("slider");
  private readonly error = byId("picker-error");
  private readonly hint = byId("picker-hint");
  private readonly now = byId<HTMLButtonElement>("now");
  private readonly steps = [...this.form.querySelectorAll<HTMLButtonElement>("[data-step]")];
  private range: Range | null = null;
  private current: Ns | null = null;
  private at = "";

  /** `pick` is given what the interface takes as `at`; empty means now. */
  constructor(private readonly pick: (at: string) => void) {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.pick(this.read());
    });
    this.slider.addEventListener("input", () => this.slid());
    this.now.addEventListener("click", () => this.pick(""));
    for (const button of this.steps) {
      button.addEventListener("click", () => this.step(BigInt(button.dataset.step ?? "0")));
    }
    this.setRange(null);
  }

  /** The session that the slider spans; null while unknown. */
  setRange(range: Range | null): void {
    const changed = range?.from !== this.range?.from || range?.to !== this.range?.to;
    this.range = range;
    this.slider.disabled = range === null;
    if (!changed && range !== null) return;
    setText(byId("range-from"), range ? displaySecond(range.from) : "");
    setText(byId("range-to"), range ? displaySecond(range.to) : "");
    if (range) {
      const span = Number((range.to - range.from) / NS_PER_MS);
      this.slider.step = span > 600_000 ? "1000" : span > 10_000 ? "100" : "1";
      this.slider.max = String(span);
    }
    this.placeSlider();
  }

  /** What was asked for; empty: now. */
  show(at: string): void {
    this.at = at;
    this.now.setAttribute("aria-pressed", String(at === ""));
    this.input.value = at;
    this.fail("");
    this.follow(null);
  }

  /** Event time of the shown book, from which steps are taken unless an instant was asked for. Leaves the text alone. */
  follow(bookTime: Ns | null): void {
    this.current = parseInstant(this.at) ?? bookTime ?? this.current;
    this.input.placeholder = this.current ? formatInstant(this.current) : "an instant, UTC";
    for (const button of this.steps) button.disabled = this.current === null;
    this.placeSlider();
  }

  fail(message: string): void {
    setText(this.error, message);
    this.error.hidden = message === "";
    this.hint.hidden = message !== "";
    this.input.setAttribute("aria-invalid", String(message !== ""));
  }

  /** A bare time of day is one of the session's last date; all else goes to the engine as typed. */
  private read(): string {
    const text = this.input.value.trim();
    if (!TIME_OF_DAY.test(text) || !this.range) return text;
    const seconds = text.length === 5 ? `${text}:00` : text;
    const at = parseInstant(`${dateOf(this.current ?? this.range.to)}T${seconds}Z`);
    return at === null ? text : formatInstant(at);
  }

  private slid(): void {
    if (!this.range) return;
    this.pick(formatInstant(this.range.from + BigInt(this.slider.value) * NS_PER_MS));
  }

  private step(by: Ns): void {
    if (this.current !== null) this.pick(formatInstant(this.current + by));
  }

  private placeSlider(): void {
    if (!this.range) {
      this.slider.value = this.slider.max;
      return;
    }
    const { from, to } = this.range;
    const at = this.at === "" || this.current === null ? to : this.current;
    const inside = at < from ? from : at > to ? to : at;
    // While it is dragged the thumb is where the pointer is.
    const value = String((inside - from) / NS_PER_MS);
    if (!this.slider.matches(":active")) this.slider.value = value;
    this.slider.setAttribute("aria-valuetext", this.at === "" ? "now" : `${displayInstant(inside)} UTC`);
    const span = Number(to - from);
    const share = span === 0 ? 1 : Number(inside - from) / span;
    this.slider.style.setProperty("--filled", `${(share * 100).toFixed(2)}%`);
  }
}

/** Bounds of the slider: the candles' range, but never past the last event, for the tape knows nothing later. */
export function pickable(candles: Range | null, lastEvent: Ns | null): Range | null {
  if (candles === null) return null;
  const to = lastEvent !== null && lastEvent < candles.to ? lastEvent : candles.to;
  return { from: candles.from, to: to > candles.from ? to : candles.from + NS_PER_SECOND };
}
