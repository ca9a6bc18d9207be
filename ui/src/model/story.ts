// The demo's incident told in six steps, from what the store knows. Pure: the same facts, the same
// story.
import type { Alert, Incident, Model, TimelineEntry } from "../api/types.ts";
import { duration_s, words } from "./format.ts";

export type StepState = "todo" | "active" | "done" | "bad";

export interface Step {
  name: string;
  state: StepState;
  text: string;
  href?: string;
}

export interface Story {
  incident_id: string;
  kind: string;
  started_us: number;
  running: boolean;
  alerts: Alert[];
  steps: Step[];
}

export interface Facts {
  incident: Incident | null;
  timeline: TimelineEntry[];
  alerts: Alert[];
  models: Model[];
  now_us: number;
}

const kTroubles: Record<string, string> = {
  cpu: "CPU hog",
  memory: "Memory hog",
  disk: "Disk writer",
};

export function trouble_name(kind: string): string {
  return kTroubles[kind] ?? words(kind);
}

interface Began {
  id: string;
  kind: string;
  started_us: number;
  end: { phase: string; t_us: number } | null;
}

function last_incident(facts: Facts): Began | null {
  if (facts.incident !== null) {
    const { id, kind, started_us } = facts.incident;
    return { id, kind, started_us, end: null };
  }
  const start = facts.timeline.find((e) => e.kind === "incident" && e.phase === "started");
  const id = start?.ref.incident_id;
  if (start === undefined || id === undefined) return null;
  const end = facts.timeline.find(
    (e) => e.kind === "incident" && e.phase !== "started" && e.ref.incident_id === id,
  );
  const kind = Object.keys(kTroubles).find((k) => start.title.toLowerCase().includes(k)) ?? "";
  return {
    id,
    kind,
    started_us: start.t_us,
    end: end ? { phase: end.phase, t_us: end.t_us } : null,
  };
}

function started_step(began: Began, facts: Facts): Step {
  const incident = facts.incident;
  if (incident !== null) {
    const left_s = Math.max(0, (incident.ends_us - facts.now_us) / 1e6);
    return {
      name: "Incident",
      state: "active",
      text: `at most ${duration_s(Math.ceil(left_s))} more`,
    };
  }
  const lasted = began.end ? duration_s((began.end.t_us - began.started_us) / 1e6) : "";
  return { name: "Incident", state: "done", text: lasted ? `lasted ${lasted}` : "started" };
}

function detected_step(began: Began, first: Alert | undefined, facts: Facts): Step {
  if (first !== undefined) {
    const after = duration_s(Math.max(0, (first.opened_us - began.started_us) / 1e6));
    return {
      name: "Detected",
      state: "done",
      text: `after ${after}`,
      href: `#/alerts/${first.id}`,
    };
  }
  if (facts.incident === null) return { name: "Detected", state: "bad", text: "not noticed" };
  return { name: "Detected", state: "active", text: "watching" };
}

function healing_step(alerts: Alert[]): Step {
  const actions = alerts.flatMap((a) => a.actions);
  const done = actions.find((a) => a.state === "delivered" && a.mode === "live");
  if (done)
    return {
      name: "Healing",
      state: "done",
      text: `${done.name} answered ${done.http_status ?? ""}`.trim(),
    };
  const dry = actions.find((a) => a.mode === "dry_run" && a.state !== "pending");
  if (dry) return { name: "Healing", state: "done", text: `${dry.name}, dry run` };
  const bad = actions.find((a) => a.state === "failed" || a.state === "unknown");
  if (bad)
    return { name: "Healing", state: "bad", text: bad.message ?? `${bad.name} ${bad.state}` };
  const skipped = actions.find((a) => a.state === "skipped");
  if (skipped) return { name: "Healing", state: "bad", text: skipped.message ?? "skipped" };
  if (actions.length > 0) return { name: "Healing", state: "active", text: "calling" };
  return { name: "Healing", state: "todo", text: alerts.length > 0 ? "no action set" : "" };
}

function recovered_step(first: Alert | undefined, alerts: Alert[]): Step {
  if (first === undefined) return { name: "Recovered", state: "todo", text: "" };
  if (alerts.some((a) => a.state === "open")) {
    return { name: "Recovered", state: "active", text: "waiting for the metric" };
  }
  const last_s = Math.max(...alerts.map((a) => a.recovered_after_s ?? 0));
  return { name: "Recovered", state: "done", text: `after ${duration_s(last_s)}` };
}

function verdict_step(first: Alert | undefined, alerts: Alert[]): Step {
  const judged = alerts.find((a) => a.verdict !== null);
  if (judged?.verdict) {
    const text = judged.verdict.verdict === "real" ? "real" : "false alarm";
    return { name: "Your verdict", state: "done", text, href: `#/alerts/${judged.id}` };
  }
  if (first === undefined) return { name: "Your verdict", state: "todo", text: "" };
  return {
    name: "Your verdict",
    state: "active",
    text: "real, or a false alarm?",
    href: `#/alerts/${first.id}`,
  };
}

function learned_step(began: Began, alerts: Alert[], models: Model[]): Step {
  const href = "#/models";
  const name = alerts[0]?.model;
  const model = models.find((m) => m.name === name) ?? models[0];
  const run = model?.training.find((r) => r.started_us >= began.started_us);
  const version = model?.versions.find((v) => v.published_us >= began.started_us);
  if (version !== undefined) {
    const label = `version ${version.version}`;
    if (version.state === "champion")
      return { name: "Learned", state: "done", text: `${label} swapped in`, href };
    if (version.state === "refused")
      return { name: "Learned", state: "done", text: `${label} refused`, href };
    if (version.state === "failed")
      return { name: "Learned", state: "bad", text: `${label} failed`, href };
    return { name: "Learned", state: "active", text: `${label} ${version.state}`, href };
  }
  if (run !== undefined) {
    if (run.state === "refused")
      return { name: "Learned", state: "bad", text: run.message ?? "refused", href };
    if (run.state === "failed")
      return { name: "Learned", state: "bad", text: "training failed", href };
    return {
      name: "Learned",
      state: "active",
      text: `trial ${run.trials_done} of ${run.trials_total}`,
      href,
    };
  }
  if (model?.labels && model.labels.total < model.labels.needed) {
    const { total, needed } = model.labels;
    return { name: "Learned", state: "todo", text: `${total} of ${needed} labels`, href };
  }
  return { name: "Learned", state: "todo", text: "train on the Models page", href };
}

export function tell_story(facts: Facts): Story | null {
  const began = last_incident(facts);
  if (began === null) return null;
  const alerts = facts.alerts
    .filter((a) => a.incident_id === began.id)
    .sort((a, b) => a.opened_us - b.opened_us);
  const first = alerts[0];
  return {
    incident_id: began.id,
    kind: began.kind,
    started_us: began.started_us,
    running: facts.incident !== null,
    alerts,
    steps: [
      started_step(began, facts),
      detected_step(began, first, facts),
      healing_step(alerts),
      recovered_step(first, alerts),
      verdict_step(first, alerts),
      learned_step(began, alerts, facts.models),
    ],
  };
}
