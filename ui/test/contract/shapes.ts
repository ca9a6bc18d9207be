// The API contract as checks, independent of the page's types: a field that is missing, or of
// another kind than docs/reference/api.md says, is named by its path. Unknown fields are allowed
// (changes are additions).
export type Check = (value: unknown, path: string, found: string[]) => void;

const fail = (path: string, want: string, value: unknown, found: string[]) =>
  found.push(`${path}: expected ${want}, got ${JSON.stringify(value)?.slice(0, 60) ?? "nothing"}`);

export const str: Check = (v, p, f) => typeof v === "string" || fail(p, "string", v, f);
export const num: Check = (v, p, f) =>
  (typeof v === "number" && Number.isFinite(v)) || fail(p, "number", v, f);
export const bool: Check = (v, p, f) => typeof v === "boolean" || fail(p, "boolean", v, f);
export const int: Check = (v, p, f) => Number.isSafeInteger(v) || fail(p, "integer", v, f);
const time: Check = (v, p, f) =>
  (Number.isSafeInteger(v) && Math.abs(v as number) > 1e14) ||
  fail(p, "microseconds since 1970", v, f);
const any_time: Check = int;
const unit: Check = (v, p, f) =>
  (typeof v === "number" && v >= 0 && v <= 1) || fail(p, "0..1", v, f);
const scalar: Check = (v, p, f) =>
  ["number", "string", "boolean"].includes(typeof v) || fail(p, "scalar", v, f);

export const or_null =
  (check: Check): Check =>
  (v, p, f) =>
    v === null || check(v, p, f);
export const list =
  (check: Check): Check =>
  (v, p, f) =>
    Array.isArray(v)
      ? v.forEach((item, i) => check(item, `${p}[${i}]`, f))
      : fail(p, "array", v, f);
export const dict =
  (check: Check): Check =>
  (v, p, f) => {
    if (typeof v !== "object" || v === null || Array.isArray(v)) return fail(p, "object", v, f);
    for (const [name, item] of Object.entries(v)) check(item, `${p}.${name}`, f);
  };
export const one_of =
  (...names: string[]): Check =>
  (v, p, f) =>
    names.includes(v as string) || fail(p, names.join(" | "), v, f);

export function obj(fields: Record<string, Check>, optional: Record<string, Check> = {}): Check {
  return (v, p, f) => {
    if (typeof v !== "object" || v === null || Array.isArray(v)) return fail(p, "object", v, f);
    const own = v as Record<string, unknown>;
    for (const [name, check] of Object.entries(fields)) check(own[name], `${p}.${name}`, f);
    for (const [name, check] of Object.entries(optional))
      if (name in own) check(own[name], `${p}.${name}`, f);
  };
}

const both =
  (...checks: Check[]): Check =>
  (v, p, f) =>
    checks.forEach((check) => check(v, p, f));

function same_length(...names: string[]): Check {
  return (v, p, f) => {
    const own = v as Record<string, unknown[]>;
    const size = own[names[0]!]?.length;
    for (const name of names)
      if (own[name]?.length !== size) fail(`${p}.${name}`, `${size} rows`, own[name]?.length, f);
  };
}

const rising =
  (name: string): Check =>
  (v, p, f) => {
    const column = (v as Record<string, number[]>)[name] ?? [];
    column.forEach(
      (t, i) => i > 0 && t <= column[i - 1]! && fail(`${p}.${name}[${i}]`, "rising times", t, f),
    );
  };

const incident = obj({
  id: str,
  kind: str,
  state: one_of("running", "ended", "stopped", "healed"),
  started_us: time,
  ends_us: time,
});

