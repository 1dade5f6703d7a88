// What is being looked at: symbol, candle width, instant. The URL's hash holds it, so that a link reproduces it.

export const WIDTHS = ["1s", "10s", "1m"] as const;
export type Width = (typeof WIDTHS)[number];

export const WIDTH_SECONDS: Record<Width, number> = { "1s": 1, "10s": 10, "1m": 60 };

export interface View {
  symbol: string;
  width: Width;
  /** As the interface takes it: an instant or a position. Empty: now. */
  at: string;
}

export function readHash(hash: string): View {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const width = fields.get("width");
  return {
    symbol: fields.get("symbol") ?? "",
    width: WIDTHS.find((known) => known === width) ?? "1m",
    at: fields.get("at") ?? "",
  };
}

export function writeHash(view: View): string {
  const fields = [`symbol=${encodeURIComponent(view.symbol)}`, `width=${view.width}`];
  // Colons are legal in a fragment, and an instant is easier to read with them.
  if (view.at) fields.push(`at=${encodeURIComponent(view.at).replaceAll("%3A", ":")}`);
  return `#${fields.join("&")}`;
}
