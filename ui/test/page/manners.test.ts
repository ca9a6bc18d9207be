// How the page behaves everywhere: narrow screens, themes, keyboard, names for assistive
// technology, speed with many series. Runs against the mock, or any server by QUICKWATER_URL.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { MockServer } from "../mock/server.ts";
import { World } from "../mock/world.ts";
import { Browser, end_browser, no_browser, type Look } from "./browser.ts";

const skip = no_browser();
const real = process.env.QUICKWATER_URL;
const kPlaces = ["#/overview", "#/alerts", "#/timeline", "#/models"];

let server: MockServer | null = null;
let browser: Browser | null = null;

async function open(look: Look = {}, series = 28, calm = false): Promise<Browser["page"]> {
  let url = real;
  if (url === undefined) {
    const world = new World({ series });
    if (!calm) world.start_incident("cpu", 40);
    for (let i = 0; i < 6; i++) world.step();
    server = new MockServer(world, process.env.QUICKWATER_PAGE_DIST!);
    url = await server.start(500);
  }
  browser = await Browser.open(url, look);
  await browser.page.locator(".tile").first().waitFor();
  return browser.page;
}

async function places(page: Browser["page"]): Promise<string[]> {
  const first = await page.locator(".tile").first().getAttribute("href");
  return first === null ? kPlaces : [...kPlaces, first];
}

async function visit(page: Browser["page"], hash: string): Promise<void> {
  await page.evaluate((h) => {
    location.hash = h;
  }, hash);
  await page.waitForTimeout(250);
}

after(end_browser);

afterEach(async () => {
  const problems = browser?.problems ?? [];
  await browser?.close();
  await server?.stop();
  browser = null;
  server = null;
  assert.deepEqual(problems, [], "console errors or requests to others");
});

test("380 px wide: nothing scrolls sideways, targets are large enough", { skip }, async () => {
  const page = await open({ width: 380, height: 780 });
  for (const hash of await places(page)) {
    await visit(page, hash);
    const wide = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    assert.ok(wide <= 0, `${hash} is ${wide} px too wide`);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll("button, nav a, select, input")]
        .filter((el) => {
          const box = el.getBoundingClientRect();
          return box.width > 0 && (box.height < 28 || box.width < 24);
        })
        .map((el) => el.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(small, [], hash);
  }
});

test(
  "every control has a name, every view one first heading, every list its items",
  { skip },
  async () => {
    const page = await open();
    for (const hash of await places(page)) {
      await visit(page, hash);
      const wrong = await page.evaluate(() => {
        const list: string[] = [];
        const name = (el: Element) =>
          (el.getAttribute("aria-label") ?? el.textContent ?? "").trim() ||
          (el as HTMLInputElement).labels?.[0]?.textContent?.trim() ||
          "";
        for (const el of document.querySelectorAll(
          "button, a[href], input, [role=progressbar], [role=slider], [role=group]",
        )) {
          if (name(el) === "") list.push(`no name: ${el.outerHTML.slice(0, 100)}`);
        }
        if (document.querySelectorAll("h1").length !== 1)
          list.push(`${document.querySelectorAll("h1").length} h1`);
        const ids = [...document.querySelectorAll("[id]")].map((el) => el.id);
        if (new Set(ids).size !== ids.length) list.push("an id is there twice");
        for (const el of document.querySelectorAll("ul > *, ol > *"))
          if (el.tagName !== "LI") list.push(`in a list: ${el.tagName}`);
        for (const el of document.querySelectorAll("[aria-labelledby]")) {
          if (!document.getElementById(el.getAttribute("aria-labelledby")!))
            list.push("labelled by nothing");
        }
        if (!document.documentElement.lang) list.push("no language");
        if (document.querySelectorAll("main").length !== 1) list.push("not one main");
        return list;
      });
      assert.deepEqual(wrong, [], hash);
    }
  },
);

