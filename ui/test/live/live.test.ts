// The page in a real Chromium before the real program: what it shows is what happens there, and what
// a person does on it is durable there. One story, in order; each test goes on from the one before.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, end_browser, no_browser } from "../page/browser.ts";
import { Program, until } from "./program.ts";

const skip =
  no_browser() || (process.env.QUICKWATER_PROGRAM === undefined && "needs QUICKWATER_PROGRAM");
const kWeb = "#/series/watch%2Fweb";

const program = new Program();
let browser: Browser;
let alert = "";

before(async () => {
  if (skip) return;
  await program.start();
  // Three troubles of the past are alerts already: labels for the training.
  const past = await until("the alerts of the past", async () => {
    const { alerts } = await program.get("/v1/alerts?state=resolved");
    return alerts.length === 3 && alerts;
  });
  for (const one of past) await program.judge(one.id, "real");
  browser = await Browser.open(`${program.url}/#/overview`);
  browser.page.setDefaultTimeout(30_000);
  await browser.page.locator(".link-state.live").waitFor({ state: "attached" });
});

after(async () => {
  if (skip) return;
  await browser?.close();
  await end_browser();
  await program.stop();
});

async function go(hash: string): Promise<Browser["page"]> {
  await browser.page.evaluate((h) => {
    location.hash = h;
  }, hash);
  return browser.page;
}

// Nothing on the console, no request to anyone else.
function no_problems(): void {
  assert.deepEqual(browser.problems, [], program.said());
}

test("live series appear, and move", { skip }, async () => {
  const { page } = browser;
  await page.locator(".tile").nth(3).waitFor();
  assert.equal(await page.locator(".tile").count(), 4);
  const web = page.locator('.tile[href="#/series/watch%2Fweb"]');
  const before = await web.innerText();
  await until("another value", async () => (await web.innerText()) !== before);
  no_problems();
});

test("an anomaly becomes an alert with its why, and is healed", { skip }, async () => {
  const { page } = browser;
  program.set_ill(true);
  const card = page.locator("article.alert-card").first();
  await card.getByText("critical").first().waitFor();
  const open = await until("the alert", async () => {
    const { alerts } = await program.get("/v1/alerts?state=open");
    return alerts[0];
  });
  alert = open.id;
  await card.getByText(/webhook ease answered 200/).waitFor();
  assert.ok(program.healed > 0);
  program.set_ill(false);
  await go(`#/alerts/${alert}`);
  await page.locator(".why-list li").first().waitFor();
  await page.locator(".features tbody tr").nth(3).waitFor();
  // What was usual before it is known: 40 to 62, by the way the rows are made.
  const told = await until("what is usual", async () => {
    const one = await program.get(`/v1/alerts/${alert}`);
    return one.usual_mid !== null && one;
  });
  assert.ok(told.usual_low >= 40 && told.usual_high <= 62 && told.value === 500, `${told.usual_low}`);
  await page.getByText(/recovered after/).first().waitFor();
  no_problems();
});

test("a verdict is kept", { skip }, async () => {
  const { page } = browser;
  await page.getByRole("button", { name: "Real" }).click();
  await page.locator('[data-verdict="real"][aria-pressed="true"]').waitFor();
  assert.equal((await program.get(`/v1/alerts/${alert}`)).verdict.verdict, "real");
  no_problems();
});

test("the features of a chosen series at a chosen moment", { skip }, async () => {
  const page = await go(kWeb);
  await page.locator(".chart canvas").first().waitFor();
  const box = (await page.locator(".chart .u-over").first().boundingBox())!;
  await page.mouse.click(box.x + box.width * 0.6, box.y + box.height * 0.5);
  await page.locator(".moment .features tbody tr").nth(3).waitFor();
  const at = Number(new URLSearchParams(page.url().split("?")[1]).get("at"));
  const moment = await program.get(`/v1/features?view=recent&key=web&as_of_us=${at}`);
  const mean = moment.features.find((one: any) => one.name === "mean_10s");
  assert.ok(mean.value > 0 && mean.usual_mid > 40 && mean.usual_mid < 62, JSON.stringify(mean));
  no_problems();
});

