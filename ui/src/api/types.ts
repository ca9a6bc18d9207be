// The shapes of docs/reference/api.md, one type per example there. Units are in the names.

export interface ApiErrorBody {
  code: string;
  where: string;
  message: string;
  how_to_mend: string;
}

export interface SourceStatus {
  name: string;
  kind: string;
  state: string;
  lag_events: number | null;
  lag_s: number | null;
  watermark_age_s: number | null;
  events_total: number;
  events_per_s: number | null;
  dead_letter_total: number;
  late_total: number;
  message: string | null;
}

export interface StageStatus {
  name: string;
  count: number;
  p50_us: number | null;
  p99_us: number | null;
  p999_us: number | null;
}

export interface SinkStatus {
  name: string;
  kind: string;
  pending: number;
  delivered_total: number;
  failed_total: number;
  failing_since_us: number | null;
  message: string | null;
}

export interface Incident {
  id: string;
  kind: string;
  state: string;
  started_us: number;
  ends_us: number;
}

export interface Notice {
  severity: string;
  code: string;
  where: string;
  message: string;
  how_to_mend: string;
}

export interface Status {
  app: string;
  version: string;
  role: string;
  now_us: number;
  started_us: number;
  uptime_s: number;
  live: boolean;
  ready: boolean;
  mode: string;
  sources: SourceStatus[];
  stages: StageStatus[];
  commit: {
    interval_ms: number;
    fsync: string;
    last_us: number | null;
    age_s: number | null;
    state: string;
  };
  outbox: { sinks: SinkStatus[] };
  dead_letter: { total: number; by_reason: { reason: string; count: number }[] };
  warmup: {
    series_total: number;
    series_warm: number;
    fraction: number;
    eta_s: number | null;
  };
  alerts: { open: number; unjudged: number };
  demo: {
    enabled: boolean;
    kinds: string[];
    seconds_max: number;
    incident_running: boolean;
    incident: Incident | null;
  };
  notices: Notice[];
}

export interface Spark {
  t0_us: number;
  dt_ms: number[];
  value: (number | null)[];
  score: (number | null)[];
}

export interface Series {
  id: string;
  metric: string;
  title: string | null;
  entity: string;
  unit: string;
  view: string;
  key: string;
  t_us: number | null;
  value: number | null;
  score: number | null;
  threshold: number | null;
  warm: number;
  alerting: boolean;
  features: string[];
  spark: Spark | null;
}

export interface SeriesList {
  now_us: number;
  total: number;
  series: Series[];
}

export interface AlertBand {
  id: string;
  severity: string;
  opened_us: number;
  resolved_us: number | null;
}

export interface LabelWindow {
  from_us: number;
  to_us: number;
  kind: string;
  name: string;
}

export type Column = (number | null)[];

export interface History {
  id: string;
  from_us: number;
  to_us: number;
  kept_from_us: number;
  bucket_us: number;
  t_us: number[];
  value: Column;
  value_min: Column;
  value_max: Column;
  score: Column;
  threshold: number | null;
  features: Record<string, Column>;
  alerts: AlertBand[];
  labels: LabelWindow[];
}

export interface FeatureValue {
  name: string;
  value: number | null;
  status: string;
  aggregate: string;
  window_us: number | null;
  usual_low: number | null;
  usual_mid: number | null;
  usual_high: number | null;
}

export interface Member {
  name: string;
  title: string | null;
  contribution: number | null;
}

export interface Moment {
  view: string;
  key: string;
  as_of_us: number;
  event_us: number | null;
  value: number | null;
  features: FeatureValue[];
  score: {
    value: number | null;
    threshold: number | null;
    model: string;
    version: string;
    members: Member[];
  } | null;
}

export interface Action {
  id: string;
  name: string;
  kind: string;
  mode: string;
  state: string;
  attempts: number;
  started_us: number | null;
  ended_us: number | null;
  http_status: number | null;
  exit_code: number | null;
  message: string | null;
  outcome: string | null;
  outcome_us: number | null;
  check_within_s: number | null;
}

export interface Verdict {
  verdict: "real" | "false_alarm";
  note: string;
  at_us: number;
}

export interface Alert {
  id: string;
  decision: string;
  state: string;
  severity: string;
  title: string;
  series_id: string;
  metric: string;
  entity: string;
  unit: string;
  began_us: number;
  opened_us: number;
  resolved_us: number | null;
  recovered_after_s: number | null;
  value: number | null;
  score: number | null;
  score_max: number | null;
  threshold: number | null;
  usual_low: number | null;
  usual_mid: number | null;
  usual_high: number | null;
  model: string;
  version: string;
  members: Member[];
  features: FeatureValue[];
  actions: Action[];
  incident_id: string | null;
  verdict: Verdict | null;
}

export interface AlertList {
  alerts: Alert[];
  counts: { open: number; unjudged: number };
  next: string | null;
}

export interface TimelineEntry {
  id: number;
  t_us: number;
  kind: string;
  phase: string;
  severity: string;
  title: string;
  detail: string;
  ref: {
    alert_id?: string;
    series_id?: string;
    action_id?: string;
    incident_id?: string;
    model?: string;
    version?: string;
    run_id?: string;
  };
}

export interface Timeline {
  entries: TimelineEntry[];
  next: number | null;
}

export interface ModelVersion {
  version: string;
  state: string;
  warm: number;
  series_warm: number;
  series_total: number;
  published_us: number;
  swapped_us: number | null;
  reason: string | null;
  metrics: { name: string; value: number | null; champion: number | null; better: string }[];
  settings: Record<string, number | string | boolean>;
  lineage: {
    run_id: string | null;
    parent: string | null;
    labels: number | null;
    data_from_us: number | null;
    data_to_us: number | null;
  } | null;
}

export interface TrainingRun {
  run_id: string;
  state: string;
  trigger: string;
  reason: string;
  trials_done: number;
  trials_total: number;
  best: number | null;
  version: string | null;
  started_us: number;
  ended_us: number | null;
  message: string | null;
}

export interface Model {
  name: string;
  kind: string;
  champion: string | null;
  decisions: string[];
  drift: {
    test: string;
    value: number | null;
    threshold: number;
    state: string;
    checked_us: number | null;
  } | null;
  labels: { total: number; needed: number; real: number; false_alarm: number } | null;
  versions: ModelVersion[];
  training: TrainingRun[];
}

export interface Rollback {
  model: string;
  from: string;
  to: string;
}

export interface ModelList {
  models: Model[];
}

export interface Tick {
  now_us: number;
  id: string[];
  t_us: number[];
  value: Column;
  score: Column;
  warm: number[];
  points: number[];
  alerting: string[];
}

export interface Hello {
  started_us: number;
  now_us: number;
  interval_ms: number;
}
