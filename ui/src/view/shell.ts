// The frame around the views: brand, navigation, connection, theme, messages; and which view is
// shown.
import { duration_s } from "../model/format.ts";
import { parse_route, type Route, type ViewName } from "../model/route.ts";
import { AlertsView } from "./alerts.ts";
import { Frame, h, Root, type VNode } from "./dom.ts";
import { icon } from "./icons.ts";
import { ModelsView } from "./models.ts";
import { Overview } from "./overview.ts";
import { SeriesView } from "./series.ts";
import { forget_colors } from "./spark.ts";
import { TimelineView } from "./timeline.ts";
import type { Page, View } from "./view.ts";

type Theme = "auto" | "light" | "dark";

const kNav: [ViewName, string][] = [
  ["overview", "Overview"],
  ["alerts", "Alerts"],
  ["timeline", "Timeline"],
  ["models", "Models"],
];
const kThemes: Record<Theme, [Theme, string]> = {
  auto: ["light", "auto"],
  light: ["dark", "sun"],
  dark: ["auto", "moon"],
};
const kToastMs = 9_000;

function saved_theme(): Theme {
  try {
    const saved = localStorage.getItem("quickwater-theme");
    return saved === "light" || saved === "dark" ? saved : "auto";
  } catch {
    return "auto";
  }
}

export class Shell {
  private readonly page_: Page;
  private readonly top_: Root;
  private readonly banner_: Root;
  private readonly foot_: Root;
  private readonly over_: Root;
  private readonly main_ = document.createElement("main");
  private readonly frame_: Frame;
  private readonly dark_ = window.matchMedia("(prefers-color-scheme: dark)");
  private theme_: Theme = saved_theme();
  private view_: View | null = null;
  private view_name_: ViewName | null = null;
  private toast_timer_: ReturnType<typeof setTimeout> | undefined;
  private said_ = "";

  constructor(host: Element, page: Page) {
    this.page_ = page;
    const part = (tag: string, name: string) => {
      const el = document.createElement(tag);
      el.className = name;
      host.appendChild(el);
      return el;
    };
    const skip = part("a", "skip") as HTMLAnchorElement;
    skip.textContent = "Skip to content";
    skip.href = "#main";
    skip.addEventListener("click", (e) => {
      e.preventDefault();
      this.main_.focus();
    });
    this.top_ = new Root(part("header", "top"));
    this.banner_ = new Root(part("div", "banner"));
    this.main_.id = "main";
    this.main_.tabIndex = -1;
    host.appendChild(this.main_);
    this.foot_ = new Root(part("footer", "foot"));
    this.over_ = new Root(part("div", "over"));
    this.frame_ = new Frame(() => this.render());
    page.store.on(["link", "status", "alerts", "toast"], this.frame_.ask);
    page.store.on(["toast"], () => this.toast_started());
    page.store.on(["tick"], () => {
      if (page.store.link === "lost") this.frame_.ask();
    });
    this.dark_.addEventListener("change", () => this.paint_theme());
    window.addEventListener("hashchange", () => this.go());
    window.setInterval(() => {
      if (page.store.link !== "live") this.frame_.ask();
    }, 1000);
    this.paint_theme();
    this.go();
    this.render();
  }

  private go(): void {
    const route = parse_route(location.hash);
    if (this.view_ !== null && this.view_name_ === route.view && this.view_.go) {
      this.view_.go(route);
    } else if (this.view_ === null || this.view_name_ !== route.view) {
      this.view_?.close();
      const first = this.view_ === null;
      this.view_ = this.make(route);
      this.view_name_ = route.view;
      this.main_.replaceChildren(this.view_.el);
      window.scrollTo(0, 0);
      if (!first) this.main_.focus({ preventScroll: true });
    }
    this.frame_.ask();
  }

  private make(route: Route): View {
    switch (route.view) {
      case "series":
        return new SeriesView(this.page_, route);
      case "alerts":
        return new AlertsView(this.page_, route);
      case "timeline":
        return new TimelineView(this.page_);
      case "models":
        return new ModelsView(this.page_);
      default:
        return new Overview(this.page_);
    }
  }

  private render(): void {
    const { store } = this.page_;
    const open = [...store.alerts.values()].filter((a) => a.state === "open").length;
    document.title = `${open > 0 ? `(${open}) ` : ""}${this.view_?.title ?? ""} – Quickwater`;
    this.top_.render(this.bar(open));
    this.banner_.render(this.lost());
    this.foot_.render(this.foot());
    this.over_.render(
      this.toast(),
      h("div", { key: "say", class: "sr", "aria-live": "polite" }, this.announce()),
    );
  }

