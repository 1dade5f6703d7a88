// The book: asks above, bids below, best prices at the middle. Shows the interface's decimal strings as they are.
import { add, compare, formatDecimal, parseDecimal, subtract, type Decimal } from "./decimal";
import { byId, make, setText } from "./dom";
import type { Book, Level } from "./types";

export const LADDER_DEPTH = 20;

class Side {
  private readonly rows: HTMLElement[] = [];

  constructor(
    private readonly box: HTMLElement,
    private readonly name: "bid" | "ask",
  ) {}

  draw(levels: Level[], largest: Decimal): void {
    while (this.rows.length < levels.length) this.addRow();
    let total: Decimal = { units: 0n, scale: 0 };
    this.rows.forEach((row, i) => {
      const level = levels[i];
      row.hidden = level === undefined;
      if (!level) return;
      const size = parseDecimal(level.size);
      total = add(total, size);
      this.fill(row, level, formatDecimal(total), share(size, largest));
    });
  }

  private addRow(): void {
    const row = make("div", "row level");
    row.setAttribute("role", "listitem");
    row.dataset.side = this.name;
    row.append(make("i", "bar"), make("span", "price"), make("span", "size"), make("span", "total"), make("span", "orders"));
    this.rows.push(row);
    this.box.append(row);
  }

  private fill(row: HTMLElement, level: Level, total: string, part: number): void {
    const [bar, price, size, sum, orders] = row.children as unknown as HTMLElement[];
    bar!.style.width = `${part.toFixed(2)}%`;
    setText(price!, level.price);
    setText(size!, level.size);
    setText(sum!, total);
    setText(orders!, level.orders === null ? "–" : String(level.orders));
  }
}

export class Ladder {
  private readonly bids = new Side(byId("bids"), "bid");
  private readonly asks = new Side(byId("asks"), "ask");
  private readonly box = byId("ladder");
  private readonly message = byId("ladder-message");
  private readonly spread = byId("spread-value");

  show(book: Book): void {
    const largest = [...book.bids, ...book.asks].map((level) => parseDecimal(level.size)).reduce(larger, zero);
    this.bids.draw(book.bids, largest);
    this.asks.draw(book.asks, largest);
    const [bid, ask] = [book.bids[0], book.asks[0]];
    setText(this.spread, bid && ask ? formatDecimal(subtract(parseDecimal(ask.price), parseDecimal(bid.price))) : "–");
    const empty = !bid && !ask;
    this.say(empty ? "The book is empty." : "", empty);
    this.box.dataset.position = `${book.position.partition}:${book.position.offset}:${book.position.index}`;
    this.box.dataset.digest = book.digest;
  }

  /** No book to show, and why. */
  clear(reason: string): void {
    this.bids.draw([], zero);
    this.asks.draw([], zero);
    setText(this.spread, "–");
    this.say(reason, true);
    delete this.box.dataset.position;
    delete this.box.dataset.digest;
  }

  private say(text: string, shown: boolean): void {
    this.message.hidden = !shown;
    setText(this.message, text);
  }
}

const zero: Decimal = { units: 0n, scale: 0 };

function larger(a: Decimal, b: Decimal): Decimal {
  return compare(a, b) < 0 ? b : a;
}

/** Percent, for the width of a bar only. */
function share(part: Decimal, whole: Decimal): number {
  return whole.units === 0n ? 0 : (Number(formatDecimal(part)) / Number(formatDecimal(whole))) * 100;
}
