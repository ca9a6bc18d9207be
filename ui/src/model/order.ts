// The order of the overview's tiles: most unusual first, but calm. Heat is rounded to steps, so
// that noise does not move tiles; inside a step they stay in the order of their names.
import type { LiveSeries } from "./store.ts";

const kStep = 0.25;

export function matches(filter: string, live: LiveSeries): boolean {
  if (filter.trim() === "") return true;
  const { id, title, metric, entity } = live.info;
  const text = `${id} ${title ?? ""} ${metric} ${entity}`.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function rank(live: LiveSeries): number {
  // Below half the threshold nothing is worth moving for.
  const heat = live.heat < 0.5 ? 0 : Math.floor(live.heat / kStep);
  return live.info.alerting ? 1e6 + heat : heat;
}

export function by_heat(a: LiveSeries, b: LiveSeries): number {
  return rank(b) - rank(a) || by_name(a, b);
}

export function by_name(a: LiveSeries, b: LiveSeries): number {
  return a.info.id < b.info.id ? -1 : a.info.id > b.info.id ? 1 : 0;
}