// WCAG contrast of every text against what is behind it; 4.5, or 3 for large text.
function weak_texts(): string[] {
  const parse = (css: string): number[] => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (c: number[]) => {
    const [r, g, b] = c
      .slice(0, 3)
      .map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const behind = (el: Element | null): number[] => {
    for (let at = el; at !== null; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3]! > 200) return color;
    }
    return [255, 255, 255, 255];
  };
  const weak: string[] = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set<string>();
  for (let node = walk.nextNode(); node !== null; node = walk.nextNode()) {
    const el = node.parentElement!;
    if (
      node.nodeValue!.trim() === "" ||
      el.closest(".sr, .skip, noscript, script, :disabled") ||
      el.getClientRects().length === 0
    )
      continue;
    const style = getComputedStyle(el);
    const [a, b] = [light(parse(style.color)), light(behind(el))].sort((x, y) => y - x);
    const ratio = (a! + 0.05) / (b! + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 600);
    const what = `${el.className || el.tagName} ${ratio.toFixed(2)}`;
    if (ratio < (large ? 3 : 4.5) && !seen.has(what)) {
      seen.add(what);
      weak.push(`${what}: ${node.nodeValue!.trim().slice(0, 30)}`);
    }
  }
  return weak;
}

for (const dark of [false, true]) {
  test(`${dark ? "dark" : "light"}: text stands out from what is behind it`, { skip }, async () => {
    const page = await open({ dark });
    for (const hash of await places(page)) {
      await visit(page, hash);
      assert.deepEqual(await page.evaluate(weak_texts), [], hash);
    }
  });
}

test("the theme follows the system, can be chosen, and is remembered", { skip }, async () => {
  const page = await open({ dark: true });
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const chosen = page.locator('[data-act="theme"]');
  assert.equal(await theme(), "dark");
  await chosen.click();
  assert.equal(await theme(), "light");
  await page.reload();
  await page.locator(".tile").first().waitFor();
  assert.equal(await theme(), "light");
  await chosen.click();
  await chosen.click();
  await page.emulateMedia({ colorScheme: "light" });
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
});

test(
  "keyboard: skip link, navigation, tiles; focus stays where it was while rows come",
  { skip },
  async () => {
    const page = await open();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
    const tile = page.locator(".tile").nth(3);
    await tile.focus();
    const href = await tile.getAttribute("href");
    await page.waitForTimeout(real === undefined ? 4000 : 8000);
    assert.equal(
      await page.evaluate(() => document.activeElement?.getAttribute("href")),
      href,
      "tiles do not move away under the keyboard",
    );
    await page.keyboard.press("Enter");
    await page.locator(".series-head").waitFor();
    assert.equal(
      await page.evaluate(() => document.activeElement?.id),
      "main",
      "the new view has the focus",
    );
  },
);

test(
  "500 series: quick frames, only tiles in sight are drawn",
  { skip: skip || (real !== undefined && "needs the mock's 500") },
  async () => {
    const page = await open({}, 500);
    await page.waitForFunction(() => document.querySelectorAll(".tile").length === 500);
    await page.locator(".tile").first().scrollIntoViewIfNeeded();
    const long = await page.evaluate(async () => {
      const tasks: number[] = [];
      new PerformanceObserver((list) =>
        list.getEntries().forEach((e) => tasks.push(e.duration)),
      ).observe({ type: "longtask" });
      await new Promise((done) => setTimeout(done, 4000));
      return tasks;
    });
    process.stdout.write(
      `# 500 series, 8 ticks: ${long.length} tasks over 50 ms, ` +
        `longest ${Math.max(0, ...long).toFixed(0)} ms\n`,
    );
    assert.ok(Math.max(0, ...long) < 1000, "a tick must never freeze the page");
    const drawn = await page.evaluate(
      () =>
        [...document.querySelectorAll<HTMLCanvasElement>(".tile canvas")].filter(
          (c) => c.width !== 300,
        ).length,
    );
    assert.ok(drawn > 0 && drawn < 100, `${drawn} drawn`);
  },
);

test("nothing moves while nothing happens", { skip }, async () => {
  const page = await open({}, 28, true);
  await page.waitForTimeout(500);
  const shift = await page.evaluate(async () => {
    let sum = 0;
    new PerformanceObserver((list) =>
      list.getEntries().forEach((e) => {
        sum += (e as unknown as { value: number }).value;
      }),
    ).observe({ type: "layout-shift" });
    await new Promise((done) => setTimeout(done, 6000));
    return sum;
  });
  assert.ok(shift < 0.01, `layout shift ${shift}`);
});
