// The demo's panel: start a bounded, harmless incident, and follow it in six steps.
import type { Status } from "../api/types.ts";
import { tell_story, trouble_name, type Step, type Story } from "../model/story.ts";
import { h, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";
import { segmented } from "./parts.ts";
import type { Page } from "./view.ts";

const kSeconds = [20, 40, 90];

export class DemoPanel {
  private kind_ = "cpu";
  private seconds_ = 40;
  private busy_ = false;
  private readonly page_: Page;
  private readonly changed_: () => void;

  constructor(page: Page, changed: () => void) {
    this.page_ = page;
    this.changed_ = changed;
  }

  story(): Story | null {
    const { status, timeline, models } = this.page_.store;
    return tell_story({
      incident: status?.demo.incident ?? null,
      timeline,
      alerts: this.page_.store.alerts_newest_first(),
      models,
      now_us: this.page_.store.now_us(),
    });
  }

  render(status: Status): VNode | null {
    if (!status.demo.enabled) return null;
    if (!status.demo.kinds.includes(this.kind_)) this.kind_ = status.demo.kinds[0] ?? "cpu";
    const story = this.story();
    const running = status.demo.incident !== null;
    return h(
      "section",
      { class: "demo card", "aria-labelledby": "demo-title" },
      h(
        "div",
        { class: "demo-head" },
        h(
          "div",
          null,
          h(
            "h2",
            { id: "demo-title" },
            running ? `${trouble_name(story?.kind ?? "")} running` : "Try it on this machine",
          ),
          h("p", { class: "quiet small" }, this.explain(status, running)),
        ),
        running ? this.stop_button() : this.start_form(status),
      ),
      story === null ? null : steps(story),
    );
  }

  private explain(status: Status, running: boolean): string {
    if (running) return "It is bounded and ends by itself; healing should end it sooner.";
    if (status.warmup.fraction < 0.5)
      return "The detectors are still learning; an incident is noticed once they are warm.";
    return "A harmless, bounded incident: watch it be noticed, healed and learned from.";
  }

  private start_form(status: Status): VNode {
    const most = status.demo.seconds_max;
    return h(
      "div",
      { class: "row" },
      segmented(
        "Kind of incident",
        status.demo.kinds.map((k) => [k, trouble_name(k)]),
        this.kind_,
        (kind) => {
          this.kind_ = kind;
          this.changed_();
        },
      ),
      segmented(
        "Length",
        kSeconds.filter((s) => s <= most).map((s) => [s.toString(), `${s} s`]),
        this.seconds_.toString(),
        (s) => {
          this.seconds_ = Number(s);
          this.changed_();
        },
      ),
      h(
        "button",
        {
          type: "button",
          class: "btn primary",
          disabled: this.busy_,
          "data-act": "start-incident",
          onclick: () =>
            void this.run(() => this.page_.deeds.start_incident(this.kind_, this.seconds_)),
        },
        icon("bolt"),
        "Start an incident",
      ),
    );
  }

  private stop_button(): VNode {
    return h(
      "button",
      {
        type: "button",
        class: "btn",
        disabled: this.busy_,
        "data-act": "stop-incident",
        onclick: () => void this.run(() => this.page_.deeds.stop_incident()),
      },
      icon("stop"),
      "Stop it now",
    );
  }

  private async run(deed: () => Promise<void>): Promise<void> {
    this.busy_ = true;
    this.changed_();
    try {
      await deed();
    } finally {
      this.busy_ = false;
      this.changed_();
    }
  }
}

const kSigns: Record<string, string> = { done: "check", bad: "cross" };

function step_node(step: Step, i: number): VNode {
  const sign = kSigns[step.state];
  const words =
    step.href && step.state !== "todo"
      ? h("a", { href: step.href }, step.text)
      : h("span", null, step.text);
  return h(
    "li",
    {
      key: step.name,
      class: `step ${step.state}`,
      "aria-current": step.state === "active" ? "step" : null,
    },
    h(
      "span",
      { class: "step-mark", "aria-hidden": "true" },
      sign ? icon(sign) : (i + 1).toString(),
    ),
    h("span", { class: "step-name" }, step.name),
    h("span", { class: "step-text num" }, words),
  );
}

function steps(story: Story): VNode {
  return h(
    "ol",
    { class: "steps", "aria-label": "How the incident went" },
    story.steps.map(step_node),
  );
}
