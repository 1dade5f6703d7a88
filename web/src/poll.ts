// Repeats one request: never two at a time, stale ones aborted, slower when the answers are slow.
import { isAbort } from "./http";

export class Poller<T> {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;
  private active = false;

  /** `interval` says how long to wait after an answer, in ms; null means: do not ask again. */
  constructor(
    private readonly interval: (failed: boolean) => number | null,
    private readonly request: (signal: AbortSignal) => Promise<T>,
    private readonly answer: (value: T) => void,
    private readonly failure: (error: Error) => void,
  ) {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.active && this.running === null) this.restart();
    });
  }

  /** Drops what is under way and asks now. */
  restart(): void {
    this.stop();
    this.active = true;
    void this.run();
  }

  stop(): void {
    this.active = false;
    clearTimeout(this.timer);
    this.running?.abort();
    this.running = null;
  }

  private async run(): Promise<void> {
    const controller = new AbortController();
    this.running = controller;
    const started = performance.now();
    let failed = false;
    try {
      const value = await this.request(controller.signal);
      if (this.running === controller) this.answer(value);
    } catch (error) {
      if (this.running !== controller || isAbort(error)) return;
      failed = true;
      this.failure(error as Error);
    }
    if (this.running !== controller) return;
    this.running = null;
    this.schedule(this.interval(failed), performance.now() - started);
  }

  private schedule(interval: number | null, took: number): void {
    if (interval === null || !this.active) return;
    this.timer = setTimeout(() => {
      if (!document.hidden) void this.run();
    }, Math.max(interval, took * 2));
  }
}
