// What the make-believe world says of itself: its status, features, members and first model.
import type { FeatureValue, Member, Model, ModelVersion, Status } from "../../src/api/types.ts";
import { kStart_us, kThreshold, type MockSeries, type World } from "./world.ts";

const kDiskFull = {
  severity: "critical",
  code: "disk_full",
  where: "data folder",
  message: "The disk with the data folder is full; new events wait.",
  how_to_mend: "Free some space: intake resumes by itself, nothing is lost.",
};

function sources_of(world: World): Status["sources"] {
  return [
    {
      name: "machine",
      kind: "host",
      state: world.options.trouble ? "paused" : "running",
      lag_events: 0,
      lag_s: world.options.trouble ? 14.2 : 0.3,
      watermark_age_s: world.options.trouble ? 15.1 : 1.1,
      events_total: world.second * world.series.length,
      events_per_s: world.series.length,
      dead_letter_total: 0,
      late_total: 0,
      message: world.options.trouble ? "waiting for the disk" : null,
    },
  ];
}

function sinks_of(world: World): Status["outbox"]["sinks"] {
  return [
    {
      name: "heal",
      kind: "webhook",
      pending: world.options.trouble ? 3 : 0,
      delivered_total: world.alerts.length,
      failed_total: 0,
      failing_since_us: world.options.trouble ? world.now_us - 40e6 : null,
      message: world.options.trouble ? "connection refused" : null,
    },
  ];
}

export function status_of(world: World): Status {
  const warm = world.series.filter((s) => s.warm >= 1).length;
  const fraction =
    world.series.length === 0
      ? 0
      : world.series.reduce((n, s) => n + s.warm, 0) / world.series.length;
  const trouble = world.options.trouble;
  const stage = (name: string, p50: number) => ({
    name,
    count: world.second * world.series.length,
    p50_us: p50,
    p99_us: p50 * 6.3,
    p999_us: p50 * 14,
  });
  return {
    app: "anomaly",
    version: "0.1.0",
    role: "all",
    now_us: world.now_us,
    started_us: kStart_us,
    uptime_s: world.second,
    live: true,
    ready: true,
    mode: world.options.mode,
    sources: sources_of(world),
    stages: [stage("computed", 41), stage("durable", 2300), stage("delivered", 5200)],
    commit: {
      interval_ms: 4,
      fsync: "machine",
      last_us: 240,
      age_s: 0.01,
      state: trouble ? "disk_full" : "ok",
    },
    outbox: { sinks: sinks_of(world) },
    dead_letter: {
      total: trouble ? 12 : 0,
      by_reason: trouble ? [{ reason: "bad_json", count: 12 }] : [],
    },
    warmup: {
      series_total: world.series.length,
      series_warm: warm,
      fraction,
      eta_s: fraction >= 1 ? 0 : world.options.warm_s - world.second,
    },
    alerts: {
      open: world.alerts.filter((a) => a.state === "open").length,
      unjudged: world.alerts.filter((a) => a.verdict === null).length,
    },
    demo: {
      enabled: world.options.mode === "live",
      kinds: world.options.mode === "live" ? ["cpu", "memory", "disk"] : [],
      seconds_max: 120,
      incident_running: world.incident !== null,
      incident: world.incident,
    },
    notices: world.options.trouble ? [kDiskFull] : [],
  };
}

export function round(n: number): number {
  return Number(n.toPrecision(6));
}

export function usual(s: MockSeries): { usual_low: number; usual_mid: number; usual_high: number } {
  const { base, noise, wave } = s.signal;
  return {
    usual_low: round(Math.max(0, base - wave - noise)),
    usual_mid: base,
    usual_high: round(base + wave + noise),
  };
}

export function members(score: number): Member[] {
  const shares: [string, string, number][] = [
    ["knn_12x2", "unlike any shape seen before", 0.44],
    ["knn_8x3", "unlike any longer shape", 0.31],
    ["entropy", "values fall in other places than usual", 0.13],
    ["activity", "moves more than usual", 0.09],
    ["seasonal", "unusual for this hour", 0.03],
  ];
  return shares.map(([name, title, share]) => ({
    name,
    title,
    contribution: round(share * score),
  }));
}

export function features(s: MockSeries, as_of_us: number): FeatureValue[] {
  const rows = s.rows
    .filter((r) => r.t_us <= as_of_us && r.t_us > as_of_us - 60e6)
    .map((r) => r.value);
  const sorted = [...rows].sort((a, b) => a - b);
  const found: Record<string, number | null> = {
    mean: rows.length ? round(rows.reduce((a, b) => a + b, 0) / rows.length) : null,
    max: sorted[sorted.length - 1] ?? null,
    p95: sorted[Math.floor(sorted.length * 0.95)] ?? null,
  };
  return Object.entries(found).map(([aggregate, value]) => ({
    name: `${aggregate}_1m`,
    value,
    status: value === null ? "empty" : "ok",
    aggregate,
    window_us: 60_000_000,
    ...usual(s),
  }));
}

export function blank_version(version: string, series: number, now_us: number): ModelVersion {
  return {
    version,
    state: "champion",
    warm: 1,
    series_warm: series,
    series_total: series,
    published_us: now_us,
    swapped_us: null,
    reason: null,
    metrics: [],
    settings: {},
    lineage: null,
  };
}

export function first_model(series: number): Model {
  const before = kStart_us - 86_400e6;
  return {
    name: "machine",
    kind: "detector ensemble",
    champion: "1",
    decisions: ["unusual"],
    drift: { test: "ks", value: 0.06, threshold: 0.2, state: "steady", checked_us: kStart_us },
    labels: { total: 4, needed: 5, real: 3, false_alarm: 1 },
    versions: [
      {
        ...blank_version("1", series, before),
        swapped_us: before,
        settings: { threshold: kThreshold, "knn.neighbours": 5 },
      },
    ],
    training: [],
  };
}