const status = obj({
  app: str,
  version: str,
  role: str,
  now_us: time,
  started_us: time,
  uptime_s: num,
  live: bool,
  ready: bool,
  mode: one_of("live", "replay"),
  sources: list(
    obj({
      name: str,
      kind: str,
      state: one_of("starting", "running", "paused", "finished", "failed"),
      lag_events: or_null(num),
      lag_s: or_null(num),
      watermark_age_s: or_null(num),
      events_total: int,
      events_per_s: or_null(num),
      dead_letter_total: int,
      late_total: int,
      message: or_null(str),
    }),
  ),
  stages: list(
    obj({
      name: str,
      count: int,
      p50_us: or_null(num),
      p99_us: or_null(num),
      p999_us: or_null(num),
    }),
  ),
  commit: obj({
    interval_ms: num,
    fsync: str,
    last_us: or_null(num),
    age_s: or_null(num),
    state: one_of("ok", "slow", "disk_full"),
  }),
  outbox: obj({
    sinks: list(
      obj({
        name: str,
        kind: str,
        pending: int,
        delivered_total: int,
        failed_total: int,
        failing_since_us: or_null(time),
        message: or_null(str),
      }),
    ),
  }),
  dead_letter: obj({ total: int, by_reason: list(obj({ reason: str, count: int })) }),
  warmup: obj({ series_total: int, series_warm: int, fraction: unit, eta_s: or_null(num) }),
  alerts: obj({ open: int, unjudged: int }),
  demo: obj({
    enabled: bool,
    kinds: list(str),
    seconds_max: num,
    incident_running: bool,
    incident: or_null(incident),
  }),
  notices: list(obj({ severity: str, code: str, where: str, message: str, how_to_mend: str })),
});

const spark = both(
  obj({ t0_us: any_time, dt_ms: list(num), value: list(or_null(num)), score: list(or_null(num)) }),
  same_length("dt_ms", "value", "score"),
  rising("dt_ms"),
);

const series = obj({
  now_us: time,
  total: int,
  series: list(
    obj({
      id: str,
      metric: str,
      title: or_null(str),
      entity: str,
      unit: str,
      view: str,
      key: str,
      t_us: or_null(any_time),
      value: or_null(num),
      score: or_null(num),
      threshold: or_null(num),
      warm: unit,
      alerting: bool,
      features: list(str),
      spark: or_null(spark),
    }),
  ),
});

const history: Check = both(
  obj({
    id: str,
    from_us: any_time,
    to_us: any_time,
    kept_from_us: any_time,
    bucket_us: int,
    t_us: list(any_time),
    value: list(or_null(num)),
    value_min: list(or_null(num)),
    value_max: list(or_null(num)),
    score: list(or_null(num)),
    threshold: or_null(num),
    features: dict(list(or_null(num))),
    alerts: list(
      obj({ id: str, severity: str, opened_us: any_time, resolved_us: or_null(any_time) }),
    ),
    labels: list(
      obj({
        from_us: any_time,
        to_us: any_time,
        kind: one_of("dataset", "incident", "verdict"),
        name: str,
      }),
    ),
  }),
  same_length("t_us", "value", "value_min", "value_max", "score"),
  rising("t_us"),
);

const members = list(
  obj({ name: str, title: or_null(str), contribution: or_null(num) }),
);
const features = list(
  obj({
    name: str,
    value: or_null(num),
    status: one_of("ok", "empty", "OVERFLOW", "OUTSIDE_MAX_AGE", "warming"),
    aggregate: str,
    window_us: or_null(int),
    usual_low: or_null(num),
    usual_mid: or_null(num),
    usual_high: or_null(num),
  }),
);

const sums_to_score: Check = (v, p, f) => {
  const { value, members: parts } = v as {
    value: number | null;
    members: { contribution: number | null }[];
  };
  if (value === null || parts.length === 0 || parts.some((m) => m.contribution === null)) return;
  const sum = parts.reduce((n, m) => n + (m.contribution ?? 0), 0);
  if (Math.abs(sum - value) > 0.02 + Math.abs(value) * 0.01)
    fail(p, `members that sum to ${value}`, sum, f);
};

const moment = obj({
  view: str,
  key: str,
  as_of_us: any_time,
  event_us: or_null(any_time),
  value: or_null(num),
  features,
  score: or_null(
    both(
      obj({ value: or_null(num), threshold: or_null(num), model: str, version: str, members }),
      sums_to_score,
    ),
  ),
});

