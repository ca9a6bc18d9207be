// Models: which version decides, which are warming, which were refused and why, and what training
// is doing.
import type { Model, ModelVersion, TrainingRun } from "../api/types.ts";
import { ago, count, duration_s, percent, score_text, words } from "../model/format.ts";
import { Frame, h, Root, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";
import { empty, progress, tag } from "./parts.ts";
import type { Page, View } from "./view.ts";

function state_tag(v: ModelVersion): VNode {
  switch (v.state) {
    case "champion":
      return tag("good", "champion", "check");
    case "warming":
      return tag("warn", `warming ${percent(v.warm)}`, "clock");
    case "refused":
      return tag("warn", "refused", "cross");
    case "failed":
      return tag("alert", "failed", "alert");
    default:
      return tag("", words(v.state));
  }
}

function metric_words(m: ModelVersion["metrics"][number]): VNode {
  const better =
    m.value !== null &&
    m.champion !== null &&
    (m.better === "higher" ? m.value > m.champion : m.value < m.champion);
  const against = m.champion === null ? "" : ` against ${score_text(m.champion)}`;
  return h(
    "span",
    { class: "num" },
    `${words(m.name)} `,
    h("strong", null, score_text(m.value)),
    h("span", { class: "quiet" }, against),
    m.champion === null || m.value === m.champion
      ? null
      : h("span", { class: "sr" }, better ? " (better)" : " (worse)"),
  );
}

export class ModelsView implements View {
  readonly el = document.createElement("div");
  readonly title = "Models";
  private readonly page_: Page;
  private readonly root_: Root;
  private readonly frame_: Frame;
  private readonly off_: () => void;
  private busy_ = "";

  constructor(page: Page) {
    this.page_ = page;
    this.el.className = "stack";
    this.root_ = new Root(this.el);
    this.frame_ = new Frame(() => this.render());
    this.off_ = page.store.on(["models", "link", "status"], this.frame_.ask);
    this.render();
  }

  close(): void {
    this.off_();
    this.frame_.stop();
  }

  private render(): void {
    const { store } = this.page_;
    this.root_.render(
      h("h1", null, "Models"),
      store.models.length === 0 && store.loaded
        ? h(
            "div",
            { class: "card" },
            empty("No models", "The app file names none; add one under 'models:'."),
          )
        : null,
      store.models.map((m) => this.model(m)),
    );
  }

  private model(m: Model): VNode {
    return h(
      "article",
      { key: m.name, class: "card model" },
      h(
        "header",
        { class: "row between" },
        h(
          "div",
          null,
          h("h2", null, m.name),
          h(
            "p",
            { class: "quiet small" },
            `${m.kind}; decides: ${m.decisions.join(", ") || "nothing"}`,
          ),
        ),
        m.labels === null ? null : this.train_button(m),
      ),
      this.facts(m),
      m.training.length > 0 ? this.runs(m) : null,
      h(
        "section",
        null,
        h("h3", null, "Versions"),
        h(
          "ol",
          { class: "versions" },
          m.versions.map((v) => this.version(m.name, v)),
        ),
      ),
    );
  }

  private train_button(m: Model): VNode {
    const running = m.training.some((r) => r.state === "running" || r.state === "queued");
    return h(
      "button",
      {
        type: "button",
        class: "btn",
        disabled: running || this.busy_ === m.name,
        "data-act": "retrain",
        onclick: () => void this.retrain(m.name),
      },
      icon("train"),
      running ? "Training" : "Train a new version",
    );
  }

  private facts(m: Model): VNode {
    const labels = m.labels;
    const drift = m.drift;
    return h(
      "dl",
      { class: "facts" },
      h(
        "div",
        { key: "champion" },
        h("dt", null, "Champion"),
        h("dd", { class: "num" }, m.champion === null ? "none yet" : `version ${m.champion}`),
      ),
      labels === null
        ? null
        : h(
            "div",
            { key: "labels" },
            h("dt", null, "Labels"),
            h(
              "dd",
              { class: "num" },
              `${count(labels.total)}`,
              h(
                "span",
                { class: "quiet small" },
                labels.total < labels.needed
                  ? ` of ${labels.needed} needed to train`
                  : ` ${labels.real} real, ${labels.false_alarm} false alarms`,
              ),
            ),
          ),
      drift === null
        ? null
        : h(
            "div",
            { key: "drift", class: drift.state === "drifting" ? "bad" : "" },
            h("dt", null, "Score drift"),
            h(
              "dd",
              { class: "num" },
              score_text(drift.value),
              h(
                "span",
                { class: "quiet small" },
                ` of ${score_text(drift.threshold)} allowed (${drift.test.toUpperCase()})`,
              ),
              drift.state === "drifting" ? tag("alert", "drifting", "alert") : null,
            ),
          ),
    );
  }

  private runs(m: Model): VNode {
    return h(
      "section",
      null,
      h("h3", null, "Training"),
      h(
        "ol",
        { class: "versions" },
        m.training.slice(0, 4).map((r) => this.run(r)),
      ),
    );
  }

  private run(r: TrainingRun): VNode {
    const live = r.state === "running" || r.state === "queued";
    const took =
      r.ended_us === null ? "" : `, took ${duration_s((r.ended_us - r.started_us) / 1e6)}`;
    const best = r.best === null ? "" : `, best ${score_text(r.best)}`;
    return h(
      "li",
      { key: r.run_id, class: "version" },
      h(
        "div",
        { class: "row" },
        tag(r.state === "published" ? "good" : live ? "" : "warn", words(r.state)),
        h("span", null, `asked by ${r.trigger === "person" ? "you" : words(r.trigger)}`),
        h(
          "span",
          { class: "quiet small num" },
          `${ago(r.started_us, this.page_.store.now_us())}${took}; ` +
            `${r.trials_done} of ${r.trials_total} trials${best}`,
        ),
      ),
      r.message ? h("p", { class: "quiet" }, r.message) : null,
      live ? progress(r.trials_total > 0 ? r.trials_done / r.trials_total : 0, "Trials") : null,
    );
  }

  private version(model: string, v: ModelVersion): VNode {
    const settings = Object.entries(v.settings);
    const labels = v.lineage?.labels;
    return h(
      "li",
      { key: v.version, class: `version ${v.state}` },
      h(
        "div",
        { class: "row" },
        h("strong", null, `Version ${v.version}`),
        state_tag(v),
        h(
          "span",
          { class: "quiet small" },
          `published ${ago(v.published_us, this.page_.store.now_us())}` +
            (v.swapped_us === null
              ? ""
              : `, swapped in ${ago(v.swapped_us, this.page_.store.now_us())}`),
        ),
      ),
      v.reason ? h("p", null, v.reason) : null,
      v.state === "champion" && v.lineage?.parent
        ? h(
            "p",
            null,
            h(
              "button",
              { type: "button", class: "btn", onclick: () => void this.page_.deeds.roll_back(model) },
              `Back to version ${v.lineage.parent}`,
            ),
          )
        : null,
      v.metrics.length > 0 ? h("p", { class: "row small" }, v.metrics.map(metric_words)) : null,
      v.state === "warming" ? progress(v.warm, `Warm-up of version ${v.version}`) : null,
      v.state === "warming"
        ? h(
            "p",
            { class: "quiet small num" },
            `${percent(v.warm)} of the remembered decisions learned beside the champion`,
          )
        : null,
      settings.length > 0 || v.lineage
        ? h(
            "details",
            null,
            h("summary", { class: "small" }, "Settings and lineage"),
            h("p", { class: "mono quiet" }, settings.map(([k, x]) => `${k} = ${x}`).join("   ")),
            v.lineage
              ? h(
                  "p",
                  { class: "quiet small" },
                  `from version ${v.lineage.parent ?? "none"}, run ${v.lineage.run_id ?? "none"}` +
                    (labels === null || labels === undefined ? "" : `, ${labels} labels`),
                )
              : null,
          )
        : null,
    );
  }

  private async retrain(name: string): Promise<void> {
    this.busy_ = name;
    this.render();
    await this.page_.deeds.retrain(name);
    this.busy_ = "";
    this.render();
  }
}
