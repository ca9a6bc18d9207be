// The columns a chart shows, and how live rows join them. Pure data; times in seconds as the chart
// wants.
import type { AlertBand, Column, History, LabelWindow } from "../api/types.ts";

export interface ChartData {
  t_s: number[];
  value: Column;
  low: Column;
  high: Column;
  score: Column;
  features: [string, Column][];
  threshold: number | null;
  reduced: boolean;
  alerts: AlertBand[];
  labels: LabelWindow[];
}

export function chart_data(history: History, features: string[]): ChartData {
  return {
    t_s: history.t_us.map((t) => t / 1e6),
    value: history.value.slice(),
    low: history.value_min.slice(),
    high: history.value_max.slice(),
    score: history.score.slice(),
    features: features
      .filter((name) => history.features[name] !== undefined)
      .map((name) => [name, history.features[name]!.slice()]),
    threshold: history.threshold,
    reduced: history.bucket_us > 0,
    alerts: history.alerts,
    labels: history.labels,
  };
}

// Adds one live row. False when it cannot be joined truthfully (reduced buckets), so history is
// asked for.
export function append_row(
  data: ChartData,
  t_us: number,
  value: number | null,
  score: number | null,
  from_us: number,
): boolean {
  if (data.reduced) return false;
  const t_s = t_us / 1e6;
  const last = data.t_s[data.t_s.length - 1];
  if (last !== undefined && t_s <= last) return true;
  data.t_s.push(t_s);
  for (const column of [data.value, data.low, data.high]) column.push(value);
  data.score.push(score);
  for (const [, column] of data.features) column.push(null);
  let gone = 0;
  while (gone < data.t_s.length && data.t_s[gone]! * 1e6 < from_us) gone++;
  if (gone > 0) {
    data.t_s.splice(0, gone);
    const columns = [
      data.value,
      data.low,
      data.high,
      data.score,
      ...data.features.map(([, c]) => c),
    ];
    for (const column of columns) column.splice(0, gone);
  }
  return true;
}

// The value where the score is at or beyond the threshold, with the row before, so that a line can
// be drawn.
export function unusual_part(data: ChartData): Column {
  const { score, threshold, value } = data;
  if (threshold === null) return value.map(() => null);
  const over = score.map((s) => s !== null && s >= threshold);
  return value.map((v, i) => (over[i] || over[i + 1] ? v : null));
}

export function nearest(t_s: number[], wanted_s: number): number {
  let low = 0;
  let high = t_s.length - 1;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (t_s[mid]! < wanted_s) low = mid + 1;
    else high = mid;
  }
  if (low > 0 && wanted_s - t_s[low - 1]! <= t_s[low]! - wanted_s) return low - 1;
  return low;
}
