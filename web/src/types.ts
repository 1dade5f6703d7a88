// The shapes that the engine's HTTP interface answers with. Prices and sizes are decimal strings, times RFC 3339.

export interface Position {
  partition: number;
  offset: number;
  index: number;
}

export type Trust = "clean" | "gapped" | "resyncing" | "suspect" | "recovering";

export interface Level {
  price: string;
  size: string;
  orders: number | null;
}

export interface EventCounts {
  read: number;
  folded: number;
  duplicates: number;
  refused: number;
  filtered: number;
}

export interface SymbolRow {
  symbol: string;
  position: Position;
  event_time: string | null;
  feed_time: string | null;
  trust: Trust;
  digest: string;
  events: EventCounts;
  best_bid: Level | null;
  best_ask: Level | null;
  last_trade: string | null;
  trades: number;
}

export interface Book {
  symbol: string;
  position: Position;
  event_time: string | null;
  trust: Trust;
  trust_since: Position | null;
  digest: string;
  bids: Level[];
  asks: Level[];
}

export interface Candle {
  open_time: string;
  close_time: string;
  open: string;
  high: string;
  low: string;
  close: string;
  volume: string;
  vwap: string | null;
  trades: number;
  revision: number;
  state: "open" | "closed";
}

export interface Metrics {
  event_time: string | null;
  levels: number;
  imbalance: string | null;
  weighted_imbalance: string | null;
  spread: string | null;
  spread_bps: string | null;
  vtob: string | null;
  microprice: string | null;
  order_flow_imbalance: string | null;
}

export interface PartitionPosition {
  partition: number;
  next: number;
  end: number;
  frontier: number;
  cursor: number;
  checkpoint: number;
  feed_time: string | null;
}

export interface SupervisionNode {
  name: string;
  state: string;
  restarts: number;
  last_error: string | null;
  children: SupervisionNode[];
  children_running: number;
}
