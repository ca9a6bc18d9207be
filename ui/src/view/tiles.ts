// The overview's grid: one tile a series, made once and then changed in place. Only tiles in sight
// are drawn, and the order is looked at every few seconds, not while someone points at or tabs
// through them.
import { score_text, split_value, percent } from "../model/format.ts";
import { by_heat, by_name, matches } from "../model/order.ts";
import { series_href } from "../model/route.ts";
import type { LiveSeries, Store } from "../model/store.ts";
import { Frame } from "./dom.ts";
import { draw_spark } from "./spark.ts";

const kReorderMs = 3_000;

export type SortName = "heat" | "name";

function make(tag: string, name: string, parent?: Element): HTMLElement {
  const el = document.createElement(tag);
  el.className = name;
  parent?.appendChild(el);
  return el;
}

function text(el: Element, value: string): void {
  if (el.firstChild === null) el.appendChild(document.createTextNode(value));
  else if (el.firstChild.nodeValue !== value) el.firstChild.nodeValue = value;
}

class Tile {
  readonly el: HTMLAnchorElement;
  readonly canvas: HTMLCanvasElement;
  seen = false;
  dirty = true;
  private readonly number_: HTMLElement;
  private readonly unit_: HTMLElement;
  private readonly hint_: HTMLElement;
  private readonly state_: HTMLElement;
  private readonly meter_: HTMLElement;

  constructor(live: LiveSeries) {
    this.el = document.createElement("a");
    this.el.className = "tile";
    this.el.href = series_href(live.info.id);
    const head = make("div", "tile-head", this.el);
    text(make("span", "tile-name", head), live.info.title ?? live.info.metric);
    text(make("span", "tile-entity", head), live.info.entity === "all" ? "" : live.info.entity);
    const value = make("div", "tile-value num", this.el);
    this.number_ = make("span", "n", value);
    this.unit_ = make("span", "u", value);
    this.hint_ = make("span", "tile-hint", value);
    this.state_ = make("span", "tile-state num", value);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.el.appendChild(this.canvas);
    this.meter_ = make("i", "", make("div", "meter", this.el));
    this.update(live);
  }

  update(live: LiveSeries): void {
    const { value, unit, score, threshold, warm, alerting } = live.info;
    const [number, name] = split_value(value, unit);
    text(this.number_, number);
    text(this.unit_, name);
    const heat = score !== null && threshold ? score / threshold : 0;
    const state = alerting ? "unusual" : warm < 1 ? `warming ${percent(warm)}` : score_text(score);
    text(this.state_, state);
    text(this.hint_, alerting || warm < 1 ? "" : "score");
    this.el.classList.toggle("alerting", alerting);
    this.el.classList.toggle("warming", warm < 1);
    this.el.classList.toggle("raised", !alerting && heat >= 0.7);
    const width = warm < 1 ? warm : Math.min(1, heat);
    this.meter_.style.width = `${Math.round(width * 100)}%`;
    this.dirty = true;
  }

  draw(live: LiveSeries): void {
    const ring = live.ring;
    const threshold = live.info.threshold ?? Number.POSITIVE_INFINITY;
    this.dirty = false;
    draw_spark(
      this.canvas,
      {
        size: ring.size,
        t: (i) => ring.t_us[ring.at(i)]!,
        value: (i) => ring.value[ring.at(i)]!,
        unusual: (i) => ring.score[ring.at(i)]! >= threshold,
      },
      { from: ring.size > 0 ? ring.t_us[ring.at(0)]! : 0, to: ring.newest_us() },
    );
  }
}

export class Tiles {
  readonly el: HTMLElement;
  shown = 0;
  private readonly store_: Store;
  private readonly tiles_ = new Map<string, Tile>();
  private readonly by_el_ = new Map<Element, string>();
  private readonly sight_: IntersectionObserver;
  private readonly frame_: Frame;
  private order_: string[] = [];
  private ordered_ms_ = 0;
  private filter_ = "";
  private sort_: SortName = "heat";
  private readonly resized_: ResizeObserver;

  constructor(store: Store) {
    this.store_ = store;
    this.el = make("div", "tiles");
    this.el.setAttribute("role", "list");
    this.frame_ = new Frame(() => this.paint());
    this.sight_ = new IntersectionObserver((entries) => this.sighted(entries), {
      rootMargin: "120px",
    });
    this.resized_ = new ResizeObserver(() => this.redraw());
    this.resized_.observe(this.el);
    this.rebuild();
  }

  close(): void {
    this.frame_.stop();
    this.sight_.disconnect();
    this.resized_.disconnect();
  }

  choose(filter: string, sort: SortName): void {
    this.filter_ = filter;
    this.sort_ = sort;
    this.arrange(true);
  }

  // The set of series changed.
  rebuild(): void {
    for (const [id, tile] of this.tiles_) {
      if (this.store_.series.has(id)) continue;
      this.sight_.unobserve(tile.el);
      this.by_el_.delete(tile.el);
      tile.el.parentElement?.remove();
      this.tiles_.delete(id);
    }
    for (const [id, live] of this.store_.series) {
      const known = this.tiles_.get(id);
      if (known !== undefined) {
        known.update(live);
        continue;
      }
      const tile = new Tile(live);
      const item = make("div", "tile-item");
      item.setAttribute("role", "listitem");
      item.appendChild(tile.el);
      this.tiles_.set(id, tile);
      this.by_el_.set(tile.el, id);
      this.sight_.observe(tile.el);
    }
    this.arrange(true);
    this.frame_.ask();
  }

  tick(): void {
    const tick = this.store_.last_tick;
    if (tick === null) return;
    const changed = new Set([...tick.id, ...tick.alerting]);
    for (const [id, tile] of this.tiles_) {
      const live = this.store_.series.get(id);
      if (live === undefined) continue;
      if (changed.has(id) || tile.el.classList.contains("alerting") !== live.info.alerting)
        tile.update(live);
    }
    this.arrange(false);
    this.frame_.ask();
  }

  redraw(): void {
    for (const tile of this.tiles_.values()) tile.dirty = true;
    this.frame_.ask();
  }

  private sighted(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const tile = this.tiles_.get(this.by_el_.get(entry.target) ?? "");
      if (tile === undefined) continue;
      tile.seen = entry.isIntersecting;
      if (tile.seen && tile.dirty) this.frame_.ask();
    }
  }

  private paint(): void {
    for (const [id, tile] of this.tiles_) {
      const live = this.store_.series.get(id);
      if (tile.seen && tile.dirty && live !== undefined) tile.draw(live);
    }
  }

  private arrange(now: boolean): void {
    const held = this.el.matches(":hover") || this.el.contains(document.activeElement);
    if (!now && (held || performance.now() - this.ordered_ms_ < kReorderMs)) return;
    this.ordered_ms_ = performance.now();
    const list = [...this.store_.series.values()].filter((live) => matches(this.filter_, live));
    list.sort(this.sort_ === "heat" ? by_heat : by_name);
    const order = list.map((live) => live.info.id);
    this.shown = order.length;
    if (order.length === this.order_.length && order.every((id, i) => id === this.order_[i]))
      return;
    const keep = new Set(order);
    for (const id of this.order_) {
      if (!keep.has(id)) this.tiles_.get(id)?.el.parentElement?.remove();
    }
    order.forEach((id, i) => {
      const item = this.tiles_.get(id)!.el.parentElement!;
      const here = this.el.children[i] ?? null;
      if (here !== item) this.el.insertBefore(item, here);
    });
    this.order_ = order;
  }
}
