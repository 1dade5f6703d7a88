// The head of the market view: which symbol, how far its book is, and whether this is now or a past instant.
import { byId, formatPosition, setText, setTrust } from "./dom";
import { displayText } from "./time";
import type { Book } from "./types";

const SHORT_DIGEST = 10;

export class InstrumentHead {
  private readonly name = byId("symbol-name");
  private readonly trust = byId("symbol-trust");
  private readonly time = byId("event-time");
  private readonly position = byId("position");
  private readonly digest = byId<HTMLButtonElement>("digest");
  private readonly copied = byId("copied");
  private readonly mode = byId("mode");
  private readonly modeTag = byId("mode-tag");
  private readonly modeText = byId("mode-text");
  private readonly backToLive = byId<HTMLButtonElement>("mode-live");
  private full = "";

  constructor(live: () => void) {
    this.digest.addEventListener("click", () => void this.copy());
    this.backToLive.addEventListener("click", live);
  }

  select(symbol: string): void {
    setText(this.name, symbol || "–");
    document.title = symbol ? `${symbol} · tapedeck` : "tapedeck";
    this.clear();
  }

  /** `at` empty: this is now. */
  show(book: Book, at: string): void {
    const position = formatPosition(book.position);
    this.trust.hidden = false;
    setTrust(this.trust, book.trust);
    this.trust.title = book.trust_since ? `${book.trust} since ${formatPosition(book.trust_since)}` : "";
    setText(this.time, displayText(book.event_time));
    setText(this.position, position);
    this.full = book.digest;
    setText(this.digest, `${book.digest.slice(0, SHORT_DIGEST)}…`);
    this.digest.title = `${book.digest} (click to copy)`;
    this.digest.disabled = false;
    if (at === "") this.say("live", "Live", "the book as it is folded");
    else this.say("past", "As of", `${readable(at)} · position ${position} · digest ${book.digest.slice(0, SHORT_DIGEST)}…`);
  }

  waiting(at: string): void {
    if (at === "") this.say("live", "Live", "waiting for the book");
    else this.say("past", "As of", `${readable(at)} · looking it up …`);
  }

  /** The picker says why an instant has no book; here it is said that it has none. */
  fail(at: string, message: string): void {
    this.clear();
    if (at === "") this.say("failed", "No book", message);
    else this.say("failed", "No book as of", readable(at));
  }

  /** The engine is gone. A past book stays true; the present is not known any more. */
  lost(at: string): void {
    if (at === "") this.say("failed", "Not live", "connection lost: this is the last answer, asking again …");
  }

  private clear(): void {
    this.trust.hidden = true;
    setText(this.time, "–");
    setText(this.position, "–");
    setText(this.digest, "–");
    this.digest.disabled = true;
    this.full = "";
  }

  private say(mode: string, tag: string, text: string): void {
    this.mode.dataset.mode = mode;
    // A live region speaks when its text changes: the live line stays the same from book to book.
    setText(this.modeTag, tag);
    setText(this.modeText, text);
    this.backToLive.hidden = mode === "live" || tag === "Not live";
  }

  private async copy(): Promise<void> {
    const text = this.full;
    if (!text) return;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text);
    }
    this.digest.dataset.copied = "true";
    setText(this.copied, "digest copied");
    setTimeout(() => {
      delete this.digest.dataset.copied;
      setText(this.copied, "");
    }, 1200);
  }
}

/** Instants without their T, with UTC beside them where that is so. */
function readable(at: string): string {
  return displayText(at) === "–" ? at : `${displayText(at)} UTC`;
}

function copyBySelection(text: string): void {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