const alert = obj({
  id: str,
  decision: str,
  state: one_of("open", "resolved"),
  severity: one_of("info", "warning", "critical"),
  title: str,
  series_id: str,
  metric: str,
  entity: str,
  unit: str,
  began_us: any_time,
  opened_us: any_time,
  resolved_us: or_null(any_time),
  recovered_after_s: or_null(num),
  value: or_null(num),
  score: or_null(num),
  score_max: or_null(num),
  threshold: or_null(num),
  usual_low: or_null(num),
  usual_mid: or_null(num),
  usual_high: or_null(num),
  model: str,
  version: str,
  members,
  features,
  actions: list(
    obj({
      id: str,
      name: str,
      kind: str,
      mode: one_of("live", "dry_run"),
      state: one_of("pending", "started", "delivered", "failed", "skipped", "unknown"),
      attempts: int,
      started_us: or_null(time),
      ended_us: or_null(time),
      http_status: or_null(int),
      exit_code: or_null(int),
      message: or_null(str),
      outcome: or_null(one_of("pending", "recovered", "not_recovered")),
      outcome_us: or_null(any_time),
      check_within_s: or_null(num),
    }),
  ),
  incident_id: or_null(str),
  verdict: or_null(obj({ verdict: one_of("real", "false_alarm"), note: str, at_us: time })),
});

const alerts = obj({
  alerts: list(alert),
  counts: obj({ open: int, unjudged: int }),
  next: or_null(str),
});

const entry = obj({
  id: int,
  t_us: time,
  kind: str,
  phase: str,
  severity: one_of("info", "good", "warning", "critical"),
  title: str,
  detail: str,
  ref: obj(
    {},
    {
      alert_id: str,
      series_id: str,
      action_id: str,
      incident_id: str,
      model: str,
      version: str,
      run_id: str,
    },
  ),
});

const newest_first: Check = (v, p, f) => {
  const list = (v as { entries: { id: number }[] }).entries ?? [];
  list.forEach(
    (e, i) =>
      i > 0 && e.id >= list[i - 1]!.id && fail(`${p}.entries[${i}].id`, "falling ids", e.id, f),
  );
};

const timeline = both(obj({ entries: list(entry), next: or_null(int) }), newest_first);

const run = obj({
  run_id: str,
  state: one_of("queued", "running", "published", "refused", "failed"),
  trigger: str,
  reason: str,
  trials_done: int,
  trials_total: int,
  best: or_null(num),
  version: or_null(str),
  started_us: time,
  ended_us: or_null(time),
  message: or_null(str),
});

const model = obj({
  name: str,
  kind: str,
  champion: or_null(str),
  decisions: list(str),
  drift: or_null(
    obj({
      test: str,
      value: or_null(num),
      threshold: num,
      state: one_of("steady", "drifting"),
      checked_us: or_null(time),
    }),
  ),
  labels: or_null(obj({ total: int, needed: int, real: int, false_alarm: int })),
  versions: list(
    obj({
      version: str,
      state: one_of("published", "warming", "warmed", "champion", "rolling_back", "previous", "refused", "failed"),
      warm: unit,
      series_warm: int,
      series_total: int,
      published_us: time,
      swapped_us: or_null(time),
      reason: or_null(str),
      metrics: list(
        obj({
          name: str,
          value: or_null(num),
          champion: or_null(num),
          better: one_of("higher", "lower"),
        }),
      ),
      settings: dict(scalar),
      lineage: or_null(
        obj({
          run_id: or_null(str),
          parent: or_null(str),
          labels: or_null(int),
          data_from_us: or_null(any_time),
          data_to_us: or_null(any_time),
        }),
      ),
    }),
  ),
  training: list(run),
});

const tick = both(
  obj({
    now_us: time,
    id: list(str),
    t_us: list(any_time),
    value: list(or_null(num)),
    score: list(or_null(num)),
    warm: list(unit),
    points: list(int),
    alerting: list(str),
  }),
  same_length("id", "t_us", "value", "score", "warm", "points"),
);

// By the word beside ```json in the document, and, for the stream, by the name of the event.
export const shapes: Record<string, Check> = {
  error: obj({ code: str, where: str, message: str, how_to_mend: str }),
  status,
  series,
  history,
  features: moment,
  alerts,
  alert,
  timeline,
  entry,
  models: obj({ models: list(model) }),
  model,
  run,
  incident,
  tick,
  hello: obj({ started_us: time, now_us: time, interval_ms: int }),
  reset: obj({}),
  "verdict-request": obj({ verdict: one_of("real", "false_alarm") }, { note: str }),
  "retrain-request": obj({ reason: str }),
  rollback: obj({ model: str, from: str, to: str }),
  "incident-request": obj({ kind: one_of("cpu", "memory", "disk"), seconds: num }),
};

export function faults(name: string, value: unknown): string[] {
  const found: string[] = [];
  const check = shapes[name];
  if (check === undefined) return [`there is no shape '${name}'`];
  check(value, name, found);
  return found;
}
