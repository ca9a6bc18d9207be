// What happened, newest first: incidents, alerts, actions, verdicts, drift, training, models.
import type { TimelineEntry } from "../api/types.ts";
import { clock, day } from "../model/format.ts";
import { alert_href, series_href } from "../model/route.ts";
import { Frame, h, Root, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";
import { empty, OlderButton, segmented } from "./parts.ts";
import type { Page, View } from "./view.ts";

const kSigns: Record<string, string> = {
  incident: "bolt",
  alert: "alert",
  action: "heal",
  verdict: "person",
  drift: "drift",
  training: "train",
  model: "model",
  system: "gear",
};

type Group = "all" | "alerts" | "healing" | "learning" | "system";

const kGroups: Record<Group, string[]> = {
  all: [],
  alerts: ["incident", "alert", "verdict"],
  healing: ["action"],
  learning: ["drift", "training", "model", "verdict"],
  system: ["system"],
};

export function in_group(entry: TimelineEntry, group: string): boolean {
  const kinds = kGroups[group as Group] ?? [];
  return kinds.length === 0 || kinds.includes(entry.kind);
}

function links(entry: TimelineEntry): VNode[] {
  const { alert_id, series_id, model } = entry.ref;
  const list: VNode[] = [];
  if (alert_id !== undefined) list.push(h("a", { href: alert_href(alert_id) }, "alert"));
  if (series_id !== undefined) list.push(h("a", { href: series_href(series_id) }, "chart"));
  if (model !== undefined) list.push(h("a", { href: "#/models" }, "model"));
  return list;
}

export function entry_node(entry: TimelineEntry): VNode {
  return h(
    "li",
    { key: entry.id.toString(), class: `event ${entry.severity}` },
    h(
      "time",
      { class: "num", datetime: new Date(entry.t_us / 1000).toISOString() },
      clock(entry.t_us),
    ),
    h("span", { class: "event-mark" }, icon(kSigns[entry.kind] ?? "wave")),
    h(
      "div",
      { class: "event-words" },
      h("strong", null, entry.title),
      entry.detail ? h("span", { class: "quiet" }, entry.detail) : null,
      h("span", { class: "event-links small" }, links(entry)),
    ),
  );
}

export class TimelineView implements View {
  readonly el = document.createElement("div");
  readonly title = "Timeline";
  private readonly page_: Page;
  private readonly root_: Root;
  private readonly frame_: Frame;
  private readonly older_: OlderButton;
  private readonly off_: () => void;
  private group_: Group = "all";

  constructor(page: Page) {
    this.page_ = page;
    this.el.className = "stack";
    this.root_ = new Root(this.el);
    this.frame_ = new Frame(() => this.render());
    this.older_ = new OlderButton(this.frame_, page.deeds.more_timeline);
    this.off_ = page.store.on(["timeline", "link"], this.frame_.ask);
    this.render();
  }

  close(): void {
    this.off_();
    this.frame_.stop();
  }

  private render(): void {
    const { store } = this.page_;
    const shown = store.timeline.filter((e) => in_group(e, this.group_));
    const days: [string, TimelineEntry[]][] = [];
    for (const entry of shown) {
      const name = day(entry.t_us);
      const last = days[days.length - 1];
      if (last !== undefined && last[0] === name) last[1].push(entry);
      else days.push([name, [entry]]);
    }
    this.root_.render(
      h(
        "div",
        { class: "row between" },
        h("h1", null, "Timeline"),
        segmented<Group>(
          "Show",
          [
            ["all", "All"],
            ["alerts", "Alerts"],
            ["healing", "Healing"],
            ["learning", "Learning"],
            ["system", "System"],
          ],
          this.group_,
          (group) => {
            this.group_ = group;
            this.frame_.ask();
          },
        ),
      ),
      shown.length === 0 && store.loaded
        ? h(
            "div",
            { class: "card" },
            empty(
              "Nothing here yet",
              "Alerts, healing, training and new model versions appear here as they happen.",
            ),
          )
        : null,
      days.map(([name, list]) =>
        h(
          "section",
          { key: name, class: "card day" },
          h("h2", { class: "day-name" }, name),
          h("ol", { class: "events" }, list.map(entry_node)),
        ),
      ),
      this.older_.render(store.timeline_next),
    );
  }
}
