// Line icons on a 16 x 16 grid. Always beside words; hidden from assistive technology.
import { h, type VNode } from "./dom.ts";

const kPaths: Record<string, string> = {
  alert: "M8 2.2 14.4 13.5H1.6zM8 6.5v3.2M8 11.8v.01",
  check: "M2.8 8.6 6.3 12 13.2 4.6",
  cross: "M4 4l8 8M12 4l-8 8",
  wave:
    "M1.5 6c2.2-2.5 4.3-2.5 6.5 0s4.3 2.5 6.5 0" + "M1.5 11c2.2-2.5 4.3-2.5 6.5 0s4.3 2.5 6.5 0",
  bolt: "M9 1.8 3.5 9h4l-.6 5.2L12.5 7h-4z",
  heal: "M8 13.5S2 10 2 5.9A3.1 3.1 0 0 1 8 4.7a3.1 3.1 0 0 1 6 1.2C14 10 8 13.5 8 13.5z",
  model: "M8 1.8 13.8 5v6L8 14.2 2.2 11V5zM2.2 5 8 8.2 13.8 5M8 8.2v6",
  train: "M2 13.5h12M3.5 11V8.5M7 11V5.5M10.5 11V7M13.5 11V3",
  person:
    "M8 7.5a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6z" +
    "M2.8 14c.6-2.9 2.6-4.3 5.2-4.3s4.6 1.4 5.2 4.3",
  drift: "M1.8 11.5c2.7 0 3-7 6.2-7M8 11.5c2.7 0 3-7 6.2-7",
  gear:
    "M8 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM8 1.8v2M8 12.2v2M1.8 8h2" +
    "M12.2 8h2M3.6 3.6 5 5M11 11l1.4 1.4M12.4 3.6 11 5M5 11l-1.4 1.4",
  sun:
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1" +
    "M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.7A6 6 0 1 1 6.3 2.5a4.8 4.8 0 0 0 7.2 7.2z",
  auto: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  back: "M10 3 5 8l5 5",
  play: "M4.5 3v10l8.5-5z",
  stop: "M4 4h8v8H4z",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3 14 14",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.5",
};

export function icon(name: string): VNode {
  return h(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
    h("path", { d: kPaths[name] ?? kPaths.wave! }),
  );
}
