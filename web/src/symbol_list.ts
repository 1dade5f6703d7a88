// The list on the left: search, sort, choose. Only the rows in sight are in the DOM, so thousands of symbols are fine.
import { compare, parseDecimal, type Decimal } from "./decimal";
import { byId, formatCount, make, setText, setTrust, shortCount } from "./dom";
import type { SymbolRow } from "./types";

type Key = "symbol" | "trust" | "last" | "bid" | "ask" | "events";

const ROW_HEIGHT = 26;
const MARGIN_ROWS = 8;
const CELLS = 6;

// Worst first, so that one click shows what needs attention.
const TRUST_ORDER = ["suspect", "gapped", "resyncing", "recovering", "clean"];

export class SymbolList {
  private rows: SymbolRow[] = [];
  private shown: SymbolRow[] = [];
  private selected = "";
  private key: Key = "symbol";
  private descending = false;
  private loaded = false;

  private readonly scroll = byId("symbols-scroll");
  private readonly body = byId("symbol-rows");
  private readonly search = byId<HTMLInputElement>("search");
  private readonly count = byId("symbol-count");
  private readonly empty = byId("symbols-empty");
  private readonly headers = [...this.scroll.querySelectorAll<HTMLElement>("th")];
  private readonly above = spacer();
  private readonly below = spacer();
  private readonly pool: HTMLTableRowElement[] = [];

  constructor(private readonly choose: (symbol: string) => void) {
    this.body.append(this.above, this.below);
    this.search.addEventListener("input", () => this.arrange(true));
    this.search.addEventListener("keydown", (event) => this.searchKey(event));
    this.scroll.addEventListener("scroll", () => this.draw(), { passive: true });
    this.scroll.addEventListener("keydown", (event) => this.moveKey(event));
    this.body.addEventListener("click", (event) => this.click(event));
    for (const header of this.headers) {
      header.querySelector("button")?.addEventListener("click", () => this.sortBy(header.dataset.key as Key));
    }
    new ResizeObserver(() => this.draw()).observe(this.scroll);
    document.addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLInputElement;
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        this.search.focus();
      }
    });
  }

  update(rows: SymbolRow[]): void {
    this.rows = rows;
    this.loaded = true;
    this.arrange(false);
  }

  /** Nothing is listed yet, and why. */
  fail(reason: string): void {
    if (!this.loaded) setText(this.empty, reason);
  }

  find(symbol: string): SymbolRow | undefined {
    return this.rows.find((row) => row.symbol === symbol);
  }

  select(symbol: string): void {
    if (this.selected === symbol) return;
    this.selected = symbol;
    this.reveal();
    this.draw();
  }

  private click(event: Event): void {
    const row = (event.target as HTMLElement).closest<HTMLElement>("tr[data-symbol]");
    if (row?.dataset.symbol) this.choose(row.dataset.symbol);
  }

  private searchKey(event: KeyboardEvent): void {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.scroll.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const exact = this.shown.find((row) => row.symbol === this.search.value.trim().toUpperCase());
      const first = exact ?? this.shown[0];
      if (first) this.choose(first.symbol);
    } else if (event.key === "Escape") {
      this.search.value = "";
      this.arrange(true);
    }
  }

  private moveKey(event: KeyboardEvent): void {
    if (event.target !== this.scroll || this.shown.length === 0) return;
    const last = this.shown.length - 1;
    const at = this.shown.findIndex((row) => row.symbol === this.selected);
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW_HEIGHT) - 2);
    const moves: Record<string, number> = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last,
    };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const row = this.shown[Math.min(last, Math.max(0, to))];
    if (row) this.choose(row.symbol);
  }

  private sortBy(key: Key): void {
    const numeric = key === "events" || key === "last" || key === "bid" || key === "ask";
    this.descending = this.key === key ? !this.descending : numeric;
    this.key = key;
    for (const header of this.headers) {
      if (header.dataset.key === key) header.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    this.arrange(true);
  }

  /** Filters and sorts. */
  private arrange(toTop: boolean): void {
    const wanted = this.search.value.trim().toUpperCase();
    this.shown = this.rows.filter((row) => row.symbol.toUpperCase().includes(wanted));
    sortRows(this.shown, this.key, this.descending);
    setText(this.count, this.loaded ? countText(this.shown.length, this.rows.length) : "");
    this.empty.hidden = this.shown.length > 0;
    setText(this.empty, emptyText(this.loaded, this.rows.length));
    this.scroll.setAttribute("aria-rowcount", String(this.shown.length + 1));
    if (toTop) this.scroll.scrollTop = 0;
    this.draw();
  }

  private reveal(): void {
    const at = this.shown.findIndex((row) => row.symbol === this.selected);
    if (at < 0) return;
    const header = ROW_HEIGHT;
    const top = at * ROW_HEIGHT;
    const view = this.scroll.clientHeight - header;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top + ROW_HEIGHT > this.scroll.scrollTop + view) this.scroll.scrollTop = top + ROW_HEIGHT - view;
  }

  private draw(): void {
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW_HEIGHT) - MARGIN_ROWS);
    const sight = Math.ceil(this.scroll.clientHeight / ROW_HEIGHT) + 2 * MARGIN_ROWS;
    const end = Math.min(this.shown.length, first + sight);
    setHeight(this.above, first);
    setHeight(this.below, this.shown.length - end);
    for (let i = 0; i < Math.max(end - first, this.pool.length); ++i) this.drawRow(i, first + i, end);
    const at = this.shown.findIndex((row) => row.symbol === this.selected);
    if (at >= first && at < end) this.scroll.setAttribute("aria-activedescendant", `symbol-row-${at}`);
    else this.scroll.removeAttribute("aria-activedescendant");
  }

  private drawRow(slot: number, index: number, end: number): void {
    const data = index < end ? this.shown[index] : undefined;
    let row = this.pool[slot];
    if (!row) {
      row = newRow();
      this.pool.push(row);
      this.below.before(row);
    }
    row.hidden = data === undefined;
    if (data) fill(row, data, index, data.symbol === this.selected);
    else row.removeAttribute("data-symbol");
  }
}

