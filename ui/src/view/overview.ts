// The first view: how is it, what is unusual, is everything healthy, and every series at a glance.
import type { Alert } from "../api/types.ts";
import { count, score_text } from "../model/format.ts";
import { headline, worst_first, type Headline } from "../model/headline.ts";
import { alert_href } from "../model/route.ts";
import { alert_card, refresh_minis } from "./alert_card.ts";
import { DemoPanel } from "./demo.ts";
import { Frame, h, Root, type VNode } from "./dom.ts";
import { health_strip, notices } from "./health.ts";
import { icon } from "./icons.ts";
import { empty, error_notice, progress, segmented } from "./parts.ts";
import { Tiles, type SortName } from "./tiles.ts";
import { entry_node } from "./timeline.ts";
import type { Page, View } from "./view.ts";

const kAlsoMost = 6;
const kLatelyMost = 9;
// A connection that comes back at once is not worth a word.
const kLostMs = 4_000;
const kRecovered_us = 120e6;

export class Overview implements View {
  readonly el = document.createElement("div");
  readonly title = "Overview";
  private readonly page_: Page;
  private readonly root_: Root;
  private readonly frame_: Frame;
  private readonly demo_: DemoPanel;
  private readonly tiles_: Tiles;
  private readonly off_: (() => void)[];
  private filter_ = "";
  private sort_: SortName = "heat";

  constructor(page: Page) {
    this.page_ = page;
    this.el.className = "stack";
    this.root_ = new Root(this.el);
    this.frame_ = new Frame(() => this.render());
    this.demo_ = new DemoPanel(page, this.frame_.ask);
    this.tiles_ = new Tiles(page.store);
    const { store } = page;
    this.off_ = [
      store.on(["status", "alerts", "timeline", "models", "series", "link"], this.frame_.ask),
      store.on(["series"], () => this.tiles_.rebuild()),
      store.on(["tick"], () => {
        this.tiles_.tick();
        this.frame_.ask();
      }),
    ];
    this.render();
  }

  close(): void {
    this.off_.forEach((off) => off());
    this.frame_.stop();
    this.tiles_.close();
  }

  private render(): void {
    const { store, deeds } = this.page_;
    const status = store.status;
    if (store.load_error !== null && status === null) {
      this.root_.render(
        h("h1", { class: "sr" }, "Overview"),
        error_notice(store.load_error, deeds.reload),
      );
      return;
    }
    const words = this.words();
    this.root_.render(
      this.hero(words),
      status ? notices(status, words.title) : null,
      status ? this.demo_.render(status) : null,
      this.open_alerts(),
      status
        ? health_strip(status)
        : h("div", { key: "bones", class: "health card bones", "aria-hidden": "true" }),
      h("div", { key: "body", class: "overview-body" }, this.series(), this.lately()),
    );
    refresh_minis(this.el, this.page_);
  }

  private words(): Headline {
    const { store } = this.page_;
    return headline(
      store.status,
      [...store.alerts.values()],
      store.series_total,
      store.link !== "live" && Date.now() - store.link_since_ms > kLostMs,
    );
  }

  private hero(words: Headline): VNode {
    const warm = this.page_.store.status?.warmup;
    return h(
      "section",
      { key: "hero", class: `hero ${words.tone}` },
      h(
        "div",
        { class: "hero-words" },
        h("h1", null, words.title),
        h("p", { class: "quiet num" }, words.detail),
      ),
      words.tone === "warming" && warm ? progress(warm.fraction, "Warm-up") : null,
    );
  }

  // What is open; otherwise what has just recovered, long enough to read how it went and to judge
  // it.
  private featured(): Alert[] {
    const { store } = this.page_;
    const all = store.alerts_newest_first();
    const open = all.filter((a) => a.state === "open");
    const newest = all[0];
    if (open.length > 0 || newest === undefined || store.status?.mode !== "live") return open;
    const now_us = store.now_us();
    const last_us = Math.max(...all.slice(0, 50).map((a) => a.resolved_us ?? 0));
    if (now_us - last_us > kRecovered_us) return [];
    // Those that were open together with the last one.
    return all.filter(
      (a) => (a.resolved_us ?? 0) >= newest.began_us && last_us - a.opened_us < 600e6,
    );
  }

