// The page in a real Chromium against the mock server: the demo's story from the button to the new
// model, and what must hold throughout: no console errors, no request to anyone else, no sideways
// scroll, keyboard, themes.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { MockServer } from "../mock/server.ts";
import { World, type Options } from "../mock/world.ts";
import { Browser, end_browser, no_browser, type Look } from "./browser.ts";

const skip =
  no_browser() || (process.env.QUICKWATER_URL !== undefined && "these need the mock's script");
const kCpu = "#/series/host%2Fcpu.busy_percent%2Fall";

let server: MockServer | null = null;
let browser: Browser | null = null;

interface Scene {
  world: World;
  page: Browser["page"];
  steps: (n: number) => void;
}

async function scene(
  options: Partial<Options> = {},
  look: Look = {},
  hash = "",
  prepare?: (world: World) => void,
): Promise<Scene> {
  const world = new World(options);
  prepare?.(world);
  server = new MockServer(world, process.env.QUICKWATER_PAGE_DIST!);
  browser = await Browser.open((await server.start(0)) + hash, look);
  await browser.page.locator(".link-state.live").waitFor({ state: "attached" });
  const steps = (n: number) => {
    for (let i = 0; i < n; i++) world.step();
  };
  return { world, page: browser.page, steps };
}

function incident(world: World, seconds_after: number): void {
  world.start_incident("cpu", 40);
  for (let i = 0; i < seconds_after; i++) world.step();
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

test(
  "the story: warming, incident, alert, healing, recovery, verdict, learning",
  { skip },
  async () => {
    const { page, steps } = await scene({ lived_s: 280 });
    await page.getByRole("heading", { name: /Learning what is usual: 9\d/ }).waitFor();
    await page.getByRole("progressbar", { name: "Warm-up" }).waitFor();
    steps(25);
    await page.getByRole("heading", { name: "All calm" }).waitFor();

    await page.getByRole("button", { name: "Start an incident" }).click();
    await page.getByRole("heading", { name: "CPU hog running" }).waitFor();
    steps(4);
    const card = page.locator("article.alert-card").first();
    await card.getByRole("heading", { name: "CPU busy is far above usual" }).waitFor();
    await card.getByText("unlike any shape seen before").waitFor();
    assert.equal(await page.locator(".tile.alerting").count(), 4);
    assert.match(await page.title(), /^\(4\) Overview/);
    steps(2);
    await card.getByText(/webhook heal answered 200 in 38\sms/).waitFor();
    steps(8);
    await page.getByRole("heading", { name: "All calm" }).waitFor();
    await page
      .locator(".step", { hasText: "Recovered" })
      .getByText(/^after \d+/)
      .waitFor();

    await page.locator(".step", { hasText: "Your verdict" }).getByRole("link").click();
    await page
      .getByText(/recovered after \d+/)
      .first()
      .waitFor();
    await page.getByRole("button", { name: "Real" }).click();
    await page.locator('[data-verdict="real"][aria-pressed="true"]').waitFor();
    await page.getByText("You said: real. It is a label for learning").waitFor();

    await page.getByRole("link", { name: "Models" }).click();
    steps(3);
    await page.getByRole("progressbar", { name: "Trials" }).waitFor();
    steps(4);
    await page
      .getByText(/warming \d+/)
      .first()
      .waitFor();
    steps(6);
    await page.locator(".version.champion", { hasText: "Version 2" }).waitFor();
    await page.getByRole("link", { name: "Timeline" }).click();
    for (const words of [
      "CPU hog started",
      "CPU busy is far above usual",
      "Healing webhook 'heal' answered 200",
      "The metric recovered after the healing",
      "You said: real",
      "Version 2 published",
      "Version 2 swapped in",
    ]) {
      await page.locator(".event-words strong", { hasText: words }).first().waitFor();
    }
  },
);

test("a worse version is refused with its reason", { skip }, async () => {
  const { page, steps } = await scene({}, {}, "#/models", (world) => {
    incident(world, 20);
    world.verdict(world.alerts[0]!, "real", "");
    for (let i = 0; i < 20; i++) world.step();
  });
  await page.getByRole("button", { name: "Train a new version" }).click();
  await page.getByRole("button", { name: "Training" }).waitFor();
  steps(8);
  await page
    .locator(".version.refused")
    .getByText("held-out score 61.2 is below the champion's 68.4")
    .waitFor();
});

test("what the server refuses is said with the way to mend it", { skip }, async () => {
  const { page } = await scene({}, {}, "#/models");
  const refused = browser!;
  await page.getByRole("button", { name: "Train a new version" }).click();
  await page.getByRole("alert").getByText("there are 4 labels, training needs 5").waitFor();
  await page
    .getByRole("alert")
    .getByText(/give verdicts on alerts/)
    .waitFor();
  // Chromium itself writes each refused request to the console.
  const own = refused.problems.splice(0);
  assert.ok(own.length <= 1 && own.every((p) => p.includes("409")), own.join());
});

test("a running incident can be stopped", { skip }, async () => {
  const { page, world } = await scene();
  await page.getByRole("button", { name: "Disk writer" }).click();
  await page.getByRole("button", { name: "20 s" }).click();
  await page.getByRole("button", { name: "Start an incident" }).click();
  await page.getByRole("button", { name: "Stop it now" }).click();
  await page.getByRole("button", { name: "Start an incident" }).waitFor();
  assert.equal(world.incident, null);
  assert.equal(world.timeline[0]!.phase, "stopped");
});

test(
  "series: live rows join the chart, a click shows the features of that moment",
  { skip },
  async () => {
    const { page, steps } = await scene({}, {}, kCpu, (world) => incident(world, 25));
    await page.locator(".chart canvas").first().waitFor();
    const before = await page.locator(".readout").innerText();
    steps(3);
    await page.waitForFunction(
      (old) => document.querySelector(".readout")?.textContent !== old,
      before,
    );
    const over = page.locator(".chart .u-over").first();
    const box = (await over.boundingBox())!;
    await page.mouse.click(box.x + box.width * 0.5, box.y + box.height * 0.5);
    await page.locator(".moment .features tbody tr").nth(2).waitFor();
    await page
      .locator(".moment")
      .getByText(/^machine, version 1$/)
      .waitFor();
    const at = Number(new URLSearchParams(page.url().split("?")[1]).get("at"));
    assert.ok(at > 1.7e15, `the moment is in the address: ${at}`);
    await page.locator(".chart").focus();
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction((old) => !location.hash.includes(String(old)), at);
    await page.getByRole("button", { name: "mean 1m" }).click();
    await page.locator(".readout").getByText("mean 1m").waitFor();
    await page.reload();
    await page.locator(".moment .features tbody tr").nth(2).waitFor();
  },
);

test("series: a drag looks closer, and there is a way back to live", { skip }, async () => {
  const { page } = await scene({}, {}, kCpu);
  await page.locator(".chart canvas").first().waitFor();
  const box = (await page.locator(".chart .u-over").first().boundingBox())!;
  await page.mouse.move(box.x + 100, box.y + 50);
  await page.mouse.down();
  await page.mouse.move(box.x + 300, box.y + 60, { steps: 4 });
  await page.mouse.up();
  await page.getByRole("button", { name: "Back to live" }).click();
  await page.getByRole("button", { name: "15 min" }).waitFor();
});

test("replay: the whole span with its labelled windows", { skip }, async () => {
  const { page, steps } = await scene({ mode: "replay", rows_per_step: 5 }, {}, kCpu);
  await page.locator(".legend").getByText("labelled").waitFor();
  await page.locator('.seg button[aria-pressed="true"]', { hasText: "All" }).waitFor();
  steps(2);
  await page.getByRole("link", { name: "Overview" }).click();
  assert.equal(await page.getByRole("button", { name: "Start an incident" }).count(), 0);
});

test("a series that does not exist, and one with an odd name", { skip }, async () => {
  const { page } = await scene({}, {}, "#/series/no%2Fsuch%20thing");
  await page.getByRole("heading", { name: "There is no such series" }).waitFor();
  browser!.problems.splice(0); // Chromium writes the 404 to the console.
});

test(
  "the connection is lost and comes back: said so, and nothing is missed",
  { skip },
  async () => {
    const { page, world } = await scene();
    await page.route("**/v1/stream*", (route) => route.abort());
    server!.cut_streams();
    await page.locator(".link-state.lost").waitFor();
    await page
      .getByRole("alert")
      .getByText(/No word from Quickwater/)
      .waitFor();
    incident(world, 5);
    await page.unroute("**/v1/stream*");
    await page.locator(".link-state.live").waitFor();
    await page
      .getByRole("heading", { name: /CPU busy is far above usual/ })
      .first()
      .waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    browser!.problems.splice(0); // The aborted requests.
  },
);

test("empty, and in trouble: words that say how to mend it", { skip }, async () => {
  const empty = await scene({ series: 0, lived_s: 0 });
  await empty.page.getByText("The first samples arrive within seconds. If nothing comes").waitFor();
  await empty.page.getByRole("link", { name: "Alerts" }).click();
  await empty.page.getByRole("heading", { name: "No alerts" }).waitFor();
  assert.deepEqual(browser!.problems, []);
  await browser!.close();
  await server!.stop();
  const trouble = await scene({ trouble: true });
  await trouble.page.getByText("Free some space: intake resumes by itself").waitFor();
  await trouble.page
    .locator(".cell.bad", { hasText: "Outbox" })
    .getByText("connection refused")
    .waitFor();
});

test("filter and order of the tiles", { skip }, async () => {
  const { page } = await scene();
  await page.getByRole("searchbox", { name: "Filter series" }).fill("process firefox");
  await page.waitForFunction(() => document.querySelectorAll(".tile").length === 2);
  await page.getByRole("searchbox").fill("nothing like this");
  await page.getByRole("heading", { name: "Nothing matches" }).waitFor();
});
