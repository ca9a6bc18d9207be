// The health strip: sources, stages, commit, outbox, dead letters, each a cell that says one thing
// at a glance.
import type { SourceStatus, StageStatus, Status } from "../api/types.ts";
import { count, duration_s, duration_us, words } from "../model/format.ts";
import { h, type Child, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";

type Level = "ok" | "warn" | "bad";

function cell(name: string, level: Level, main: Child, detail: Child[], key: string): VNode {
  const sign = level === "ok" ? null : icon("alert");
  return h(
    "div",
    { key, class: `cell ${level}` },
    h("dt", null, sign, name),
    h(
      "dd",
      null,
      h("span", { class: "cell-main num" }, main),
      h("span", { class: "cell-detail num" }, ...detail),
    ),
  );
}

function source_cell(s: SourceStatus, replay: boolean): VNode {
  const level: Level = s.state === "failed" ? "bad" : s.state === "paused" ? "warn" : "ok";
  const rate = s.events_per_s === null ? count(s.events_total) : `${count(s.events_per_s)}/s`;
  const running = s.state === "running" ? rate : words(s.state);
  const detail: string[] = [];
  if (s.message) detail.push(s.message);
  else {
    if (s.lag_events !== null && s.lag_events > 0) detail.push(`${count(s.lag_events)} behind`);
    else if (s.lag_s !== null && !replay) detail.push(`lag ${duration_s(s.lag_s)}`);
    if (s.watermark_age_s !== null && !replay)
      detail.push(`watermark ${duration_s(s.watermark_age_s)}`);
    if (replay) detail.push(`${count(s.events_total)} events`);
  }
  return cell(
    `Source ${s.name}`,
    level,
    running,
    detail.map((line) => h("span", { class: "line" }, line)),
    `source:${s.name}`,
  );
}

const kStageTitles: Record<string, string> = {
  computed: "Event to decision",
  durable: "Event to disk",
  delivered: "Event to action",
};

export function stage_title(name: string): string {
  return kStageTitles[name] ?? words(name);
}

function stage_cell(s: StageStatus): VNode {
  return cell(
    stage_title(s.name),
    "ok",
    [duration_us(s.p99_us), h("small", null, " p99")],
    [`p50 ${duration_us(s.p50_us)}`],
    `stage:${s.name}`,
  );
}

function commit_cell(c: Status["commit"]): VNode {
  const level: Level = c.state === "ok" ? "ok" : c.state === "disk_full" ? "bad" : "warn";
  const main = c.state === "ok" ? duration_us(c.last_us) : words(c.state);
  return cell(
    "Commit",
    level,
    main,
    [`every ${c.interval_ms}\u202fms · ${words(c.fsync)}`],
    "commit",
  );
}

function outbox_cell(status: Status): VNode {
  const sinks = status.outbox.sinks;
  const pending = sinks.reduce((n, s) => n + s.pending, 0);
  const delivered = sinks.reduce((n, s) => n + s.delivered_total, 0);
  const failing = sinks.find((s) => s.failing_since_us !== null);
  const main = failing
    ? `${failing.name} failing`
    : pending > 0
      ? `${count(pending)} waiting`
      : "empty";
  const detail = failing?.message ?? `${count(delivered)} delivered`;
  return cell("Outbox", failing ? "bad" : "ok", main, [detail], "outbox");
}

function dead_cell(status: Status): VNode {
  const { total, by_reason } = status.dead_letter;
  const detail =
    total === 0
      ? "nothing refused"
      : by_reason
          .slice(0, 2)
          .map((r) => `${count(r.count)} ${words(r.reason)}`)
          .join(" · ");
  return cell("Dead letter", total > 0 ? "warn" : "ok", count(total), [detail], "dead");
}

export function health_strip(status: Status): VNode {
  const replay = status.mode === "replay";
  const main = status.stages.filter((s) => s.name in kStageTitles);
  return h(
    "dl",
    { class: "health card", "aria-label": "Health" },
    status.sources.map((s) => source_cell(s, replay)),
    main.map(stage_cell),
    commit_cell(status.commit),
    outbox_cell(status),
    dead_cell(status),
  );
}

// All but what the headline says already.
export function notices(status: Status, said: string): VNode[] {
  const rest = status.notices.filter((n) => n.message !== said);
  return rest.map((n) =>
    h(
      "div",
      {
        key: `${n.code}:${n.where}`,
        class: `notice ${n.severity === "critical" ? "alert" : ""}`,
        role: "status",
      },
      icon("alert"),
      h("strong", null, n.message),
      h("p", { class: "quiet" }, n.how_to_mend),
    ),
  );
}
