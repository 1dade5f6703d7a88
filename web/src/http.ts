// Reading from the engine: one function, which says in words what went wrong.

/** The engine answered, and refused. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly field: string,
  ) {
    super(message);
  }
}

/** Nobody answered. */
export class ConnectionLost extends Error {}

type ConnectionListener = (up: boolean) => void;
const listeners: ConnectionListener[] = [];
let connected: boolean | null = null;

/** Calls `listener` whenever the engine goes or comes back. */
export function onConnection(listener: ConnectionListener): void {
  listeners.push(listener);
}

function setConnected(up: boolean): void {
  if (connected === up) return;
  connected = up;
  for (const listener of listeners) listener(up);
}

const TIMEOUT_MS = 15_000;

/** JSON of `path`. Throws ApiError, ConnectionLost, or an AbortError when `signal` fires. */
export async function getJson<T>(path: string, signal: AbortSignal, statusesWithBody: number[] = []): Promise<T> {
  const own = new AbortController();
  const forward = () => own.abort();
  signal.addEventListener("abort", forward, { once: true });
  if (signal.aborted) own.abort();
  const timer = setTimeout(() => own.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(path, { signal: own.signal, headers: { Accept: "application/json" }, cache: "no-store" });
    const text = await response.text();
    setConnected(true);
    if (!response.ok && !statusesWithBody.includes(response.status)) throw refusal(response, text);
    return parse<T>(path, text);
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    setConnected(false);
    throw new ConnectionLost("connection lost");
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", forward);
  }
}

function parse<T>(path: string, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(`${path} did not answer with JSON`, 0, "");
  }
}

function refusal(response: Response, text: string): ApiError {
  try {
    const { error } = JSON.parse(text) as { error: { message: string; field?: string | null } };
    return new ApiError(error.message, response.status, error.field ?? "");
  } catch {
    return new ApiError(`the engine answered ${response.status} ${response.statusText}`, response.status, "");
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
