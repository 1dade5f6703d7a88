// Instants as nanoseconds since 1970 (bigint), to and from RFC 3339 text. UTC on the way out.

export type Ns = bigint;

export const NS_PER_MS = 1_000_000n;
export const NS_PER_SECOND = 1_000_000_000n;

const RFC3339 = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/;

/** Null unless `text` is an RFC 3339 time with up to nine decimals. */
export function parseInstant(text: string): Ns | null {
  const match = RFC3339.exec(text.trim());
  if (!match) return null;
  const [, date, clock, fraction = "", zone = "Z"] = match;
  const millis = Date.parse(`${date}T${clock}${zone.toUpperCase()}`);
  if (Number.isNaN(millis)) return null;
  return BigInt(millis) * NS_PER_MS + BigInt(fraction.padEnd(9, "0"));
}

/** `2026-01-05T14:30:00.000000001Z`, always nine decimals. */
export function formatInstant(at: Ns): string {
  const [date, clock, fraction] = parts(at);
  return `${date}T${clock}.${fraction}Z`;
}

/** `2026-01-05 14:30:00.000000001`, for a person; the page says UTC beside it. */
export function displayInstant(at: Ns): string {
  const [date, clock, fraction] = parts(at);
  return `${date} ${clock}.${fraction}`;
}

/** Without decimals, for labels. */
export function displaySecond(at: Ns): string {
  const [date, clock] = parts(at);
  return `${date} ${clock}`;
}

/** A server's time for a person; a dash where there is none. */
export function displayText(text: string | null): string {
  const at = text === null ? null : parseInstant(text);
  return at === null ? "–" : displayInstant(at);
}

/** The date of an instant, `2026-01-05`. */
export function dateOf(at: Ns): string {
  return parts(at)[0];
}

function parts(at: Ns): [string, string, string] {
  let seconds = at / NS_PER_SECOND;
  let fraction = at % NS_PER_SECOND;
  if (fraction < 0n) {
    fraction += NS_PER_SECOND;
    seconds -= 1n;
  }
  const iso = new Date(Number(seconds) * 1000).toISOString();
  return [iso.slice(0, 10), iso.slice(11, 19), fraction.toString().padStart(9, "0")];
}
