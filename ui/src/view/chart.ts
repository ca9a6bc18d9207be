// The big chart: value above, score below, one time axis. Wraps two uPlots; owns their elements.
// The alert spans are shaded, labelled windows outlined, and a chosen moment marked; a click or the
// arrow keys choose one.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { axis_text, value_text } from "../model/format.ts";
import { nearest, unusual_part, type ChartData } from "../model/window.ts";

export interface ChartEvents {
  pick: (at_us: number) => void;
  zoom: (from_us: number, to_us: number) => void;
  hover: (row: number | null) => void;
}

const kValueHeight = 300;
const kScoreHeight = 130;
const kDashes = [[], [6, 4], [2, 3], [9, 3, 2, 3]];

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const kDay = "\n{D} {MMM} {YYYY}";
const kTimeWords: (string | number | null)[][] = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", kDay, null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", kDay, null, "\n{D} {MMM}", null, null, null, 1],
];

export class Chart {
  readonly el = document.createElement("div");
  private readonly unit_: string;
  private readonly on_: ChartEvents;
  private data_: ChartData | null = null;
  private value_: uPlot | null = null;
  private score_: uPlot | null = null;
  private shape_ = "";
  private marked_us_: number | null = null;
  private readonly resized_: ResizeObserver;

  constructor(unit: string, on: ChartEvents) {
    this.unit_ = unit;
    this.on_ = on;
    this.el.className = "chart";
    this.el.tabIndex = 0;
    this.el.setAttribute("role", "slider");
    this.el.setAttribute("aria-label", "Chosen moment; arrow keys move it");
    this.el.addEventListener("keydown", (e) => this.key(e));
    this.resized_ = new ResizeObserver(() => this.resize());
    this.resized_.observe(this.el);
  }

  close(): void {
    this.resized_.disconnect();
    this.value_?.destroy();
    this.score_?.destroy();
  }

  // Colours changed.
  restyle(): void {
    this.shape_ = "";
    if (this.data_ !== null) this.show(this.data_);
  }

  mark(at_us: number | null): void {
    this.marked_us_ = at_us;
    this.value_?.redraw(false);
    this.score_?.redraw(false);
    this.describe();
  }

  show(data: ChartData): void {
    this.data_ = data;
    const shape = [data.features.map(([name]) => name).join(), data.reduced, data.threshold].join(
      "|",
    );
    const value: uPlot.AlignedData = [
      data.t_s,
      data.value,
      unusual_part(data),
      data.high,
      data.low,
      ...data.features.map(([, c]) => c),
    ];
    const score: uPlot.AlignedData = [data.t_s, data.score];
    if (this.value_ === null || this.score_ === null || shape !== this.shape_) {
      this.shape_ = shape;
      this.build(value, score);
    } else {
      this.value_.setData(value);
      this.score_.setData(score);
    }
    this.describe();
  }

  private build(value: uPlot.AlignedData, score: uPlot.AlignedData): void {
    this.value_?.destroy();
    this.score_?.destroy();
    this.el.replaceChildren();
    const width = Math.max(200, this.el.clientWidth);
    const sync = uPlot.sync(`chart-${Math.random()}`);
    this.value_ = new uPlot(this.value_options(width, sync.key), value, this.el);
    this.score_ = new uPlot(this.score_options(width, sync.key), score, this.el);
    sync.sub(this.value_);
    sync.sub(this.score_);
  }

  private common(width: number, height: number, sync: string): uPlot.Options {
    return {
      width,
      height,
      legend: { show: false },
      series: [{}],
      cursor: {
        sync: { key: sync, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7 },
        bind: { dblclick: () => null },
      },
      hooks: {
        drawClear: [(u) => this.draw_spans(u)],
        draw: [(u) => this.draw_mark(u)],
        setCursor: [(u) => this.on_.hover(u.cursor.idx ?? null)],
        setSelect: [(u) => this.selected(u)],
        ready: [(u) => u.over.addEventListener("click", () => this.clicked(u))],
      },
    };
  }

