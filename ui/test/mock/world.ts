// A make-believe Quickwater: the state behind the API, moved on by step(), one second each. The
// incident's story is scripted: noticed after some seconds beyond the threshold, healed by the
// webhook, recovered, judged, trained on, warmed and swapped. No real clock and no chance: the same
// steps, the same answers.
import type {
  Alert,
  Incident,
  Model,
  ModelVersion,
  Status,
  Tick,
  TimelineEntry,
  TrainingRun,
} from "../../src/api/types.ts";
import {
  blank_version,
  features,
  first_model,
  members,
  round,
  status_of,
  usual,
} from "./answers.ts";
import { machine_signals, Random, signal_value, type Signal } from "./signals.ts";

export const kStart_us = 1_795_424_100_000_000;
export const kThreshold = 3.463;
const kForS = 2;
const kHealAfterS = 2;
const kResolveAfterS = 4;
const kKeep = 4000;

export interface Row {
  t_us: number;
  value: number;
  score: number | null;
}

export interface MockSeries {
  signal: Signal;
  rows: Row[];
  warm: number;
  push: number;
  over_s: number;
  under_s: number;
  alert: Alert | null;
}

export interface Options {
  seed: number;
  series: number;
  // Seconds lived before the first question, and the seconds a series needs to be warm.
  lived_s: number;
  warm_s: number;
  mode: "live" | "replay";
  rows_per_step: number;
  trouble: boolean;
}

export const kDefaults: Options = {
  seed: 7,
  series: 28,
  lived_s: 400,
  warm_s: 300,
  mode: "live",
  rows_per_step: 1,
  trouble: false,
};

export type Told = (event: string, data: unknown) => void;

export class World {
  readonly options: Options;
  readonly series: MockSeries[];
  readonly alerts: Alert[] = [];
  readonly timeline: TimelineEntry[] = [];
  readonly model: Model;
  now_us = kStart_us;
  incident: Incident | null = null;
  told: Told = () => undefined;
  private readonly random_: Random;
  private next_entry_ = 1;
  private next_alert_ = 1;
  private next_incident_ = 1;
  private next_run_ = 1;
  private last_kind_ = "";

  constructor(options: Partial<Options> = {}) {
    this.options = { ...kDefaults, ...options };
    this.random_ = new Random(this.options.seed);
    this.series = machine_signals(this.options.series).map((signal) => ({
      signal,
      rows: [],
      warm: 0,
      push: 0,
      over_s: 0,
      under_s: 0,
      alert: null,
    }));
    this.model = first_model(this.options.series);
    this.note(
      "system",
      "started",
      "info",
      "Quickwater started",
      "app anomaly, 1 source, 1 sink",
      {},
    );
    for (let i = 0; i < this.options.lived_s; i++) this.step();
  }

  get second(): number {
    return Math.round((this.now_us - kStart_us) / 1e6);
  }

  event_us(): number {
    if (this.options.mode === "live") return this.now_us;
    return 1_393_000_000_000_000 + this.second * this.options.rows_per_step * 300e6;
  }

  step(): Tick {
    this.now_us += 1_000_000;
    for (const s of this.series) this.move(s);
    this.move_incident();
    this.move_model();
    const tick: Tick = {
      now_us: this.now_us,
      id: this.series.map((s) => s.signal.id),
      t_us: this.series.map((s) => last(s).t_us),
      value: this.series.map((s) => last(s).value),
      score: this.series.map((s) => last(s).score),
      warm: this.series.map((s) => s.warm),
      points: this.series.map(() => this.options.rows_per_step),
      alerting: this.series.filter((s) => s.alert !== null).map((s) => s.signal.id),
    };
    this.told("tick", tick);
    if (this.second % 2 === 0) this.told("status", this.status());
    return tick;
  }

  private move(s: MockSeries): void {
    const pushed = this.incident !== null && this.incident.kind === s.signal.moved_by;
    s.push += ((pushed ? 1 : 0) - s.push) * (pushed ? 0.6 : 0.75);
    if (!pushed && s.push < 0.01) s.push = 0;
    s.warm = Math.min(1, this.second / this.options.warm_s);
    const step_us = 1e6 * (this.options.mode === "live" ? 1 : 300);
    for (let i = this.options.rows_per_step - 1; i >= 0; i--) {
      const value = signal_value(s.signal, this.second, this.random_, s.push);
      const noise = Math.abs(this.random_.normal()) * 0.7;
      const score = this.second < 20 ? null : round(noise + s.push * (s.warm < 1 ? 1.5 : 5.1));
      s.rows.push({ t_us: this.event_us() - i * step_us, value: round(value), score });
    }
    if (s.rows.length > kKeep) s.rows.splice(0, s.rows.length - kKeep);
    this.judge(s);
  }