function spacer(): HTMLTableRowElement {
  const row = make("tr", "spacer");
  row.setAttribute("aria-hidden", "true");
  row.append(make("td"));
  return row;
}

function setHeight(row: HTMLTableRowElement, rows: number): void {
  row.hidden = rows === 0;
  row.style.height = `${rows * ROW_HEIGHT}px`;
}

function newRow(): HTMLTableRowElement {
  const row = make("tr");
  row.setAttribute("role", "row");
  for (let i = 0; i < CELLS; ++i) {
    const cell = make("td", i >= 2 ? "num" : "");
    cell.setAttribute("role", "gridcell");
    row.append(cell);
  }
  row.cells[1]?.append(make("span", "badge"));
  return row;
}

function fill(row: HTMLTableRowElement, data: SymbolRow, index: number, selected: boolean): void {
  row.dataset.symbol = data.symbol;
  row.id = `symbol-row-${index}`;
  row.setAttribute("aria-rowindex", String(index + 2));
  row.setAttribute("aria-selected", String(selected));
  const [symbol, trust, last, bid, ask, events] = row.cells;
  setText(symbol!, data.symbol);
  symbol!.title = data.symbol;
  setTrust(trust!.firstElementChild as HTMLElement, data.trust);
  setText(last!, data.last_trade ?? "–");
  setText(bid!, data.best_bid?.price ?? "–");
  setText(ask!, data.best_ask?.price ?? "–");
  setText(events!, shortCount(data.events.folded));
  events!.title = `${formatCount(data.events.folded)} events folded`;
}

function priceOf(row: SymbolRow, key: "last" | "bid" | "ask"): string | null {
  if (key === "last") return row.last_trade;
  return (key === "bid" ? row.best_bid : row.best_ask)?.price ?? null;
}

function sortRows(rows: SymbolRow[], key: Key, descending: boolean): void {
  const sign = descending ? -1 : 1;
  if (key === "last" || key === "bid" || key === "ask") sortByPrice(rows, key, sign);
  else rows.sort((a, b) => sign * comparator(key)(a, b) || bySymbol(a, b));
}

/** A symbol without the price goes last, whichever way it is sorted. */
function sortByPrice(rows: SymbolRow[], key: "last" | "bid" | "ask", sign: number): void {
  const prices = new Map<SymbolRow, Decimal | null>();
  for (const row of rows) {
    const text = priceOf(row, key);
    prices.set(row, text === null ? null : parseDecimal(text));
  }
  rows.sort((a, b) => {
    const [left, right] = [prices.get(a), prices.get(b)];
    if (!left || !right) return Number(!left) - Number(!right) || bySymbol(a, b);
    return sign * compare(left, right) || bySymbol(a, b);
  });
}

function bySymbol(a: SymbolRow, b: SymbolRow): number {
  return a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0;
}

function comparator(key: "symbol" | "trust" | "events"): (a: SymbolRow, b: SymbolRow) => number {
  if (key === "symbol") return bySymbol;
  if (key === "events") return (a, b) => a.events.folded - b.events.folded;
  return (a, b) => TRUST_ORDER.indexOf(a.trust) - TRUST_ORDER.indexOf(b.trust);
}

function countText(shown: number, all: number): string {
  return shown === all ? formatCount(all) : `${formatCount(shown)} of ${formatCount(all)}`;
}

function emptyText(loaded: boolean, all: number): string {
  if (!loaded) return "Loading symbols …";
  return all === 0 ? "No symbol has been seen on the tape yet." : "No symbol matches the search.";
}
