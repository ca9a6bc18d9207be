// The real program over a file that a made-up machine writes, with a receiver of its healing
// webhook. QUICKWATER_PROGRAM names the program; each has a folder of its own that is removed.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const kLimitMs = 60_000;
const kParts = ["web", "db", "cache", "queue"];
const kPastS = 2400;
// Seconds of the past at which 'web' was far off for five seconds: alerts to judge, too far apart to be
// taken for one that comes and goes.
const kPastTroubles = [500, 1200, 1900];

const app = (port: number) => `
app: live
data: data
server: { port: 0 }
sources:
  - name: metrics
    file: { path: rows.jsonl, mode: tail }
    format: json
    event_time: ts
    event_time_format: epoch_ms
    schema: { part: string, value: double, ts: timestamp }
features:
  - view: recent
    from: metrics
    key: part
    windows: [10s, 1m]
    aggregates: { n: count(), mean: mean(value), max: max(value) }
models:
  - { name: odd, detector: ensemble, key: part, inputs: [value], settings: { threshold: 80 } }
decisions:
  - name: watch
    on: metrics
    model: odd
    output: { severity: "case when warm and value > 200 then 'critical' end" }
    alert: { severity: severity, for: 0s, cooldown: 1s, resolve_after: 1s }
    heal:
      - { name: ease, recover_within: 1m, limit: 100/1h, webhook: { url: "http://127.0.0.1:${port}/ease" } }
healing: { enabled: true }
demo: { incidents: true }
training:
  - name: again
    model: odd
    trainer: detector_search
    labels: { from: [verdicts], at_least: 4 }
    search: { trials: 1, seconds: 60 }
    gate: { held_out: ">= champion" }
`;

export async function until<T>(
  what: string,
  found: () => Promise<T | false> | T | false,
): Promise<T> {
  const end = Date.now() + kLimitMs;
  while (Date.now() < end) {
    const value = await found();
    if (value) return value;
    await sleep(100);
  }
  throw new Error(`waited in vain for ${what}`);
}

export class Program {
  readonly folder = mkdtempSync(join(tmpdir(), "quickwater-live-"));
  url = "";
  healed = 0;
  private readonly receiver_: Server;
  private process_: ChildProcess | null = null;
  private said_ = "";
  private ill_ = false;
  private turn_ = kPastS;
  private writer_: NodeJS.Timeout | null = null;

  constructor() {
    this.receiver_ = createServer((request, answer) => {
      this.healed++;
      request.resume().on("end", () => answer.end("{}"));
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => this.receiver_.listen(0, "127.0.0.1", done));
    const { port } = this.receiver_.address() as AddressInfo;
    writeFileSync(join(this.folder, "app.yaml"), app(port));
    const now_ms = Date.now();
    const past = Array.from({ length: kPastS }, (_, second) => {
      const ill = kPastTroubles.some((at) => second >= at && second < at + 5);
      return this.rows(second, now_ms - (kPastS - second) * 1000, ill);
    });
    writeFileSync(join(this.folder, "rows.jsonl"), past.join(""));
    await this.run("0");
    this.writer_ = setInterval(() => {
      appendFileSync(join(this.folder, "rows.jsonl"), this.rows(this.turn_++, Date.now(), this.ill_));
    }, 250);
  }

  // 'web' is ill from now on, or well again.
  set_ill(ill: boolean): void {
    this.ill_ = ill;
  }

  // Ended by kill -9, and started again where its page looks for it.
  async restart(): Promise<void> {
    const gone = new Promise((done) => this.process_!.once("exit", done));
    this.process_!.kill("SIGKILL");
    await gone;
    rmSync(join(this.folder, "data", "control.url"));
    await this.run(new URL(this.url).port);
  }

  command(...words: string[]): string {
    const done = spawnSync(process.env.QUICKWATER_PROGRAM!, words, { encoding: "utf8" });
    return `${done.status} ${done.stdout}${done.stderr}`;
  }

  async get(path: string): Promise<any> {
    return (await fetch(this.url + path)).json();
  }

  async judge(alert: string, verdict: string): Promise<void> {
    const page = await (await fetch(`${this.url}/`)).text();
    const token = /name="quickwater-token" content="([^"]*)"/.exec(page)![1]!;
    const answer = await fetch(`${this.url}/v1/alerts/${alert}/verdict`, {
      method: "POST",
      headers: { "X-Quickwater-Token": token },
      body: JSON.stringify({ verdict }),
    });
    if (answer.status !== 200) throw new Error(await answer.text());
  }

  async stop(): Promise<void> {
    if (this.writer_ !== null) clearInterval(this.writer_);
    this.receiver_.close();
    if (this.process_ !== null && this.process_.exitCode === null) {
      const gone = new Promise((done) => this.process_!.once("exit", done));
      this.process_.kill("SIGINT");
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  // What it wrote, to be shown when a test failed.
  said(): string {
    return this.said_.slice(-3000);
  }

  private rows(turn: number, at_ms: number, ill: boolean): string {
    return kParts
      .map((part, place) => {
        const calm = 50 + 10 * Math.sin(turn / 30 + place) + ((turn * 7919) % 100) / 50;
        return `${JSON.stringify({ part, value: ill && place === 0 ? 500 : calm, ts: at_ms })}\n`;
      })
      .join("");
  }

  private async run(port: string): Promise<void> {
    const words = ["run", join(this.folder, "app.yaml"), "--data", join(this.folder, "data")];
    this.process_ = spawn(process.env.QUICKWATER_PROGRAM!, [...words, "--port", port], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.process_.stderr!.setEncoding("utf8").on("data", (text) => {
      this.said_ += text;
    });
    const address = join(this.folder, "data", "control.url");
    this.url = await until("the program", () => {
      if (this.process_!.exitCode !== null) throw new Error(`it ended: ${this.said()}`);
      return existsSync(address) && readFileSync(address, "utf8").trim();
    });
  }
}