  private open_alerts(): VNode | null {
    const [worst, ...rest] = worst_first(this.featured());
    if (worst === undefined) return null;
    const open = worst.state === "open";
    const more = rest.length - kAlsoMost;
    return h(
      "section",
      {
        key: "open",
        class: "stack open-alerts",
        "aria-label": open ? "Open alerts" : "Just recovered",
      },
      alert_card(worst, this.page_, false, rest),
      rest.length === 0
        ? null
        : h(
            "ul",
            { class: "also", "aria-label": "Also unusual" },
            h("li", { key: "", class: "quiet" }, open ? "Also unusual:" : "Unusual with it:"),
            rest
              .slice(0, kAlsoMost)
              .map((a) =>
                h(
                  "li",
                  { key: a.id },
                  h(
                    "a",
                    { class: "also-alert", href: alert_href(a.id) },
                    icon("alert"),
                    a.title,
                    h("span", { class: "quiet num" }, score_text(a.score_max)),
                  ),
                ),
              ),
            more > 0
              ? h("li", { key: "more" }, h("a", { href: "#/alerts" }, `and ${more} more`))
              : null,
          ),
    );
  }

  // The newest of the timeline, beside the series: the story goes on while one looks at them.
  private lately(): VNode {
    const { store } = this.page_;
    return h(
      "aside",
      { class: "lately", "aria-labelledby": "lately-title" },
      h(
        "div",
        { class: "row between" },
        h("h2", { id: "lately-title" }, "Lately"),
        h("a", { class: "small", href: "#/timeline" }, "Timeline"),
      ),
      store.timeline.length === 0
        ? h("p", { class: "quiet small" }, "Nothing has happened yet.")
        : h("ol", { class: "events" }, store.timeline.slice(0, kLatelyMost).map(entry_node)),
    );
  }

  private series(): VNode {
    const { store } = this.page_;
    const held = h("div", {
      key: "grid",
      hold: true,
      made: (el) => el.appendChild(this.tiles_.el),
    });
    const none =
      store.loaded && store.series.size === 0
        ? empty(
            "No series yet",
            "The first samples arrive within seconds. If nothing comes, look at the sources above.",
          )
        : store.series.size > 0 && this.tiles_.shown === 0
          ? empty("Nothing matches", `No series has '${this.filter_}' in its name.`)
          : null;
    const more = store.series_total - store.series.size;
    return h(
      "section",
      { key: "series", class: "series-block", "aria-labelledby": "series-title" },
      h(
        "div",
        { class: "row between series-bar" },
        h(
          "h2",
          { id: "series-title" },
          "Series ",
          h("span", { class: "quiet num" }, count(store.series.size)),
        ),
        h(
          "div",
          { class: "row" },
          h(
            "label",
            { class: "search" },
            icon("search"),
            h("span", { class: "sr" }, "Filter series"),
            h("input", {
              class: "field",
              type: "search",
              placeholder: "Filter",
              value: this.filter_,
              oninput: (e: Event) => this.choose((e.target as HTMLInputElement).value, this.sort_),
            }),
          ),
          segmented<SortName>(
            "Order",
            [
              ["heat", "Most unusual"],
              ["name", "Name"],
            ],
            this.sort_,
            (sort) => this.choose(this.filter_, sort),
          ),
        ),
      ),
      held,
      none,
      more > 0
        ? h(
            "p",
            { class: "quiet small" },
            `${count(more)} more series are not shown here; the API lists them all.`,
          )
        : null,
    );
  }

  private choose(filter: string, sort: SortName): void {
    this.filter_ = filter;
    this.sort_ = sort;
    this.tiles_.choose(filter, sort);
    this.frame_.ask();
  }
}
