// The small chart in an alert card: the series around the alert, the alert's span shaded. One cache
// for all cards; an open alert is asked for again every few seconds, a closed one once.
import { api } from "../api/client.ts";
import type { Alert, History } from "../api/types.ts";
import { draw_spark } from "./spark.ts";

const kAround_us = 90e6;
const kAgainMs = 3_000;
const kCacheMost = 60;

interface Entry {
  history: History | null;
  asked_ms: number;
  final: boolean;
}

const cache_ = new Map<string, Entry>();

function wanted(entry: Entry | undefined): boolean {
  if (entry === undefined) return true;
  return !entry.final && performance.now() - entry.asked_ms > kAgainMs;
}

async function ask(alert: Alert, newest_us: number): Promise<void> {
  const end = alert.resolved_us ?? Math.max(newest_us, alert.opened_us);
  const before = Math.max(kAround_us, (end - alert.opened_us) / 2);
  const until = end + before;
  const old = cache_.get(alert.id);
  const entry: Entry = { history: old?.history ?? null, asked_ms: performance.now(), final: false };
  cache_.set(alert.id, entry);
  if (cache_.size > kCacheMost) cache_.delete(cache_.keys().next().value!);
  try {
    entry.history = await api.history(alert.series_id, {
      from_us: Math.round(alert.opened_us - before),
      to_us: Math.round(until),
      max_points: 300,
    });
    entry.final = alert.resolved_us !== null && newest_us >= until;
  } catch {
    // The card stands without its picture; the next render asks again.
  }
}

export function draw_mini(canvas: HTMLCanvasElement, alert: Alert, newest_us: number): void {
  const entry = cache_.get(alert.id);
  if (wanted(entry)) {
    void ask(alert, newest_us).then(() => {
      if (canvas.isConnected) paint(canvas, alert, newest_us);
    });
  }
  paint(canvas, alert, newest_us);
}

function paint(canvas: HTMLCanvasElement, alert: Alert, newest_us: number): void {
  const history = cache_.get(alert.id)?.history;
  if (!history || history.t_us.length === 0) return;
  const threshold = history.threshold ?? Number.POSITIVE_INFINITY;
  const last = history.t_us[history.t_us.length - 1]!;
  draw_spark(
    canvas,
    {
      size: history.t_us.length,
      t: (i) => history.t_us[i]!,
      value: (i) => history.value[i] ?? Number.NaN,
      unusual: (i) => (history.score[i] ?? 0) >= threshold,
    },
    {
      from: history.t_us[0]!,
      to: last,
      band: { from: alert.began_us, to: alert.resolved_us ?? Math.max(newest_us, last) },
    },
  );
}
