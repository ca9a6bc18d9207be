// Small line charts on canvas: one call draws one. No state beyond the canvas; colours come from
// the page.
export interface SparkColors {
  line: string;
  fill: string;
  alert: string;
  alert_soft: string;
  grid: string;
}

let colors_: SparkColors | null = null;

export function spark_colors(): SparkColors {
  if (colors_ === null) {
    const css = getComputedStyle(document.documentElement);
    const get = (name: string) => css.getPropertyValue(name).trim();
    colors_ = {
      line: get("--wave"),
      fill: get("--accent-soft"),
      alert: get("--alert"),
      alert_soft: get("--alert-soft"),
      grid: get("--line"),
    };
  }
  return colors_;
}

export function forget_colors(): void {
  colors_ = null;
}

export interface SparkData {
  size: number;
  t: (i: number) => number;
  value: (i: number) => number;
  unusual: (i: number) => boolean;
}

export interface SparkSpan {
  from: number;
  to: number;
  // A span to be shaded, and the span of values that is usual; both optional.
  band?: { from: number; to: number };
}

// Sets the canvas to its shown size in device pixels. Returns null while it has no size.
export function fit(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (width === 0 || height === 0) return null;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

export function value_range(data: SparkData): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.size; i++) {
    const v = data.value(i);
    if (Number.isNaN(v)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) return [0, 1];
  // A flat line lies in the middle; tiny noise around a large value is not blown up to full height.
  const least = Math.max(1e-9, Math.abs(high) * 0.02);
  if (high - low < least) {
    const mid = (high + low) / 2;
    return [mid - least, mid + least];
  }
  return [low, high];
}

export function draw_spark(canvas: HTMLCanvasElement, data: SparkData, span: SparkSpan): void {
  const g = fit(canvas);
  if (g === null) return;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const colors = spark_colors();
  g.clearRect(0, 0, width, height);
  const [low, high] = value_range(data);
  const length = Math.max(1, span.to - span.from);
  const x = (t: number) => ((t - span.from) / length) * width;
  const y = (v: number) => height - 3 - ((v - low) / (high - low)) * (height - 6);
  if (span.band) {
    g.fillStyle = colors.alert_soft;
    const left = Math.max(0, x(span.band.from));
    g.fillRect(left, 0, Math.max(2, Math.min(width, x(span.band.to)) - left), height);
  }
  fill_below(g, data, x, y, height, colors.fill);
  stroke(g, data, x, y, colors.line, () => true);
  stroke(g, data, x, y, colors.alert, (i) => data.unusual(i));
}

type Map = (n: number) => number;

function fill_below(
  g: CanvasRenderingContext2D,
  data: SparkData,
  x: Map,
  y: Map,
  height: number,
  color: string,
): void {
  g.fillStyle = color;
  g.globalAlpha = 0.7;
  let first = -1;
  let last = -1;
  g.beginPath();
  for (let i = 0; i < data.size; i++) {
    const v = data.value(i);
    if (Number.isNaN(v)) continue;
    if (first < 0) {
      first = i;
      g.moveTo(x(data.t(i)), height);
    }
    g.lineTo(x(data.t(i)), y(v));
    last = i;
  }
  if (first >= 0) {
    g.lineTo(x(data.t(last)), height);
    g.closePath();
    g.fill();
  }
  g.globalAlpha = 1;
}

function stroke(
  g: CanvasRenderingContext2D,
  data: SparkData,
  x: Map,
  y: Map,
  color: string,
  wanted: (i: number) => boolean,
): void {
  g.strokeStyle = color;
  g.lineWidth = 1.5;
  g.lineJoin = "round";
  g.beginPath();
  let pen = false;
  let before = -1;
  for (let i = 0; i < data.size; i++) {
    const v = data.value(i);
    if (Number.isNaN(v) || !wanted(i)) {
      pen = false;
      before = Number.isNaN(v) ? -1 : i;
      continue;
    }
    if (!pen && before >= 0) g.moveTo(x(data.t(before)), y(data.value(before)));
    else if (!pen) g.moveTo(x(data.t(i)), y(v));
    g.lineTo(x(data.t(i)), y(v));
    pen = true;
    before = i;
  }
  g.stroke();
}