  private judge(s: MockSeries): void {
    const row = last(s);
    const over = row.score !== null && row.score >= kThreshold && s.warm >= 1;
    s.over_s = over ? s.over_s + 1 : 0;
    s.under_s = over ? 0 : s.under_s + 1;
    if (s.alert === null && s.over_s > kForS) this.open(s);
    const alert = s.alert;
    if (alert === null) return;
    alert.score_max = Math.max(alert.score_max ?? 0, row.score ?? 0);
    if (s.under_s >= kResolveAfterS) this.resolve(s, alert);
  }

  private open(s: MockSeries): void {
    const row = last(s);
    const side = row.value > s.signal.base ? "above" : "below";
    const alert: Alert = {
      id: `a-${this.next_alert_++}`,
      decision: "unusual",
      state: "open",
      severity:
        s.signal.metric.startsWith("cpu.busy") || s.signal.metric.startsWith("memory.used")
          ? "critical"
          : "warning",
      title: `${s.signal.title ?? s.signal.metric} is far ${side} usual`,
      series_id: s.signal.id,
      metric: s.signal.metric,
      entity: s.signal.entity,
      unit: s.signal.unit,
      began_us: row.t_us - s.over_s * 1e6,
      opened_us: row.t_us,
      resolved_us: null,
      recovered_after_s: null,
      value: row.value,
      score: row.score,
      score_max: row.score,
      threshold: kThreshold,
      ...usual(s),
      model: this.model.name,
      version: this.model.champion ?? "",
      members: members(row.score ?? 0),
      features: features(s, row.t_us),
      actions: [],
      incident_id: this.incident?.id ?? null,
      verdict: null,
    };
    s.alert = alert;
    this.alerts.unshift(alert);
    this.note(
      "alert",
      "opened",
      alert.severity,
      alert.title,
      `score ${row.score}, threshold ${kThreshold}`,
      { alert_id: alert.id, series_id: s.signal.id },
    );
    if (alert.severity === "critical") this.act(alert);
    this.told("alert", alert);
  }

  private act(alert: Alert): void {
    alert.actions.push({
      id: `act-${alert.id}`,
      name: "heal",
      kind: "webhook",
      mode: "live",
      state: "started",
      attempts: 1,
      started_us: this.now_us,
      ended_us: null,
      http_status: null,
      exit_code: null,
      message: null,
      outcome: null,
      outcome_us: null,
      check_within_s: 60,
    });
    this.note(
      "action",
      "started",
      "info",
      "Calling the healing webhook 'heal'",
      `for ${alert.title}`,
      { alert_id: alert.id },
    );
  }

  private resolve(s: MockSeries, alert: Alert): void {
    s.alert = null;
    alert.state = "resolved";
    alert.resolved_us = last(s).t_us;
    alert.recovered_after_s = (alert.resolved_us - alert.opened_us) / 1e6;
    for (const action of alert.actions) {
      action.outcome = "recovered";
      action.outcome_us = this.now_us;
      this.note(
        "action",
        "recovered",
        "good",
        "The metric recovered after the healing",
        `${alert.metric}, within 60 s`,
        { alert_id: alert.id },
      );
    }
    this.note(
      "alert",
      "resolved",
      "good",
      `Recovered after ${alert.recovered_after_s} s`,
      alert.title,
      { alert_id: alert.id, series_id: alert.series_id },
    );
    this.told("alert", alert);
  }

  private move_incident(): void {
    for (const alert of this.alerts) {
      const action = alert.actions[0];
      if (
        action?.state === "started" &&
        this.now_us - (action.started_us ?? 0) >= kHealAfterS * 1e6
      ) {
        action.state = "delivered";
        action.ended_us = action.started_us! + 38_000;
        action.http_status = 200;
        action.outcome = "pending";
        this.note(
          "action",
          "delivered",
          "good",
          "Healing webhook 'heal' answered 200",
          "attempt 1, 38 ms",
          { alert_id: alert.id },
        );
        this.told("alert", alert);
        if (this.incident !== null) this.end_incident("healed");
      }
    }
    if (this.incident !== null && this.now_us >= this.incident.ends_us) this.end_incident("ended");
  }

  start_incident(kind: string, seconds: number): Incident {
    this.incident = {
      id: `inc-${this.next_incident_++}`,
      kind,
      state: "running",
      started_us: this.now_us,
      ends_us: this.now_us + seconds * 1e6,
    };
    this.last_kind_ = kind;
    this.note(
      "incident",
      "started",
      "warning",
      `${this.kind_title()} started`,
      `at most ${seconds} s, asked on the page`,
      { incident_id: this.incident.id },
    );
    this.told("status", this.status());
    return this.incident;
  }

  end_incident(state: string): Incident {
    const ended = { ...this.incident!, state };
    this.incident = null;
    const phase = state === "stopped" ? "stopped" : "ended";
    const why =
      { healed: "ended by the healing webhook", stopped: "stopped by a person" }[state] ??
      "its time was over";
    this.note("incident", phase, "info", `${this.kind_title()} ended`, why, {
      incident_id: ended.id,
    });
    this.told("status", this.status());
    return ended;
  }

