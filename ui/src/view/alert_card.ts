// One alert: what, how severe, why, what was done about it, how it ended, and the person's verdict.
import type { Action, Alert } from "../api/types.ts";
import {
  ago,
  duration_s,
  duration_us,
  moment,
  score_text,
  value_text,
  words,
} from "../model/format.ts";
import { alert_href, series_href } from "../model/route.ts";
import type { Store } from "../model/store.ts";
import { h, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";
import { draw_mini } from "./mini.ts";
import { contributions, feature_table, severity_tag, tag } from "./parts.ts";
import type { Page } from "./view.ts";

const kOutcomes: Record<string, string> = {
  recovered: "the metric recovered",
  not_recovered: "the metric did not recover",
  pending: "watching whether the metric recovers",
};

export function action_words(action: Action): string {
  const name = `${action.kind} ${action.name}`;
  const tries = action.attempts > 1 ? ` after ${action.attempts} attempts` : "";
  if (action.mode === "dry_run") return `${name}: dry run, nothing was sent`;
  switch (action.state) {
    case "delivered": {
      const code = action.http_status ?? action.exit_code;
      const took =
        action.started_us !== null && action.ended_us !== null
          ? ` in ${duration_us(action.ended_us - action.started_us)}`
          : "";
      return `${name} answered ${code ?? "ok"}${took}${tries}`;
    }
    case "failed":
      return `${name} failed${tries}${action.message ? `: ${action.message}` : ""}`;
    case "skipped":
      return `${name} skipped${action.message ? `: ${action.message}` : ""}`;
    case "unknown":
      return `${name}: outcome unknown, the process ended meanwhile`;
    case "pending":
      return `${name} is waiting`;
    default:
      return `${name} ${words(action.state)}, attempt ${Math.max(1, action.attempts)}`;
  }
}

function action_row(action: Action): VNode {
  const bad =
    action.state === "failed" || action.state === "unknown" || action.outcome === "not_recovered";
  const done = action.outcome === "recovered";
  const level = bad ? "bad" : done ? "good" : "";
  const then = action.outcome === null ? "" : (kOutcomes[action.outcome] ?? words(action.outcome));
  return h(
    "li",
    { key: action.id, class: `action ${level}` },
    icon(bad ? "cross" : done ? "check" : "heal"),
    h("span", null, action_words(action), then ? h("span", { class: "quiet" }, `; ${then}`) : null),
  );
}

function state_words(alert: Alert, store: Store): string {
  const replay = store.status?.mode === "replay";
  const when = replay
    ? moment(alert.opened_us, store.now_us())
    : ago(alert.opened_us, store.now_us());
  if (alert.state === "open") return replay ? `open since ${when}` : `open, began ${when}`;
  return `recovered after ${duration_s(alert.recovered_after_s)}, ${when}`;
}

function verdict_buttons(alert: Alert, page: Page): VNode {
  const given = alert.verdict?.verdict;
  const name = (verdict: "real" | "false_alarm", label: string, sign: string) =>
    h(
      "button",
      {
        key: verdict,
        type: "button",
        class: "btn",
        "aria-pressed": given === verdict ? "true" : "false",
        "data-verdict": verdict,
        onclick: () => void page.deeds.verdict(alert.id, verdict, ""),
      },
      icon(sign),
      label,
    );
  return h(
    "div",
    { class: "row", role: "group", "aria-label": `Your verdict: ${alert.title}` },
    name("real", "Real", "check"),
    name("false_alarm", "False alarm", "cross"),
  );
}

function verdict_row(alert: Alert, page: Page, others: Alert[]): VNode {
  const given = alert.verdict?.verdict;
  const left = given ? others.filter((a) => a.verdict === null) : [];
  const said = given === "real" ? "real" : "a false alarm";
  const same = () => left.forEach((a) => void page.deeds.verdict(a.id, given ?? "real", ""));
  return h(
    "div",
    { class: "verdict" },
    h(
      "span",
      { class: "quiet" },
      given
        ? `You said: ${said}. It is a label for learning`
        : "Was this real? Your verdict is a label for learning",
    ),
    h(
      "div",
      { class: "row" },
      left.length === 0
        ? null
        : h(
            "button",
            { key: "same", type: "button", class: "btn plain", "data-act": "same", onclick: same },
            `Say the same of the ${left.length} beside it`,
          ),
      verdict_buttons(alert, page),
    ),
  );
}

function healing(alert: Alert): VNode | null {
  if (alert.actions.length === 0) return null;
  return h(
    "section",
    { class: "alert-actions" },
    h("h3", null, "Healing"),
    h("ul", null, alert.actions.map(action_row)),
  );
}

function against_usual(alert: Alert): VNode | null {
  if (alert.value === null) return null;
  const text = (value: number | null) => value_text(value, alert.unit);
  const usual =
    alert.usual_low !== null && alert.usual_high !== null
      ? `usual ${text(alert.usual_low)} to ${text(alert.usual_high)}`
      : "";
  return h(
    "div",
    { class: "alert-value" },
    h("strong", { class: "num" }, value_text(alert.value, alert.unit)),
    h("span", { class: "quiet num" }, usual),
    h(
      "span",
      { class: "quiet num" },
      `score ${score_text(alert.score_max ?? alert.score)}, ` +
        `threshold ${score_text(alert.threshold)}`,
    ),
  );
}

function mini(alert: Alert, page: Page): VNode {
  const newest = page.store.series.get(alert.series_id)?.info.t_us ?? alert.opened_us;
  const draw = (el: HTMLElement) => draw_mini(el as HTMLCanvasElement, alert, newest);
  return h(
    "a",
    {
      class: "mini-link",
      href: series_href(alert.series_id, alert.opened_us),
      "aria-label": `Chart of ${alert.metric}`,
    },
    h("canvas", {
      key: alert.id,
      class: "mini",
      hold: true,
      "data-alert": alert.id,
      made: (el) => requestAnimationFrame(() => draw(el)),
    }),
  );
}

// Draws the cards' charts again; called by a view after it rendered.
export function refresh_minis(root: Element, page: Page): void {
  for (const canvas of root.querySelectorAll<HTMLCanvasElement>("canvas.mini")) {
    const alert = page.store.alerts.get(canvas.dataset.alert ?? "");
    if (alert === undefined) continue;
    draw_mini(canvas, alert, page.store.series.get(alert.series_id)?.info.t_us ?? alert.opened_us);
  }
}

export function alert_card(alert: Alert, page: Page, full: boolean, others: Alert[] = []): VNode {
  const open = alert.state === "open";
  return h(
    "article",
    {
      key: alert.id,
      id: `alert-${alert.id}`,
      class: `alert-card card ${open ? "open" : ""} ${alert.severity}`,
      "aria-label": alert.title,
    },
    h(
      "header",
      null,
      h(
        "div",
        { class: "row" },
        severity_tag(alert.severity),
        open ? null : tag("good", "recovered", "check"),
        alert.incident_id ? tag("", "during your incident") : null,
        h("span", { class: "quiet small" }, state_words(alert, page.store)),
      ),
      h("h2", null, h("a", { href: alert_href(alert.id) }, alert.title)),
    ),
    h("div", { class: "alert-main" }, against_usual(alert), mini(alert, page), healing(alert)),
    h(
      "section",
      { class: "alert-why" },
      h("h3", null, "Why"),
      contributions(alert.members, alert.score, alert.threshold),
      full && alert.features.length > 0 ? feature_table(alert.features, alert.unit) : null,
      h(
        "p",
        { class: "quiet small" },
        `Judged by ${alert.model}, version ${alert.version}. `,
        h(
          "a",
          { href: series_href(alert.series_id, alert.opened_us) },
          "See the chart at that moment",
        ),
      ),
    ),
    verdict_row(alert, page, others),
  );
}

// One alert in a list: what, when, how it looked, and the verdict. The rest is behind its title.
export function alert_row(alert: Alert, page: Page): VNode {
  const open = alert.state === "open";
  return h(
    "article",
    {
      key: alert.id,
      class: `alert-row card ${open ? "open" : ""} ${alert.severity}`,
      "aria-label": alert.title,
    },
    h(
      "div",
      { class: "alert-row-words" },
      h("h2", null, h("a", { href: alert_href(alert.id) }, alert.title)),
      h("p", { class: "quiet small num" }, state_words(alert, page.store)),
      h(
        "div",
        { class: "row" },
        severity_tag(alert.severity),
        open ? null : tag("good", "recovered", "check"),
        alert.actions.some((a) => a.outcome === "recovered") ? tag("good", "healed", "heal") : null,
        alert.incident_id ? tag("", "during your incident") : null,
      ),
    ),
    h(
      "div",
      { class: "alert-row-value num" },
      h("strong", null, value_text(alert.value, alert.unit)),
      h("span", { class: "quiet small" }, `score ${score_text(alert.score_max ?? alert.score)}`),
    ),
    mini(alert, page),
    verdict_buttons(alert, page),
  );
}
