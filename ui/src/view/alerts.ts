// All alerts, newest first, or one of them by its link.
import { api, as_error } from "../api/client.ts";
import type { Alert, ApiErrorBody } from "../api/types.ts";
import type { Route } from "../model/route.ts";
import { alert_card, alert_row, refresh_minis } from "./alert_card.ts";
import { Frame, h, Root, type Child } from "./dom.ts";
import { icon } from "./icons.ts";
import { empty, error_notice, OlderButton, segmented } from "./parts.ts";
import type { Page, View } from "./view.ts";

type Choice = "all" | "open" | "unjudged";

export class AlertsView implements View {
  readonly el = document.createElement("div");
  readonly title = "Alerts";
  private readonly page_: Page;
  private readonly root_: Root;
  private readonly frame_: Frame;
  private readonly older_: OlderButton;
  private readonly off_: () => void;
  private choice_: Choice = "all";
  private one_ = "";
  private error_: ApiErrorBody | null = null;

  constructor(page: Page, route: Route) {
    this.page_ = page;
    this.el.className = "stack";
    this.root_ = new Root(this.el);
    this.frame_ = new Frame(() => this.render());
    this.older_ = new OlderButton(this.frame_, page.deeds.more_alerts);
    this.off_ = page.store.on(["alerts", "status", "tick", "link"], this.frame_.ask);
    this.go(route);
  }

  go(route: Route): void {
    this.one_ = route.id;
    this.error_ = null;
    if (this.one_ !== "" && !this.page_.store.alerts.has(this.one_)) void this.fetch_one(this.one_);
    this.render();
  }

  close(): void {
    this.off_();
    this.frame_.stop();
  }

  private async fetch_one(id: string): Promise<void> {
    try {
      this.page_.store.put_alert(await api.alert(id));
    } catch (e) {
      this.error_ = as_error(e, `alert ${id}`);
    }
    this.frame_.ask();
  }

  private render(): void {
    this.root_.render(this.one_ === "" ? this.list() : this.single());
    refresh_minis(this.el, this.page_);
  }

  private single(): Child[] {
    const alert = this.page_.store.alerts.get(this.one_);
    return [
      h("a", { key: "back", class: "back", href: "#/alerts" }, icon("back"), "All alerts"),
      h("h1", { key: "h", class: "sr" }, "Alert"),
      alert ? alert_card(alert, this.page_, true) : null,
      this.error_ && !alert ? error_notice(this.error_) : null,
    ];
  }

  private chosen(alert: Alert): boolean {
    if (this.choice_ === "open") return alert.state === "open";
    return this.choice_ === "all" || alert.verdict === null;
  }

  private list(): Child[] {
    const { store } = this.page_;
    const shown = store.alerts_newest_first().filter((a) => this.chosen(a));
    return [
      h(
        "div",
        { key: "top", class: "row between" },
        h("h1", null, "Alerts"),
        segmented<Choice>(
          "Show",
          [
            ["all", "All"],
            ["open", "Open"],
            ["unjudged", "No verdict yet"],
          ],
          this.choice_,
          (c) => {
            this.choice_ = c;
            this.frame_.ask();
          },
        ),
      ),
      shown.length > 0 || !store.loaded
        ? null
        : h(
            "div",
            { key: "none", class: "card" },
            this.choice_ === "unjudged"
              ? empty(
                  "Every alert has your verdict",
                  "Thank you: each verdict is a label the next training run learns from.",
                )
              : empty(
                  "No alerts",
                  "Nothing has been unusual enough. In the demo, start an incident on the ",
                  h("a", { href: "#/overview" }, "overview"),
                  " to see one.",
                ),
          ),
      h(
        "div",
        { key: "rows", class: "alert-rows" },
        shown.map((alert) => alert_row(alert, this.page_)),
      ),
      this.older_.render(store.alerts_next),
    ];
  }
}