test("a training pressed on the page becomes the version that serves", { skip }, async () => {
  const page = await go("#/models");
  await page.getByText(/4 real, 0 false alarms/).waitFor();
  await page.getByRole("button", { name: "Train a new version" }).click();
  await page.locator(".version.champion", { hasText: "Version 1" }).waitFor();
  await page.locator(".version", { hasText: "asked by you" }).getByText("published").waitFor();
  await page.getByRole("button", { name: "Train a new version" }).waitFor();
  assert.equal((await program.get("/v1/models")).models[0].champion, "1");
  no_problems();
});

test("the command asks the running program, too", { skip }, async () => {
  const said = program.command("retrain", "--data", `${program.folder}/data`);
  assert.match(said, /^[01] (trial|refused|published)/, said);
  const page = await go("#/models");
  await page.locator(".version", { hasText: "1 of 1 trials" }).nth(1).waitFor();
  no_problems();
});

test("a version is put back by a button", { skip }, async () => {
  const page = await go("#/models");
  const serving = (await program.get("/v1/models")).models[0].champion;
  await page.getByRole("button", { name: /Back to version/ }).click();
  await until("the version before", async () => {
    return (await program.get("/v1/models")).models[0].champion !== serving;
  });
  no_problems();
});

test("an incident is started and stopped by buttons", { skip }, async () => {
  const page = await go("#/overview");
  await page.getByRole("button", { name: "Start an incident" }).click();
  await until("the incident", async () => (await program.get("/v1/status")).demo.incident_running);
  await page.getByRole("button", { name: "Stop it now" }).click();
  await page.getByRole("button", { name: "Start an incident" }).waitFor();
  assert.equal((await program.get("/v1/status")).demo.incident_running, false);
  no_problems();
});

test("kill -9: the page goes on, and all of it is still there", { skip }, async () => {
  const page = await go(`#/alerts/${alert}`);
  await program.restart();
  await page.locator(".link-state.live").waitFor({ state: "attached" });
  browser.problems.splice(0); // While it was away, Chromium wrote its refusals to the console.
  await page.locator('[data-verdict="real"][aria-pressed="true"]').waitFor();
  await go("#/timeline");
  for (const words of [
    "'live' started",
    "Healing webhook 'ease' answered 200",
    "Judged: real",
    "Training of 'odd' made version 1",
    "Version 1 of 'odd' is warm",
    "Version 1 of 'odd' serves",
  ])
    await page.locator(".event-words strong", { hasText: words }).first().waitFor();
  await page.getByText(/it was killed before/).waitFor();
  await go("#/overview");
  const web = page.locator('.tile[href="#/series/watch%2Fweb"]');
  const before = await web.innerText();
  await until("another value", async () => (await web.innerText()) !== before);
  no_problems();
});

for (const look of [{ dark: false }, { dark: true }, { width: 380, height: 780 }])
  test(`every view fits: ${JSON.stringify(look)}`, { skip }, async () => {
    const other = await Browser.open(`${program.url}/#/overview`, look);
    try {
      await other.page.locator(".tile").first().waitFor();
      for (const hash of ["#/overview", "#/alerts", "#/timeline", "#/models", kWeb]) {
        await other.page.evaluate((h) => {
          location.hash = h;
        }, hash);
        await other.page.locator("h1").first().waitFor();
        const wide = await other.page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.ok(wide <= 0, `${hash} is ${wide} px too wide`);
        if (process.env.SHOTS !== undefined) {
          const name = `${process.env.SHOTS}/${look.width ?? (look.dark ? "dark" : "light")}`;
          await other.page.waitForTimeout(500);
          await other.page.screenshot({ path: `${name}-${hash.slice(2, 8)}.png`, fullPage: true });
        }
      }
      // The rows around the oldest alert are no longer kept after the restart: its card has no chart.
      const problems = other.problems.filter((one) => !one.includes("410 (Gone)"));
      assert.deepEqual(problems, []);
    } finally {
      await other.close();
    }
  });
