// The picture of the README: the real program on examples/anomaly, an incident on this machine, and the
// page in a real Chromium a few seconds after it was healed.
//   node ui/test/picture.mjs PROGRAM OUT.png [KIND]     KIND: cpu (default), memory, disk
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [program, out, kind = "cpu"] = process.argv.slice(2);
if (out === undefined) {
  console.error("usage: node ui/test/picture.mjs PROGRAM OUT.png [cpu|memory|disk]");
  process.exit(2);
}
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const kLimitMs = 10 * 60_000;

async function until(what, found) {
  const end = Date.now() + kLimitMs;
  while (Date.now() < end) {
    const value = await found();
    if (value) return value;
    await sleep(500);
  }
  throw new Error(`waited in vain for ${what}`);
}

async function tell_story(data) {
  const address = join(data, "control.url");
  const url = await until("the server", () => existsSync(address) && readFileSync(address, "utf8").trim());
  const get = async (path) => (await fetch(url + path)).json();
  await until("the detectors to be warm", async () => {
    const { series } = await get("/v1/series?spark=0&limit=2000");
    const machine = series.filter((one) => !one.metric.startsWith("process."));
    return machine.length > 0 && machine.every((one) => one.warm >= 1);
  });
  await sleep(60_000); // something to be seen before the incident
  const browser = await chromium.launch({
    executablePath: process.env.QUICKWATER_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(url);
    const asked = spawnSync(program, ["incident", kind, "--seconds", "60", "--data", data], { encoding: "utf8" });
    if (asked.status !== 0) throw new Error(asked.stderr);
    await until("the end of the incident", async () => !(await get("/v1/status")).demo.incident_running);
    await sleep(8_000); // recovered, and drawn
    mkdirSync(dirname(resolve(out)), { recursive: true });
    await page.screenshot({ path: out });
  } finally {
    await browser.close();
  }
}

const folder = mkdtempSync(join(tmpdir(), "quickwater-picture-"));
const data = join(folder, "data");
const demo = spawn(program, ["run", join(root, "examples/anomaly/app.yaml"), "--data", data, "--port", "0"], {
  stdio: ["ignore", "ignore", "inherit"],
});
const ended = new Promise((done) => demo.on("exit", done));
try {
  await tell_story(data);
  console.log(`wrote ${out}`);
} finally {
  demo.kill("SIGINT");
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
