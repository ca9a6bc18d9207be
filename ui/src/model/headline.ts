// The one sentence at the top: how is it, right now? Pure.
import type { Alert, Status } from "../api/types.ts";
import { count, duration_s, percent } from "./format.ts";

export type Tone = "calm" | "warming" | "alert" | "trouble" | "waiting";

export interface Headline {
  tone: Tone;
  title: string;
  detail: string;
}

const kSeverities = ["info", "warning", "critical"];

// The worst first: by severity, then by how far beyond the threshold it opened (which stays, so that
// the order does), then the older.
export function worst_first(alerts: Alert[]): Alert[] {
  const far = (a: Alert) => (a.score ?? 0) / (a.threshold || 1);
  return [...alerts].sort(
    (a, b) =>
      kSeverities.indexOf(b.severity) - kSeverities.indexOf(a.severity) ||
      far(b) - far(a) ||
      a.opened_us - b.opened_us,
  );
}

function open_titles(open: Alert[]): string {
  const [first, ...rest] = open;
  if (first === undefined) return "";
  if (rest.length === 0) return first.title;
  return `${first.title}, and ${rest.length} more`;
}

export function headline(
  status: Status | null,
  alerts: Alert[],
  series: number,
  lost = false,
): Headline {
  if (status !== null && lost) {
    return {
      tone: "waiting",
      title: "Out of touch",
      detail: "What is below is the last that was heard.",
    };
  }
  if (status === null) {
    return {
      tone: "waiting",
      title: "Listening",
      detail: "Waiting for the first words from Quickwater.",
    };
  }
  const open = worst_first(alerts.filter((a) => a.state === "open"));
  if (open.length > 0) {
    const worst = open.some((a) => a.severity === "critical") ? "Critical" : "Unusual";
    const since = duration_s(
      Math.max(0, Math.floor((status.now_us - Math.min(...open.map((a) => a.opened_us))) / 1e6)),
    );
    const live = status.mode === "live" ? `${worst} for ${since}. ` : "";
    return { tone: "alert", title: open_titles(open), detail: `${live}Open the alert to see why.` };
  }
  const critical = status.notices.find((n) => n.severity === "critical");
  if (critical !== undefined) {
    return { tone: "trouble", title: critical.message, detail: critical.how_to_mend };
  }
  const failed = status.sources.find((s) => s.state === "failed");
  if (failed !== undefined) {
    return {
      tone: "trouble",
      title: `Source ${failed.name} has failed`,
      detail: failed.message ?? "",
    };
  }
  if (!status.ready) {
    return {
      tone: "waiting",
      title: "Starting",
      detail: "Quickwater is reading back what it knew.",
    };
  }
  if (series === 0) {
    return {
      tone: "waiting",
      title: "No series yet",
      detail: "The first samples arrive within seconds.",
    };
  }
  const { series_total, series_warm, fraction, eta_s } = status.warmup;
  if (series_warm < series_total && fraction < 0.999) {
    const left = eta_s === null ? "" : `, about ${duration_s(Math.ceil(eta_s))} to go`;
    return {
      tone: "warming",
      title: `Learning what is usual: ${percent(fraction)}`,
      detail:
        `${count(series_warm)} of ${count(series_total)} series are warm${left}.` +
        " A series can raise an alert once it is warm.",
    };
  }
  return {
    tone: "calm",
    title: "All calm",
    detail: `${count(series_total)} series, each watched by its own warm detector.`,
  };
}
