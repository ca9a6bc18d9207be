// Everything the page knows, in memory, bounded. Changed only by the loader and the stream; views
// read it and are told by topic. Single-threaded; listeners must not change the store while they
// are called.
import type {
  Alert,
  AlertList,
  ApiErrorBody,
  Model,
  ModelList,
  Series,
  SeriesList,
  Status,
  Tick,
  Timeline,
  TimelineEntry,
} from "../api/types.ts";
import type { LinkState } from "../api/stream.ts";
import { Ring } from "./ring.ts";

export type Topic =
  | "tick"
  | "status"
  | "series"
  | "alerts"
  | "timeline"
  | "models"
  | "link"
  | "toast";

export interface LiveSeries {
  info: Series;
  ring: Ring;
  // score/threshold, falling slowly, so that the order of the tiles is calm.
  heat: number;
}

export interface Toast {
  kind: "error" | "good";
  message: string;
  how_to_mend: string;
}

const kRingPoints = 120;
const kAlertsMost = 1000;
const kTimelineMost = 2000;
const kHeatHalfLifeS = 15;

export function heat_of(score: number | null, threshold: number | null): number {
  if (score === null || threshold === null || threshold <= 0) return 0;
  return Math.max(0, score / threshold);
}

export class Store {
  status: Status | null = null;
  series = new Map<string, LiveSeries>();
  series_total = 0;
  alerts = new Map<string, Alert>();
  alerts_next: string | null = null;
  timeline: TimelineEntry[] = [];
  timeline_next: number | null = null;
  models: Model[] = [];
  link: LinkState = "connecting";
  link_since_ms = Date.now();
  loaded = false;
  load_error: ApiErrorBody | null = null;
  last_tick: Tick | null = null;
  toast: Toast | null = null;
  private skew_us_ = 0;
  private readonly listeners_ = new Map<Topic, Set<() => void>>();

  on(topics: Topic[], listener: () => void): () => void {
    for (const topic of topics) {
      const set = this.listeners_.get(topic) ?? new Set();
      set.add(listener);
      this.listeners_.set(topic, set);
    }
    return () => topics.forEach((topic) => this.listeners_.get(topic)?.delete(listener));
  }

  emit(topic: Topic): void {
    for (const listener of [...(this.listeners_.get(topic) ?? [])]) listener();
  }

  // The server's clock, so that "5 s ago" is right on a machine whose own clock is not.
  now_us(): number {
    return Date.now() * 1000 + this.skew_us_;
  }

  set_clock(now_us: number): void {
    this.skew_us_ = now_us - Date.now() * 1000;
  }

  set_link(link: LinkState): void {
    if (this.link === link) return;
    this.link = link;
    this.link_since_ms = Date.now();
    this.emit("link");
  }

  say(toast: Toast | null): void {
    this.toast = toast;
    this.emit("toast");
  }

  set_status(status: Status): void {
    this.status = status;
    this.set_clock(status.now_us);
    this.emit("status");
  }

  set_series(list: SeriesList): void {
    this.series_total = list.total;
    const next = new Map<string, LiveSeries>();
    for (const info of list.series) {
      const ring = new Ring(kRingPoints);
      const spark = info.spark;
      spark?.dt_ms.forEach((dt, i) => {
        ring.push(spark.t0_us + dt * 1000, spark.value[i] ?? null, spark.score[i] ?? null);
      });
      if (info.t_us !== null) ring.push(info.t_us, info.value, info.score);
      next.set(info.id, { info, ring, heat: heat_of(info.score, info.threshold) });
    }
    this.series = next;
    this.emit("series");
  }

  // True when the tick named a series that is not known yet: the caller asks for the list.
  apply_tick(tick: Tick): boolean {
    const before_us = this.last_tick?.now_us ?? tick.now_us;
    const fall = 0.5 ** (Math.max(0, tick.now_us - before_us) / 1e6 / kHeatHalfLifeS);
    this.last_tick = tick;
    this.set_clock(tick.now_us);
    let unknown = false;
    for (const live of this.series.values()) {
      live.heat *= fall;
      live.info.alerting = false;
    }
    for (let i = 0; i < tick.id.length; i++) {
      const live = this.series.get(tick.id[i]!);
      if (live === undefined) {
        unknown = true;
        continue;
      }
      const score = tick.score[i] ?? null;
      live.info.t_us = tick.t_us[i] ?? null;
      live.info.value = tick.value[i] ?? null;
      live.info.score = score;
      live.info.warm = tick.warm[i] ?? live.info.warm;
      live.heat = Math.max(live.heat, heat_of(score, live.info.threshold));
      if (live.info.t_us !== null) live.ring.push(live.info.t_us, live.info.value, score);
    }
    for (const id of tick.alerting) {
      const live = this.series.get(id);
      if (live !== undefined) live.info.alerting = true;
    }
    this.emit("tick");
    return unknown;
  }

  put_alert(alert: Alert): void {
    this.alerts.set(alert.id, alert);
    if (this.alerts.size > kAlertsMost) {
      const oldest = this.alerts_newest_first().at(-1);
      if (oldest !== undefined) this.alerts.delete(oldest.id);
    }
    this.emit("alerts");
  }

  set_alerts(list: AlertList, more: boolean): void {
    if (!more) this.alerts.clear();
    for (const alert of list.alerts) this.alerts.set(alert.id, alert);
    this.alerts_next = list.next;
    this.emit("alerts");
  }

  alerts_newest_first(): Alert[] {
    return [...this.alerts.values()].sort(
      (a, b) => b.opened_us - a.opened_us || (a.id < b.id ? 1 : -1),
    );
  }

  set_timeline(list: Timeline, more: boolean): void {
    this.timeline = merge_timeline(more ? this.timeline : [], list.entries);
    this.timeline_next = list.next;
    this.emit("timeline");
  }

  put_entry(entry: TimelineEntry): void {
    this.timeline = merge_timeline(this.timeline, [entry]).slice(0, kTimelineMost);
    this.emit("timeline");
  }

  set_models(list: ModelList): void {
    this.models = list.models;
    this.emit("models");
  }

  put_model(model: Model): void {
    const at = this.models.findIndex((m) => m.name === model.name);
    this.models =
      at < 0 ? [...this.models, model] : this.models.map((old, i) => (i === at ? model : old));
    this.emit("models");
  }
}

// Newest first, each id once.
export function merge_timeline(have: TimelineEntry[], more: TimelineEntry[]): TimelineEntry[] {
  const by_id = new Map<number, TimelineEntry>();
  for (const entry of have) by_id.set(entry.id, entry);
  for (const entry of more) by_id.set(entry.id, entry);
  return [...by_id.values()].sort((a, b) => b.id - a.id);
}
