// One series: value, score and alert spans over time, and the features at a chosen moment.
import { api, as_error } from "../api/client.ts";
import type { ApiErrorBody, History, Moment } from "../api/types.ts";
import {
  clock,
  moment,
  percent,
  score_text,
  split_value,
  value_text,
  words,
} from "../model/format.ts";
import type { Route } from "../model/route.ts";
import type { LiveSeries } from "../model/store.ts";
import { append_row, chart_data, type ChartData } from "../model/window.ts";
import { Chart } from "./chart.ts";
import { Frame, h, Root, type Child, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";
import {
  contributions,
  empty,
  error_notice,
  feature_table,
  progress,
  segmented,
  tag,
} from "./parts.ts";
import type { Page, View } from "./view.ts";

type RangeName = "5m" | "15m" | "1h" | "6h" | "all";

const kRanges: Record<RangeName, number> = {
  "5m": 300e6,
  "15m": 900e6,
  "1h": 3600e6,
  "6h": 6 * 3600e6,
  all: Number.POSITIVE_INFINITY,
};
const kAgainMs = 4_000;
const kPointsMost = 1200;
const kOverlaysMost = 3;

export class SeriesView implements View {
  readonly el = document.createElement("div");
  title = "Series";
  private readonly page_: Page;
  private readonly root_: Root;
  private readonly frame_: Frame;
  private readonly off_: (() => void)[];
  private id_ = "";
  private chart_: Chart | null = null;
  private data_: ChartData | null = null;
  private kept_from_us_ = 0;
  private range_: RangeName = "15m";
  private fixed_: { from_us: number; to_us: number } | null = null;
  private overlays_: string[] = [];
  private at_us_: number | null = null;
  private moment_: Moment | null = null;
  private moment_error_: ApiErrorBody | null = null;
  private error_: ApiErrorBody | null = null;
  private hover_: number | null = null;
  private asked_ms_ = 0;
  private asking_ = 0;
  private mode_ = "";

  constructor(page: Page, route: Route) {
    this.page_ = page;
    this.el.className = "stack";
    this.root_ = new Root(this.el);
    this.frame_ = new Frame(() => this.render());
    const { store } = page;
    this.off_ = [
      store.on(["tick"], () => this.tick()),
      store.on(["series"], () => this.know_series()),
      store.on(["link"], this.frame_.ask),
      store.on(["status"], () => this.know_mode()),
      store.on(["alerts"], () => void this.load()),
    ];
    this.know_mode();
    this.go(route);
  }

  go(route: Route): void {
    const at = Number(route.params.get("at"));
    if (route.id !== this.id_) {
      this.chart_?.close();
      this.chart_ = null;
      this.data_ = null;
      this.moment_ = null;
      this.overlays_ = [];
      this.fixed_ = null;
    }
    this.id_ = route.id;
    this.title = this.live()?.info.title ?? route.id;
    this.at_us_ = Number.isFinite(at) && at > 0 ? at : null;
    const newest = this.live()?.info.t_us ?? this.page_.store.now_us();
    if (this.at_us_ !== null && this.at_us_ < newest - kRanges[this.range_]) {
      this.fixed_ = { from_us: this.at_us_ - 300e6, to_us: this.at_us_ + 300e6 };
    }
    void this.load();
    void this.load_moment();
    this.render();
  }

  close(): void {
    this.off_.forEach((off) => off());
    this.frame_.stop();
    this.chart_?.close();
  }

  // The list came, perhaps for the first time: now the name, the view and the key are known.
  private know_series(): void {
    this.title = this.live()?.info.title ?? this.id_;
    if (this.moment_ === null && this.at_us_ !== null) void this.load_moment();
    this.frame_.ask();
  }

  // A replay spans months in minutes: everything kept is the span that says something.
  private know_mode(): void {
    const mode = this.page_.store.status?.mode ?? "";
    if (mode === this.mode_) return;
    this.mode_ = mode;
    if (mode === "replay") this.range_ = "all";
    if (this.id_ !== "") void this.load();
  }

  restyle(): void {
    this.chart_?.restyle();
  }

  private live(): LiveSeries | undefined {
    return this.page_.store.series.get(this.id_);
  }

  private span(): { from_us: number; to_us: number } {
    if (this.fixed_ !== null) return this.fixed_;
    const to_us = this.live()?.info.t_us ?? this.page_.store.now_us();
    const length = kRanges[this.range_];
    return { from_us: Number.isFinite(length) ? to_us - length : 0, to_us };
  }

  private async load(): Promise<void> {
    const id = this.id_;
    const asking = ++this.asking_;
    this.asked_ms_ = performance.now();
    const { from_us, to_us } = this.span();
    let history: History;
    try {
      history = await api.history(id, {
        from_us: Math.round(from_us),
        to_us: Math.round(to_us),
        max_points: kPointsMost,
        features: this.overlays_.join(","),
      });
    } catch (e) {
      if (asking !== this.asking_) return;
      this.error_ = as_error(e, `series ${id}`);
      this.frame_.ask();
      return;
    }
    if (asking !== this.asking_) return;
    this.error_ = null;
    this.data_ = chart_data(history, this.overlays_);
    this.kept_from_us_ = history.kept_from_us;
    this.show();
    this.frame_.ask();
  }

  private async load_moment(): Promise<void> {
    const info = this.live()?.info;
    if (info === undefined || this.at_us_ === null) {
      this.moment_ = null;
      return;
    }
    const at = this.at_us_;
    try {
      const found = await api.moment(info.view, info.key, at);
      if (at !== this.at_us_) return;
      this.moment_ = found;
      this.moment_error_ = null;
    } catch (e) {
      if (at !== this.at_us_) return;
      this.moment_ = null;
      this.moment_error_ = as_error(e, "features");
    }
    this.frame_.ask();
  }

  private tick(): void {
    const tick = this.page_.store.last_tick;
    const row = tick?.id.indexOf(this.id_) ?? -1;
    if (this.moment_ === null && this.at_us_ !== null && this.moment_error_ === null)
      void this.load_moment();
    if (tick && row >= 0 && this.fixed_ === null && this.data_ !== null) {
      const joined =
        tick.points[row] === 1 &&
        append_row(
          this.data_,
          tick.t_us[row]!,
          tick.value[row] ?? null,
          tick.score[row] ?? null,
          this.span().from_us,
        );
      const stale = performance.now() - this.asked_ms_ > kAgainMs;
      if ((!joined || this.overlays_.length > 0) && stale) void this.load();
      this.show();
    }
    this.frame_.ask();
  }

  private show(): void {
    if (this.chart_ === null || this.data_ === null) return;
    this.chart_.show(this.data_);
    this.chart_.mark(this.at_us_);
  }

  private pick(at_us: number): void {
    this.at_us_ = at_us;
    history.replaceState(null, "", `#/series/${encodeURIComponent(this.id_)}?at=${at_us}`);
    this.chart_?.mark(at_us);
    void this.load_moment();
    this.frame_.ask();
  }

  private mount_chart(el: HTMLElement): void {
    this.chart_?.close();
    this.chart_ = new Chart(this.live()?.info.unit ?? "", {
      pick: (at_us) => this.pick(at_us),
      zoom: (from_us, to_us) => {
        this.fixed_ = { from_us, to_us };
        void this.load();
        this.frame_.ask();
      },
      hover: (row) => {
        if (row === this.hover_) return;
        this.hover_ = row;
        this.frame_.ask();
      },
    });
    el.appendChild(this.chart_.el);
    // The element has its width only once it is on the page.
    requestAnimationFrame(() => this.show());
  }

  private render(): void {
    const { store } = this.page_;
    const live = this.live();
    const back = h(
      "a",
      { key: "back", class: "back", href: "#/overview" },
      icon("back"),
      "All series",
    );
    if (live === undefined) {
      this.root_.render(
        back,
        store.loaded
          ? h(
              "div",
              { class: "card" },
              h("h1", { class: "sr" }, "Unknown series"),
              empty(
                "There is no such series",
                `Nothing is known as '${this.id_}'. It may have been idle too long; `,
                h("a", { href: "#/overview" }, "see all series"),
                ".",
              ),
            )
          : h("div", { class: "card chart-bones" }, h("h1", { class: "sr" }, "Loading")),
      );
      return;
    }
    this.root_.render(
      back,
      this.head(live),
      this.error_ && this.data_ === null ? error_notice(this.error_, () => void this.load()) : null,
      h(
        "div",
        { key: `body:${this.id_}`, class: "series-body" },
        h(
          "div",
          { class: "card chart-card" },
          this.toolbar(live),
          this.readout(live),
          h("div", { class: "chart-host", hold: true, made: (el) => this.mount_chart(el) }),
          this.legend(),
        ),
        h(
          "aside",
          { class: "card moment", "aria-label": "Features at a chosen moment" },
          this.moment(live),
        ),
      ),
    );
  }

  private head(live: LiveSeries): VNode {
    const { info } = live;
    const [number, unit] = split_value(info.value, info.unit);
    return h(
      "header",
      { key: "head", class: "series-head" },
      h(
        "div",
        null,
        h("h1", null, info.title ?? info.metric, info.entity === "all" ? "" : ` · ${info.entity}`),
        h("p", { class: "mono quiet" }, info.id),
      ),
      h(
        "div",
        { class: "now" },
        h(
          "div",
          { class: `now-value num ${info.alerting ? "alerting" : ""}` },
          number,
          h("small", null, unit),
        ),
        h(
          "div",
          { class: "quiet small num" },
          `score ${score_text(info.score)}, threshold ${score_text(info.threshold)}`,
        ),
      ),
      info.alerting ? tag("alert", "unusual", "alert") : null,
      info.warm < 1
        ? h(
            "div",
            { class: "series-warm" },
            h("p", { class: "quiet small num" }, `Learning what is usual: ${percent(info.warm)}`),
            progress(info.warm, "Warm-up"),
          )
        : null,
    );
  }

  private toolbar(live: LiveSeries): VNode {
    const names: [RangeName, string][] = [
      ["5m", "5 min"],
      ["15m", "15 min"],
      ["1h", "1 h"],
      ["6h", "6 h"],
      ["all", "All"],
    ];
    return h(
      "div",
      { class: "row between toolbar" },
      this.fixed_ === null
        ? segmented<RangeName>("Span", names, this.range_, (range) => {
            this.range_ = range;
            void this.load();
            this.frame_.ask();
          })
        : h(
            "button",
            { type: "button", class: "btn", onclick: () => this.follow() },
            icon("play"),
            "Back to live",
          ),
      live.info.features.length === 0
        ? null
        : h(
            "div",
            { class: "row", role: "group", "aria-label": "Features drawn" },
            live.info.features.slice(0, 6).map((name) =>
              h(
                "button",
                {
                  key: name,
                  type: "button",
                  class: "btn chip",
                  "aria-pressed": this.overlays_.includes(name) ? "true" : "false",
                  onclick: () => this.overlay(name),
                },
                words(name),
              ),
            ),
          ),
    );
  }

  private follow(): void {
    this.fixed_ = null;
    void this.load();
    this.frame_.ask();
  }

  private overlay(name: string): void {
    this.overlays_ = this.overlays_.includes(name)
      ? this.overlays_.filter((n) => n !== name)
      : [...this.overlays_, name].slice(-kOverlaysMost);
    void this.load();
    this.frame_.ask();
  }

  private readout(live: LiveSeries): VNode {
    const data = this.data_;
    const row = this.hover_ ?? (data ? data.t_s.length - 1 : -1);
    const t_s = data?.t_s[row];
    if (!data || t_s === undefined)
      return h("p", { class: "readout num quiet" }, data ? "No rows in this span." : "Loading");
    const parts: Child[] = [
      h("span", { key: "t" }, moment(t_s * 1e6, this.page_.store.now_us())),
      h(
        "span",
        { key: "v" },
        "value ",
        h("strong", null, value_text(data.value[row], live.info.unit)),
      ),
      h("span", { key: "s" }, "score ", h("strong", null, score_text(data.score[row]))),
      ...data.features.map(([name, column]) =>
        h(
          "span",
          { key: name },
          `${words(name)} `,
          h("strong", null, value_text(column[row], live.info.unit)),
        ),
      ),
    ];
    return h("p", { class: "readout num quiet" }, parts);
  }

  private legend(): VNode {
    const data = this.data_;
    const item = (kind: string, name: string) =>
      h("li", { key: kind }, h("i", { class: `key ${kind}` }), name);
    const old = this.fixed_ !== null && this.fixed_.from_us < this.kept_from_us_;
    return h(
      "div",
      { class: "chart-foot small quiet" },
      h(
        "ul",
        { class: "legend" },
        item("line", data?.reduced ? "value, mean and extremes" : "value"),
        item("unusual", "unusual"),
        item("span", "alert"),
        data && data.labels.length > 0 ? item("label", "labelled") : null,
        ...(data?.features ?? []).map(([name], i) => item(`f${i}`, words(name))),
      ),
      h(
        "span",
        null,
        old ? `Kept since ${clock(this.kept_from_us_)}. ` : "",
        "Click to choose a moment, drag to look closer.",
      ),
    );
  }

  private moment(live: LiveSeries): Child[] {
    const { info } = live;
    if (this.at_us_ === null) {
      return [
        h("h2", null, "A moment"),
        h(
          "p",
          { class: "quiet" },
          "Click the chart, or focus it and use the arrow keys: the features and the score as " +
            "they were then, with only what had happened by then.",
        ),
        h(
          "button",
          {
            type: "button",
            class: "btn",
            disabled: info.t_us === null,
            onclick: () => this.pick(info.t_us ?? 0),
          },
          "Take the newest",
        ),
      ];
    }
    const title = h("h2", { class: "num" }, moment(this.at_us_, this.page_.store.now_us()));
    if (this.moment_error_) return [title, error_notice(this.moment_error_)];
    const m = this.moment_;
    if (m === null) return [title, h("p", { class: "quiet" }, "Loading")];
    const score = m.score;
    return [
      title,
      h("p", { class: "moment-value num" }, value_text(m.value, info.unit)),
      feature_table(m.features, info.unit),
      score === null
        ? h("p", { class: "quiet" }, "Nothing had scored this series by then.")
        : h(
            "section",
            null,
            h(
              "h3",
              { class: "num" },
              `Score ${score_text(score.value)}`,
              h("span", { class: "quiet" }, ` of ${score_text(score.threshold)}`),
            ),
            contributions(score.members, score.value, score.threshold),
            h("p", { class: "quiet small" }, `${score.model}, version ${score.version}`),
          ),
    ];
  }
}