  private bar(open: number): VNode {
    const { store } = this.page_;
    const current = this.view_name_ === "series" ? "overview" : this.view_name_;
    const [next, sign] = kThemes[this.theme_];
    const links = { live: "live", connecting: "connecting", lost: "lost" };
    return h(
      "div",
      { class: "top-in" },
      h(
        "a",
        { class: "brand", href: "#/overview" },
        h(
          "svg",
          { viewBox: "0 0 32 32", "aria-hidden": "true" },
          h("rect", { width: "32", height: "32", rx: "8", fill: "#0b6b83" }),
          h("path", {
            d:
              "M5 12.5c3.7-4.2 7.3-4.2 11 0s7.3 4.2 11 0" +
              "M5 20.5c3.7-4.2 7.3-4.2 11 0s7.3 4.2 11 0",
            fill: "none",
            stroke: "#fff",
            "stroke-width": "2.6",
            "stroke-linecap": "round",
          }),
        ),
        "Quickwater",
        store.status ? h("span", { class: "app" }, store.status.app) : null,
      ),
      h(
        "nav",
        { class: "nav", "aria-label": "Views" },
        kNav.map(([name, title]) =>
          h(
            "a",
            { key: name, href: `#/${name}`, "aria-current": name === current ? "page" : null },
            title,
            name === "alerts" && open > 0
              ? h("span", { class: "badge alert num" }, open, h("span", { class: "sr" }, " open"))
              : null,
          ),
        ),
      ),
      h(
        "span",
        { class: `link-state ${store.link}`, role: "status" },
        h("i", null),
        links[store.link],
      ),
      h(
        "button",
        {
          type: "button",
          class: "round",
          "aria-label": `Theme: ${this.theme_}. Change to ${next}`,
          title: `Theme: ${this.theme_}`,
          "data-act": "theme",
          onclick: () => this.choose_theme(next),
        },
        icon(sign),
      ),
    );
  }

  private lost(): VNode | null {
    const { store } = this.page_;
    const for_s = (Date.now() - store.link_since_ms) / 1000;
    if (store.link === "live" || (store.link === "connecting" && for_s < 4)) return null;
    return h(
      "div",
      { class: "notice alert", role: "alert" },
      icon("alert"),
      h("strong", null, `No word from Quickwater at ${location.host}`),
      h(
        "p",
        { class: "quiet" },
        "What you see is as it was ",
        h("span", { class: "num", "aria-live": "off" }, `${duration_s(Math.floor(for_s))} ago`),
        ". This page keeps trying. If you stopped Quickwater, start it again with ",
        h("code", { class: "mono" }, "./dev demo"),
        "; if it is another machine, check the tunnel or network to it.",
      ),
    );
  }

  private foot(): VNode | null {
    const status = this.page_.store.status;
    if (status === null) return null;
    return h(
      "p",
      { class: "num" },
      `Quickwater ${status.version}, role ${status.role}, ` +
        `up ${duration_s(Math.floor(status.uptime_s))}`,
    );
  }

  private toast(): VNode | null {
    const toast = this.page_.store.toast;
    if (toast === null) return null;
    return h(
      "div",
      {
        key: "toast",
        class: `toast ${toast.kind}`,
        role: toast.kind === "error" ? "alert" : "status",
      },
      h(
        "div",
        { class: "row between" },
        h(
          "div",
          null,
          h("strong", null, toast.message),
          toast.how_to_mend ? h("p", { class: "quiet" }, toast.how_to_mend) : null,
        ),
        h(
          "button",
          {
            type: "button",
            class: "round",
            "aria-label": "Close",
            onclick: () => this.page_.store.say(null),
          },
          icon("cross"),
        ),
      ),
    );
  }

  private toast_started(): void {
    clearTimeout(this.toast_timer_);
    if (this.page_.store.toast !== null) {
      this.toast_timer_ = setTimeout(() => this.page_.store.say(null), kToastMs);
    }
  }

  // For those who listen rather than look: the newest alert, once when it opens and once when it is
  // over.
  private announce(): string {
    const newest = this.page_.store.alerts_newest_first()[0];
    if (newest === undefined) return this.said_;
    if (newest.state === "open") this.said_ = `Alert: ${newest.title}`;
    else if (this.said_ !== "") this.said_ = `Recovered: ${newest.title}`;
    return this.said_;
  }

  private choose_theme(theme: Theme): void {
    this.theme_ = theme;
    try {
      if (theme === "auto") localStorage.removeItem("quickwater-theme");
      else localStorage.setItem("quickwater-theme", theme);
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
    this.paint_theme();
    this.frame_.ask();
  }

  private paint_theme(): void {
    const theme = this.theme_ === "auto" ? (this.dark_.matches ? "dark" : "light") : this.theme_;
    document.documentElement.dataset.theme = theme;
    forget_colors();
    if (this.view_ instanceof SeriesView) this.view_.restyle();
    this.page_.store.emit("series");
  }
}
