// Parts that several views share: scores explained, features against what is usual, notices, empty
// states.
import type { ApiErrorBody, FeatureValue, Member } from "../api/types.ts";
import { score_text, value_text, window_text, words } from "../model/format.ts";
import { h, type Child, type Frame, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";

export function error_notice(error: ApiErrorBody, again?: () => void): VNode {
  return h(
    "div",
    { class: "notice alert", role: "alert" },
    icon("alert"),
    h("strong", null, error.message),
    error.how_to_mend ? h("p", { class: "quiet" }, error.how_to_mend) : null,
    again ? h("p", null, h("button", { class: "btn", onclick: again }, "Try again")) : null,
  );
}

// "Show older" below a list that the server gives in pages: busy until the next page is here.
export class OlderButton {
  private readonly frame_: Frame;
  private readonly fetch_: () => Promise<void>;
  private busy_ = false;

  constructor(frame: Frame, fetch: () => Promise<void>) {
    this.frame_ = frame;
    this.fetch_ = fetch;
  }

  // Nothing where no older page is left.
  render(next: string | number | null): VNode | null {
    if (next === null) return null;
    const onclick = () => void this.more();
    return h(
      "div",
      { key: "more" },
      h("button", { type: "button", class: "btn", disabled: this.busy_, onclick }, "Show older"),
    );
  }

  private async more(): Promise<void> {
    this.busy_ = true;
    this.frame_.ask();
    await this.fetch_();
    this.busy_ = false;
    this.frame_.ask();
  }
}

export function empty(title: string, ...detail: Child[]): VNode {
  return h("div", { class: "empty" }, h("h2", null, title), h("p", null, ...detail));
}

export function tag(kind: string, name: string, sign?: string): VNode {
  return h("span", { class: `tag ${kind}` }, sign ? icon(sign) : null, name);
}

export function severity_tag(severity: string): VNode {
  if (severity === "critical") return tag("alert", "critical", "alert");
  if (severity === "warning") return tag("warn", "warning", "alert");
  return tag("", words(severity));
}

export function progress(fraction: number, label: string): VNode {
  const width = `${Math.round(Math.max(0, Math.min(1, fraction)) * 1000) / 10}%`;
  return h(
    "div",
    {
      class: "bar",
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-valuenow": Math.round(fraction * 100),
    },
    h("i", { style: { width } }),
  );
}

// The members' shares of the score, largest first, on one scale with the threshold marked.
export function contributions(
  members: Member[],
  total: number | null,
  threshold: number | null,
): VNode {
  const list = [...members].sort((a, b) => (b.contribution ?? 0) - (a.contribution ?? 0));
  const full = Math.max(total ?? 0, threshold ?? 0, 1e-9) * 1.04;
  const wide = (n: number) => `${Math.max(0, Math.min(100, (n / full) * 100)).toFixed(2)}%`;
  return h(
    "div",
    { class: "why" },
    h(
      "div",
      {
        class: "why-total",
        role: "img",
        "aria-label": `score ${score_text(total)}, threshold ${score_text(threshold)}`,
      },
      list.map((m, i) =>
        h("i", {
          key: m.name,
          class: `m${i}`,
          title: `${m.title ?? words(m.name)}: ${score_text(m.contribution)}`,
          style: { width: wide(m.contribution ?? 0) },
        }),
      ),
      threshold === null ? null : h("b", { style: { left: wide(threshold) }, title: "threshold" }),
    ),
    h(
      "ul",
      { class: "why-list" },
      list.map((m, i) =>
        h(
          "li",
          { key: m.name, class: (m.contribution ?? 0) < 0.005 ? "none" : "" },
          h("i", { class: `dot m${i}` }),
          h("span", null, m.title ?? words(m.name)),
          h("span", { class: "mono quiet" }, m.title ? m.name : ""),
          h(
            "span",
            { class: "num" },
            m.contribution === null ? "–" : `+${score_text(m.contribution)}`,
          ),
        ),
      ),
    ),
  );
}

interface Scale {
  left: string;
  width: string;
  mark: string;
}

// Where the usual span and the value lie on a track that holds both, in percent.
export function usual_scale(value: number, low: number, high: number): Scale {
  const from = Math.min(value, low);
  const to = Math.max(value, high);
  const pad = (to - from) * 0.08 || 1;
  const place = (n: number) => ((n - from + pad) / (to - from + 2 * pad)) * 100;
  return {
    left: `${place(low).toFixed(1)}%`,
    width: `${Math.max(1.5, place(high) - place(low)).toFixed(1)}%`,
    mark: `${place(value).toFixed(1)}%`,
  };
}

function feature_row(f: FeatureValue, unit: string): VNode {
  const of = f.aggregate === "count" ? "count" : unit;
  const known = f.value !== null && f.usual_low !== null && f.usual_high !== null;
  const scale = known ? usual_scale(f.value!, f.usual_low!, f.usual_high!) : null;
  const outside = known && (f.value! < f.usual_low! || f.value! > f.usual_high!);
  const usual = known
    ? `${value_text(f.usual_low, of)} to ${value_text(f.usual_high, of)}`
    : f.status === "ok"
      ? ""
      : words(f.status.toLowerCase());
  return h(
    "tr",
    { key: f.name, class: outside ? "outside" : "" },
    h(
      "th",
      { scope: "row" },
      words(f.aggregate || f.name),
      f.window_us === null
        ? null
        : h("span", { class: "quiet" }, ` over ${window_text(f.window_us)}`),
    ),
    h("td", { class: "num" }, value_text(f.value, of)),
    h(
      "td",
      { class: "track-cell" },
      scale === null
        ? null
        : h(
            "div",
            { class: "track", "aria-hidden": "true" },
            h("i", { style: { left: scale.left, width: scale.width } }),
            h("b", { style: { left: scale.mark } }),
          ),
    ),
    h("td", { class: "num quiet small" }, usual),
  );
}

export function feature_table(features: FeatureValue[], unit: string): VNode {
  return h(
    "table",
    { class: "features" },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Feature"),
        h("th", { scope: "col" }, "Value"),
        h("th", { scope: "col", class: "track-cell" }, h("span", { class: "sr" }, "Against usual")),
        h("th", { scope: "col" }, "Usual"),
      ),
    ),
    h(
      "tbody",
      null,
      features.map((f) => feature_row(f, unit)),
    ),
  );
}

export function segmented<T extends string>(
  label: string,
  options: [T, string][],
  chosen: T,
  choose: (value: T) => void,
): VNode {
  return h(
    "div",
    { class: "seg", role: "group", "aria-label": label },
    options.map(([value, name]) =>
      h(
        "button",
        {
          key: value,
          type: "button",
          "aria-pressed": value === chosen ? "true" : "false",
          onclick: () => choose(value),
        },
        name,
      ),
    ),
  );
}