  private axis(extra: uPlot.Axis): uPlot.Axis {
    const line = css("--line");
    return {
      stroke: css("--ink-3"),
      font: `12px ${css("--font")}`,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      gap: 8,
      ...extra,
    };
  }

  private value_options(width: number, sync: string): uPlot.Options {
    const options = this.common(width, kValueHeight, sync);
    const band = css("--accent-soft");
    const none = { stroke: "transparent", points: { show: false } };
    options.series = [
      {},
      { stroke: css("--wave"), width: 1.75, points: { show: false } },
      { stroke: css("--alert"), width: 2.25, points: { show: false } },
      { ...none },
      { ...none },
      ...(this.data_?.features ?? []).map(
        (_, i): uPlot.Series => ({
          stroke: css("--ink-2"),
          width: 1.4,
          dash: kDashes[(i + 1) % kDashes.length]!,
          spanGaps: true,
          points: { show: false },
        }),
      ),
    ];
    options.bands = this.data_?.reduced ? [{ series: [3, 4], fill: band }] : [];
    options.scales = {
      x: { time: true },
      y: { range: (_u, low, high) => this.value_range(low, high) },
    };
    options.axes = [
      this.axis({ show: true, size: 10, values: () => [] }),
      this.axis({ size: 62, values: (_u, marks) => marks.map((m) => axis_text(m, this.unit_)) }),
    ];
    return options;
  }

  private value_range(low: number | null, high: number | null): uPlot.Range.MinMax {
    if (low === null || high === null) return [0, 1];
    const [a, b] = uPlot.rangeNum(low, high, 0.12, true);
    const floor = low >= 0 ? Math.max(0, a ?? 0) : (a ?? 0);
    return [floor, this.unit_ === "%" && high <= 100 ? Math.min(102, b ?? 100) : (b ?? 1)];
  }

  private score_options(width: number, sync: string): uPlot.Options {
    const options = this.common(width, kScoreHeight, sync);
    options.series = [
      {},
      { stroke: (u) => this.score_stroke(u), width: 1.5, points: { show: false } },
    ];
    const threshold = this.data_?.threshold ?? 0;
    options.scales = {
      x: { time: true },
      y: { range: (_u, _low, high) => [0, Math.max(1, threshold * 1.3, (high ?? 0) * 1.1)] },
    };
    options.axes = [
      this.axis({ values: kTimeWords as uPlot.Axis["values"], size: 42, space: 70 }),
      this.axis({
        size: 62,
        splits: () => (threshold > 0 ? [0, threshold] : [0, 1]),
        values: (_u, marks) => marks.map((m) => m.toFixed(m === 0 ? 0 : 2)),
      }),
    ];
    return options;
  }

  // One stroke, in the alert colour above the threshold.
  private score_stroke(u: uPlot): CanvasRenderingContext2D["strokeStyle"] {
    const threshold = this.data_?.threshold;
    const calm = css("--ink-3");
    if (threshold === null || threshold === undefined) return calm;
    const { top, height } = u.bbox;
    const y = u.valToPos(threshold, "y", true);
    const at = (y - top) / height;
    if (!(at > 0 && at < 1)) return calm;
    const gradient = u.ctx.createLinearGradient(0, top, 0, top + height);
    const alert = css("--alert");
    gradient.addColorStop(0, alert);
    gradient.addColorStop(at, alert);
    gradient.addColorStop(at, calm);
    gradient.addColorStop(1, calm);
    return gradient;
  }

  private draw_spans(u: uPlot): void {
    const data = this.data_;
    if (data === null) return;
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const x = (us: number) => u.valToPos(us / 1e6, "x", true);
    for (const label of data.labels)
      this.draw_label(u, label.name, x(label.from_us), x(label.to_us));
    const newest = (data.t_s[data.t_s.length - 1] ?? 0) * 1e6;
    for (const alert of data.alerts) {
      const left = x(alert.opened_us);
      const width = Math.max(2 * devicePixelRatio, x(alert.resolved_us ?? newest) - left);
      ctx.fillStyle = css("--alert-soft");
      ctx.fillRect(left, bbox.top, width, bbox.height);
      ctx.fillStyle = css("--alert");
      ctx.fillRect(left, bbox.top, width, 3 * devicePixelRatio);
    }
    ctx.restore();
  }

