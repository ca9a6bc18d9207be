// The live stream. One EventSource at a time; owned by main. The heartbeat is the tick: when none
// comes for kSilentMs the connection is thrown away and opened again, resuming after the last id
// seen.
import type { Alert, Hello, Model, Status, Tick, TimelineEntry } from "./types.ts";

export interface StreamEvents {
  hello: (hello: Hello) => void;
  reset: () => void;
  tick: (tick: Tick) => void;
  status: (status: Status) => void;
  alert: (alert: Alert) => void;
  timeline: (entry: TimelineEntry) => void;
  model: (model: Model) => void;
  link: (state: LinkState) => void;
}

export type LinkState = "connecting" | "live" | "lost";

const kSilentMs = 6_000;
const kRetryFirstMs = 500;
const kRetryMostMs = 5_000;

export function retry_delay_ms(failures: number): number {
  return Math.min(kRetryMostMs, kRetryFirstMs * 2 ** Math.min(failures, 10));
}

export class Stream {
  private source_: EventSource | null = null;
  private last_id_ = "";
  private failures_ = 0;
  private silence_: ReturnType<typeof setTimeout> | undefined;
  private retry_: ReturnType<typeof setTimeout> | undefined;
  private readonly on_: StreamEvents;

  constructor(on: StreamEvents) {
    this.on_ = on;
  }

  open(): void {
    this.close();
    this.on_.link(this.failures_ === 0 ? "connecting" : "lost");
    const resume = this.last_id_ ? `?last_event_id=${encodeURIComponent(this.last_id_)}` : "";
    const source = new EventSource(`v1/stream${resume}`);
    this.source_ = source;
    this.watch();
    this.listen<Hello>(source, "hello", (data) => {
      this.failures_ = 0;
      this.on_.link("live");
      this.on_.hello(data);
    });
    this.listen<object>(source, "reset", () => this.on_.reset());
    this.listen<Tick>(source, "tick", (data) => this.on_.tick(data));
    this.listen<Status>(source, "status", (data) => this.on_.status(data));
    this.listen<Alert>(source, "alert", (data) => this.on_.alert(data));
    this.listen<TimelineEntry>(source, "timeline", (data) => this.on_.timeline(data));
    this.listen<Model>(source, "model", (data) => this.on_.model(data));
    source.onerror = () => this.fail();
  }

  close(): void {
    clearTimeout(this.silence_);
    clearTimeout(this.retry_);
    this.source_?.close();
    this.source_ = null;
  }

  private listen<T>(source: EventSource, name: string, take: (data: T) => void): void {
    source.addEventListener(name, (event) => {
      this.watch();
      const message = event as MessageEvent<string>;
      if (message.lastEventId) this.last_id_ = message.lastEventId;
      let data: T;
      try {
        data = JSON.parse(message.data) as T;
      } catch {
        return; // One broken event must not end the page; the next tick or reset mends it.
      }
      take(data);
    });
  }

  private watch(): void {
    clearTimeout(this.silence_);
    this.silence_ = setTimeout(() => this.fail(), kSilentMs);
  }

  private fail(): void {
    this.close();
    this.on_.link("lost");
    this.retry_ = setTimeout(() => this.open(), retry_delay_ms(this.failures_++));
  }
}
