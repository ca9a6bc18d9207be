// Pictures of the page at the moments of the story, into SHOTS (default /tmp/quickwater-shots), to
// be looked at.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { MockServer } from "../mock/server.ts";
import { World, type Options } from "../mock/world.ts";
import { Browser, end_browser, no_browser, type Look } from "../page/browser.ts";

const folder = process.env.SHOTS ?? "/tmp/quickwater-shots";
const only = process.env.ONLY ?? "";
mkdirSync(folder, { recursive: true });

interface Shot {
  name: string;
  hash?: string;
  look?: Look;
  options?: Partial<Options>;
  // Steps of the world before the page opens, and after.
  before?: (world: World) => void;
  after?: (world: World, browser: Browser) => Promise<void>;
  full?: boolean;
}

function steps(world: World, n: number): void {
  for (let i = 0; i < n; i++) world.step();
}

function incident(world: World, after: number, kind = "cpu"): void {
  world.start_incident(kind, 40);
  steps(world, after);
}

function whole_story(world: World): void {
  incident(world, 25);
  for (const alert of world.alerts) world.verdict(alert, "real", "");
  steps(world, 30);
  world.train("person", "asked on the page");
  steps(world, 20);
  incident(world, 4, "memory");
}

const cpu = "#/series/host%2Fcpu.busy_percent%2Fall";

const shots: Shot[] = [
  { name: "overview-calm" },
  { name: "overview-warming", options: { lived_s: 120 } },
  { name: "overview-alert", before: (w) => incident(w, 6), full: true },
  { name: "overview-recovered", before: (w) => incident(w, 20) },
  { name: "overview-alert-dark", look: { dark: true }, before: (w) => incident(w, 6), full: true },
  { name: "overview-trouble", options: { trouble: true } },
  {
    name: "overview-phone",
    look: { width: 380, height: 800, scale: 2 },
    before: (w) => incident(w, 6),
    full: true,
  },
  {
    name: "phone-top",
    look: { width: 380, height: 800, scale: 2 },
    before: (w) => incident(w, 6),
  },
  {
    name: "phone-card",
    look: { width: 380, height: 800, scale: 2 },
    before: (w) => incident(w, 6),
    after: async (_w, b) => {
      await b.page.locator(".alert-card").scrollIntoViewIfNeeded();
      await b.page.evaluate(() => document.querySelector(".alert-card")!.scrollIntoView());
    },
  },
  {
    name: "phone-tiles",
    look: { width: 380, height: 800, scale: 2, dark: true },
    after: async (_w, b) => {
      await b.page.evaluate(() => document.querySelector(".lately")!.scrollIntoView());
      await b.page.waitForTimeout(300);
    },
  },
  { name: "overview-500", options: { series: 500 } },
  { name: "overview-empty", options: { series: 0, lived_s: 0 } },
  { name: "series", hash: cpu, before: (w) => incident(w, 25) },
  {
    name: "series-moment",
    hash: cpu,
    before: (w) => incident(w, 25),
    after: async (w, b) => {
      await b.page.getByRole("button", { name: "mean 1m" }).click();
      await b.page.goto(`${b.page.url()}?at=${w.alerts[0]!.opened_us + 2e6}`);
      await b.page.getByRole("button", { name: "5 min", exact: true }).click();
      await b.page.waitForTimeout(500);
    },
  },
  { name: "series-dark", hash: cpu, look: { dark: true }, before: (w) => incident(w, 25) },
  {
    name: "series-phone",
    hash: cpu,
    look: { width: 380, height: 800, scale: 2 },
    before: (w) => incident(w, 25),
    full: true,
  },
  { name: "series-replay", hash: cpu, options: { mode: "replay", rows_per_step: 5 } },
  { name: "alerts", hash: "#/alerts", before: whole_story, full: true },
  { name: "timeline", hash: "#/timeline", before: whole_story },
  {
    name: "timeline-phone",
    hash: "#/timeline",
    look: { width: 380, height: 800, scale: 2 },
    before: whole_story,
  },
  { name: "models", hash: "#/models", before: whole_story },
  { name: "models-dark", hash: "#/models", look: { dark: true }, before: whole_story },
  {
    name: "lost",
    after: async (_w, b) => {
      await b.page.route("**/v1/stream*", (route) => route.abort());
      server?.cut_streams();
      await b.page.waitForTimeout(5000);
    },
  },
];

let server: MockServer | null = null;

after(end_browser);

for (const shot of shots.filter((s) => s.name.includes(only))) {
  test(shot.name, { skip: no_browser() }, async () => {
    const world = new World(shot.options);
    shot.before?.(world);
    server = new MockServer(world, process.env.QUICKWATER_PAGE_DIST!);
    const url = await server.start(0);
    const browser = await Browser.open(url + (shot.hash ?? ""), shot.look);
    try {
      await browser.page.waitForTimeout(700);
      await shot.after?.(world, browser);
      await browser.page.screenshot({
        path: join(folder, `${shot.name}.png`),
        fullPage: shot.full ?? false,
      });
      if (browser.problems.length > 0)
        process.stderr.write(`${shot.name}: ${browser.problems.join("\n")}\n`);
    } finally {
      await browser.close();
      await server.stop();
    }
  });
}