  private draw_label(u: uPlot, name: string, left: number, right: number): void {
    const { ctx, bbox } = u;
    const color = css("--label");
    const width = Math.max(2, right - left);
    ctx.fillStyle = color;
    ctx.globalAlpha = 0.08;
    ctx.fillRect(left, bbox.top, width, bbox.height);
    ctx.globalAlpha = 0.8;
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.strokeRect(left, bbox.top - 4, width, bbox.height + 8);
    ctx.setLineDash([]);
    if (u === this.value_ || this.value_ === null) {
      ctx.globalAlpha = 1;
      ctx.font = `${12 * devicePixelRatio}px ${css("--font")}`;
      ctx.fillText(
        name,
        Math.max(left, bbox.left) + 6 * devicePixelRatio,
        bbox.top + bbox.height - 8 * devicePixelRatio,
      );
    }
    ctx.globalAlpha = 1;
  }

  private draw_mark(u: uPlot): void {
    const { ctx, bbox } = u;
    const threshold = this.data_?.threshold;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    if (u === this.score_ && threshold) {
      const y = u.valToPos(threshold, "y", true);
      ctx.strokeStyle = css("--alert");
      ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    if (this.marked_us_ !== null) {
      const x = u.valToPos(this.marked_us_ / 1e6, "x", true);
      if (x >= bbox.left && x <= bbox.left + bbox.width) {
        ctx.strokeStyle = css("--accent");
        ctx.lineWidth = 1.5 * devicePixelRatio;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  private selected(u: uPlot): void {
    if (u.select.width < 8) return;
    const from = u.posToVal(u.select.left, "x") * 1e6;
    const to = u.posToVal(u.select.left + u.select.width, "x") * 1e6;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.on_.zoom(Math.round(from), Math.round(to));
  }

  private clicked(u: uPlot): void {
    const row = u.cursor.idx;
    const t_s = row === null || row === undefined ? undefined : this.data_?.t_s[row];
    if (t_s !== undefined) this.on_.pick(Math.round(t_s * 1e6));
  }

  private key(e: KeyboardEvent): void {
    const t_s = this.data_?.t_s ?? [];
    if (t_s.length === 0) return;
    const now = this.marked_us_ === null ? t_s.length - 1 : nearest(t_s, this.marked_us_ / 1e6);
    const step = e.shiftKey ? 10 : 1;
    const next = { ArrowLeft: now - step, ArrowRight: now + step, Home: 0, End: t_s.length - 1 }[
      e.key
    ];
    if (next === undefined) return;
    e.preventDefault();
    this.on_.pick(Math.round(t_s[Math.max(0, Math.min(t_s.length - 1, next))]! * 1e6));
  }

  private describe(): void {
    const t_s = this.data_?.t_s ?? [];
    if (t_s.length === 0) return;
    const row = this.marked_us_ === null ? t_s.length - 1 : nearest(t_s, this.marked_us_ / 1e6);
    const value = value_text(this.data_!.value[row], this.unit_);
    this.el.setAttribute("aria-valuemin", "0");
    this.el.setAttribute("aria-valuemax", (t_s.length - 1).toString());
    this.el.setAttribute("aria-valuenow", row.toString());
    this.el.setAttribute(
      "aria-valuetext",
      `${new Date(t_s[row]! * 1000).toLocaleString("en-GB")}, ${value}`,
    );
  }

  private resize(): void {
    const width = this.el.clientWidth;
    if (width < 50 || this.value_ === null || this.score_ === null || this.value_.width === width)
      return;
    this.value_.setSize({ width, height: kValueHeight });
    this.score_.setSize({ width, height: kScoreHeight });
  }
}
