// Three parties hold one contract: the document's own examples, the mock server the page is tested
// against, and (QUICKWATER_URL=http://127.0.0.1:PORT/) the real one, which is only read unless
// QUICKWATER_CHANGE=1.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { MockServer } from "../mock/server.ts";
import { World } from "../mock/world.ts";
import { faults } from "./shapes.ts";

const root = process.env.QUICKWATER_UI_ROOT!;
const real = process.env.QUICKWATER_URL;
const may_change = real === undefined || process.env.QUICKWATER_CHANGE === "1";

let base = "";
let token = "";
let mock: MockServer | null = null;

before(async () => {
  if (real !== undefined) {
    base = real.endsWith("/") ? real : `${real}/`;
  } else {
    const world = new World();
    world.start_incident("cpu", 40);
    for (let i = 0; i < 8; i++) world.step();
    mock = new MockServer(world, process.env.QUICKWATER_PAGE_DIST!);
    base = await mock.start(100);
  }
  const page = await (await fetch(base)).text().catch(() => "");
  token = /name="quickwater-token" content="([^"]*)"/.exec(page)?.[1] ?? "mock-token";
});

after(() => mock?.stop());

test("the document's examples have the shapes", () => {
  const text = readFileSync(join(root, "..", "docs", "reference", "api.md"), "utf8");
  const blocks = [...text.matchAll(/```json ([\w-]+)\n([\s\S]*?)```/g)];
  assert.ok(blocks.length >= 12, `found ${blocks.length} examples`);
  for (const [, name, json] of blocks) assert.deepEqual(faults(name!, JSON.parse(json!)), [], name);
});

async function get(path: string, status = 200): Promise<any> {
  const answer = await fetch(base + path, { signal: AbortSignal.timeout(5000) });
  assert.equal(answer.status, status, path);
  assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
  return answer.json();
}

test("reading: each answer has its shape", async () => {
  assert.deepEqual(faults("status", await get("v1/status")), []);
  const series = await get("v1/series?limit=2000&spark=30");
  assert.deepEqual(faults("series", series), []);
  assert.deepEqual(faults("alerts", await get("v1/alerts")), []);
  assert.deepEqual(faults("timeline", await get("v1/timeline?limit=20")), []);
  assert.deepEqual(faults("models", await get("v1/models")), []);
  for (const one of series.series.slice(0, 3)) {
    const id = encodeURIComponent(one.id);
    assert.deepEqual(
      faults("history", await get(`v1/series/${id}/history?max_points=50&features=all`)),
      [],
    );
    const key = `view=${encodeURIComponent(one.view)}&key=${encodeURIComponent(one.key)}`;
    assert.deepEqual(faults("features", await get(`v1/features?${key}&as_of_us=${one.t_us}`)), []);
  }
});

test("history is reduced to what was asked for", async () => {
  const one = (await get("v1/series?limit=1&spark=0")).series[0];
  const history = await get(
    `v1/series/${encodeURIComponent(one.id)}/history?from_us=0&max_points=10`,
  );
  assert.ok(history.t_us.length <= 11, `${history.t_us.length} rows`);
});

test("the timeline can be paged without a gap or an overlap", async () => {
  const first = await get("v1/timeline?limit=2");
  if (first.next === null) return;
  const second = await get(`v1/timeline?limit=2&before=${first.next}`);
  assert.ok(second.entries[0].id < first.entries[1].id);
});

test("errors have the one shape and say how to mend", async () => {
  for (const path of [
    "v1/nothing",
    "v1/series/no%20such/history",
    "v1/alerts/none",
    "v1/features?view=none&key=none",
  ]) {
    const body = await get(path, 404);
    assert.deepEqual(faults("error", body), [], path);
    assert.ok(body.how_to_mend.length > 5, path);
  }
});

test("changes need the token", async () => {
  for (const headers of [{}, { "X-Quickwater-Token": "wrong" }] as Record<string, string>[]) {
    const answer = await fetch(`${base}v1/demo/incident`, { method: "DELETE", headers });
    assert.equal(answer.status, 403);
    assert.equal((await answer.json()).code, "bad_token");
  }
});

test("a strange Host is refused", async () => {
  const url = new URL(base);
  const headers = { Host: "evil.example" };
  const status = await new Promise<number>((done, fail) => {
    const call = request(
      { host: url.hostname, port: url.port, path: "/v1/status", headers },
      (answer) => {
        answer.resume();
        done(answer.statusCode ?? 0);
      },
    );
    call.on("error", fail);
    call.end();
  });
  assert.equal(status, 403);
});

async function listen(
  ms: number,
  headers: Record<string, string> = {},
): Promise<{ event: string; id: string; data: any }[]> {
  const abort = new AbortController();
  const answer = await fetch(`${base}v1/stream`, { signal: abort.signal, headers });
  assert.match(answer.headers.get("content-type") ?? "", /^text\/event-stream/);
  let text = "";
  const timer = setTimeout(() => abort.abort(), ms);
  try {
    const reader = answer.body!.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += Buffer.from(part.value).toString("utf8");
    }
  } catch {
    // Ended by the timer, as meant.
  }
  clearTimeout(timer);
  return text
    .split(/\r?\n\r?\n/)
    .slice(0, -1)
    .filter((block) => /^event:/m.test(block))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1] ?? "";
      return { event: field("event"), id: field("id"), data: JSON.parse(field("data")) };
    });
}

test("the stream says hello, ticks, and each event has its shape", async () => {
  const events = await listen(3500);
  assert.equal(events[0]?.event, "hello");
  assert.ok(events.filter((e) => e.event === "tick").length >= 2);
  assert.ok(events.some((e) => e.event === "status"));
  for (const { event, data } of events) {
    assert.deepEqual(faults(event === "timeline" ? "entry" : event, data), [], event);
  }
});

test("the stream resumes after the last id, and resets when that is not known", async () => {
  const id = (await listen(300))[0]!.id;
  assert.match(id, /^\d+$/);
  assert.ok(!(await listen(300, { "Last-Event-ID": id })).some((e) => e.event === "reset"));
  assert.ok((await listen(300, { "Last-Event-ID": "1" })).some((e) => e.event === "reset"));
});

test(
  "an incident is started once and ended",
  { skip: !may_change && "set QUICKWATER_CHANGE=1" },
  async () => {
    const headers = { "X-Quickwater-Token": token, "Content-Type": "application/json" };
    const start = () =>
      fetch(`${base}v1/demo/incident`, {
        method: "POST",
        headers,
        body: '{"kind":"disk","seconds":10}',
      });
    const first = await start();
    assert.equal(first.status, 202);
    assert.deepEqual(faults("incident", await first.json()), []);
    const again = await start();
    assert.equal(again.status, 409);
    assert.equal((await again.json()).code, "incident_running");
    assert.equal(
      (await fetch(`${base}v1/demo/incident`, { method: "DELETE", headers })).status,
      200,
    );
    assert.equal(
      (await fetch(`${base}v1/demo/incident`, { method: "DELETE", headers })).status,
      409,
    );
    const wrong = await fetch(`${base}v1/demo/incident`, { method: "POST", headers, body: "{" });
    assert.equal(wrong.status, 400);
    assert.equal((await wrong.json()).code, "bad_json");
  },
);