  private kind_title(): string {
    return (
      { cpu: "CPU hog", memory: "Memory hog", disk: "Disk writer" }[this.last_kind_] ??
      this.last_kind_
    );
  }

  verdict(alert: Alert, verdict: "real" | "false_alarm", note: string): void {
    const labels = this.model.labels!;
    if (alert.verdict === null) labels.total++;
    else labels[alert.verdict.verdict]--;
    labels[verdict]++;
    alert.verdict = { verdict, note, at_us: this.now_us };
    this.note(
      "verdict",
      verdict,
      "info",
      verdict === "real" ? "You said: real" : "You said: false alarm",
      alert.title,
      { alert_id: alert.id },
    );
    this.told("alert", alert);
    if (labels.total === labels.needed && !this.training()) this.train("verdict", "enough labels");
    this.told("model", this.model);
  }

  training(): TrainingRun | undefined {
    return this.model.training.find((r) => r.state === "running");
  }

  train(trigger: string, reason: string): TrainingRun {
    const run: TrainingRun = {
      run_id: `run-${this.next_run_++}`,
      state: "running",
      trigger,
      reason,
      trials_done: 0,
      trials_total: 24,
      best: null,
      version: null,
      started_us: this.now_us,
      ended_us: null,
      message: null,
    };
    this.model.training.unshift(run);
    this.note(
      "training",
      "started",
      "info",
      "Training started",
      `24 trials on ${this.model.labels!.total} labels; ${reason}`,
      { model: this.model.name, run_id: run.run_id },
    );
    this.told("model", this.model);
    return run;
  }

  private move_model(): void {
    const run = this.training();
    if (run !== undefined) this.move_training(run);
    const warming = this.model.versions.find((v) => v.state === "warming");
    if (warming !== undefined) this.move_warming(warming);
  }

  private move_training(run: TrainingRun): void {
    run.trials_done = Math.min(run.trials_total, run.trials_done + 4);
    run.best = round(64 + run.trials_done * 0.32);
    if (run.trials_done === run.trials_total) {
      const better = this.model.training.length % 2 === 1;
      const version = (Number(this.model.versions[0]!.version) + 1).toString();
      const held_out = better ? 71.7 : 61.2;
      const reason = better ? null : `held-out score ${held_out} is below the champion's 68.4`;
      Object.assign(run, {
        state: better ? "published" : "refused",
        version,
        ended_us: this.now_us,
        best: held_out,
        message: reason,
      });
      this.model.versions.unshift({
        ...blank_version(version, this.options.series, this.now_us),
        state: better ? "warming" : "refused",
        warm: 0,
        series_warm: 0,
        reason,
        metrics: [{ name: "held_out", value: held_out, champion: 68.4, better: "higher" }],
        settings: {
          threshold: kThreshold,
          "knn.neighbours": better ? 7 : 3,
          "seasonal.decay": 0.1,
        },
        lineage: {
          run_id: run.run_id,
          parent: this.model.champion,
          labels: this.model.labels!.total,
          data_from_us: kStart_us,
          data_to_us: this.now_us,
        },
      });
      this.note(
        "training",
        "finished",
        "info",
        "Training finished",
        `best held-out score ${held_out} of 24 trials`,
        { model: this.model.name, run_id: run.run_id },
      );
      if (better)
        this.note(
          "model",
          "published",
          "good",
          `Version ${version} published`,
          "held-out score 71.7 against 68.4; warming beside the champion",
          { model: this.model.name, version },
        );
      else
        this.note("model", "refused", "warning", `Version ${version} refused`, reason!, {
          model: this.model.name,
          version,
        });
    }
    this.told("model", this.model);
  }

  private move_warming(v: ModelVersion): void {
    v.warm = Math.min(1, v.warm + 0.2);
    v.series_warm = Math.floor(v.warm * v.series_total);
    if (v.warm >= 1) {
      const old = this.model.versions.find((x) => x.state === "champion");
      if (old) old.state = "previous";
      v.state = "champion";
      v.swapped_us = this.now_us;
      this.model.champion = v.version;
      this.note(
        "model",
        "warmed",
        "info",
        `Version ${v.version} is warm`,
        `${v.series_total} series replayed`,
        { model: this.model.name, version: v.version },
      );
      this.note(
        "model",
        "swapped",
        "good",
        `Version ${v.version} swapped in`,
        "no event was lost; the old one is kept for a rollback",
        { model: this.model.name, version: v.version },
      );
    }
    this.told("model", this.model);
  }

  private note(
    kind: string,
    phase: string,
    severity: string,
    title: string,
    detail: string,
    ref: TimelineEntry["ref"],
  ): void {
    const entry: TimelineEntry = {
      id: this.next_entry_++,
      t_us: this.now_us,
      kind,
      phase,
      severity,
      title,
      detail,
      ref,
    };
    this.timeline.unshift(entry);
    this.told("timeline", entry);
  }

  status(): Status {
    return status_of(this);
  }
}

export function last(s: MockSeries): Row {
  return s.rows[s.rows.length - 1]!;
}
