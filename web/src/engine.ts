// The engine's HTTP interface, one function a route.
import { getJson } from "./http";
import { LADDER_DEPTH } from "./ladder";
import type { HealthAnswer } from "./status";
import type { Book, Metrics, PartitionPosition, SupervisionNode, SymbolRow } from "./types";

export async function fetchSymbols(signal: AbortSignal): Promise<SymbolRow[]> {
  return getJson<SymbolRow[]>("/v1/symbols", signal);
}

/** `at` empty: now. */
export async function fetchBook(symbol: string, at: string, signal: AbortSignal): Promise<Book> {
  const query = new URLSearchParams({ depth: String(LADDER_DEPTH) });
  if (at) query.set("at", at);
  return getJson<Book>(`/v1/symbols/${encodeURIComponent(symbol)}/book?${query}`, signal);
}

export async function fetchMetrics(symbol: string, signal: AbortSignal): Promise<Metrics> {
  return getJson<Metrics>(`/v1/symbols/${encodeURIComponent(symbol)}/metrics`, signal);
}

export interface EngineStatus {
  health: HealthAnswer;
  positions: PartitionPosition[];
  supervision: SupervisionNode;
}

export async function fetchStatus(signal: AbortSignal): Promise<EngineStatus> {
  const [health, positions, supervision] = await Promise.all([
    getJson<HealthAnswer>("/health/ready", signal, [503]),
    getJson<PartitionPosition[]>("/v1/positions", signal),
    getJson<SupervisionNode>("/v1/supervision", signal),
  ]);
  return { health, positions, supervision };
}
