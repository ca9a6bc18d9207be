// Numbers, units and times in words. Pure; the locale is fixed so that tests and screenshots agree.

const kNone = "–";
const kThin = "\u202f";

function digits(value: number, most: number): string {
  const size = Math.abs(value);
  const places = size >= 100 ? 0 : size >= 10 ? Math.min(1, most) : Math.min(2, most);
  return value.toFixed(places).replace(/^-(0(\.0*)?)$/, "$1");
}

function grouped(value: number): string {
  const text = Math.round(value).toString();
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, kThin);
}

function scaled(value: number, step: number, names: string[]): [string, string] {
  let i = 0;
  let size = value;
  while (Math.abs(size) >= step && i < names.length - 1) {
    size /= step;
    i++;
  }
  return [digits(size, i === 0 ? 0 : 1), names[i]!];
}

const kSizes = ["B", "kB", "MB", "GB", "TB", "PB"];

// A value and its unit, apart, so that the unit can be set smaller.
export function split_value(value: number | null | undefined, unit: string): [string, string] {
  if (value === null || value === undefined || !Number.isFinite(value)) return [kNone, ""];
  switch (unit) {
    case "%":
      return [digits(value, 1), "%"];
    case "bytes":
      return scaled(value, 1000, kSizes);
    case "bytes/s": {
      const [number, name] = scaled(value, 1000, kSizes);
      return [number, `${name}/s`];
    }
    case "us":
      return split_duration(value);
    case "ms":
      return split_duration(value * 1e3);
    case "s":
      return Math.abs(value) >= 120 ? [duration_s(value), ""] : [digits(value, 1), "s"];
    case "celsius":
      return [digits(value, 1), "°C"];
    case "1/s":
      return compact(value, "/s");
    case "count":
    case "":
      return compact(value, "");
    default:
      return compact(value, unit);
  }
}

function compact(value: number, unit: string): [string, string] {
  const size = Math.abs(value);
  if (size >= 1e6) {
    const [number, name] = scaled(value, 1000, ["", "k", "M", "G", "T"]);
    return [number, `${name}${unit}`];
  }
  if (size >= 1000) return [grouped(value), unit];
  if (Number.isInteger(value)) return [value.toString(), unit];
  if (size > 0 && size < 0.01) return [value.toExponential(1), unit];
  return [digits(value, 2), unit];
}

// For the marks of an axis: no zeros that say nothing.
export function axis_text(value: number | null | undefined, unit: string): string {
  return value_text(value, unit)
    .replace(/(\.\d*?)0+(?=\D|$)/, "$1")
    .replace(/\.(?=\D|$)/, "");
}

export function value_text(value: number | null | undefined, unit: string): string {
  const [number, name] = split_value(value, unit);
  if (name === "") return number;
  return `${number}${kThin}${name}`;
}

function split_duration(us: number): [string, string] {
  const size = Math.abs(us);
  if (size < 1000) return [digits(us, 0), "µs"];
  if (size < 1e6) return [digits(us / 1e3, 1).replace(/\.0$/, ""), "ms"];
  return [digits(us / 1e6, 1).replace(/\.0$/, ""), "s"];
}

export function duration_us(us: number | null | undefined): string {
  if (us === null || us === undefined || !Number.isFinite(us)) return kNone;
  const [number, unit] = split_duration(us);
  return `${number}${kThin}${unit}`;
}

// 0.4 s, 25 s, 3 min 5 s, 2 h 10 min, 3 d 4 h.
export function duration_s(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return kNone;
  const s = Math.max(0, seconds);
  if (s < 10) return `${digits(s, 1).replace(/\.0$/, "")}${kThin}s`;
  if (s < 60) return `${Math.round(s)}${kThin}s`;
  const whole = Math.round(s);
  const pair = (big: number, b: string, small: number, c: string) =>
    small > 0 ? `${big}${kThin}${b} ${small}${kThin}${c}` : `${big}${kThin}${b}`;
  if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86400)
    return pair(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return pair(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

export function ago(t_us: number, now_us: number): string {
  const s = (now_us - t_us) / 1e6;
  if (s < 1.5) return "just now";
  return `${duration_s(s < 60 ? Math.floor(s) : s < 3600 ? Math.floor(s / 60) * 60 : s)} ago`;
}

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? kNone : grouped(n);
}

export function percent(fraction: number | null | undefined): string {
  if (fraction === null || fraction === undefined) return kNone;
  // Never rounded up to 100 % before it is complete.
  return `${fraction >= 1 ? 100 : Math.min(99, Math.floor(fraction * 100))}${kThin}%`;
}

export function score_text(score: number | null | undefined): string {
  if (score === null || score === undefined || !Number.isFinite(score)) return kNone;
  return score.toFixed(Math.abs(score) >= 100 ? 0 : Math.abs(score) >= 10 ? 1 : 2);
}

const pad = (n: number) => n.toString().padStart(2, "0");

export function clock(t_us: number): string {
  const d = new Date(t_us / 1000);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

const kMonths = [
  "Jan",
  "Feb",
  "Mar",
  "Apr",
  "May",
  "Jun",
  "Jul",
  "Aug",
  "Sep",
  "Oct",
  "Nov",
  "Dec",
];

export function day(t_us: number): string {
  const d = new Date(t_us / 1000);
  return `${d.getDate()} ${kMonths[d.getMonth()]} ${d.getFullYear()}`;
}

// The clock alone for today, otherwise with the day.
export function moment(t_us: number, now_us: number): string {
  return day(t_us) === day(now_us) ? clock(t_us) : `${day(t_us)}, ${clock(t_us)}`;
}

export function window_text(window_us: number | null): string {
  return window_us === null ? "" : duration_s(window_us / 1e6).replace(/ 0.*/, "");
}

export function words(code: string): string {
  return code.replace(/_/g, " ");
}
