// The page's memory and its pure rules: ring, order, routes, headline, story, chart columns, the
// store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { error_body } from "../../src/api/client.ts";
import { retry_delay_ms } from "../../src/api/stream.ts";
import type { History, TimelineEntry } from "../../src/api/types.ts";
import { headline, worst_first } from "../../src/model/headline.ts";
import { by_heat, by_name, matches } from "../../src/model/order.ts";
import { Ring } from "../../src/model/ring.ts";
import { parse_route, series_href } from "../../src/model/route.ts";
import { heat_of, merge_timeline, Store, type LiveSeries } from "../../src/model/store.ts";
import { tell_story } from "../../src/model/story.ts";
import { append_row, chart_data, nearest, unusual_part } from "../../src/model/window.ts";
import { usual_scale } from "../../src/view/parts.ts";
import { World } from "../mock/world.ts";

test("ring keeps the newest, oldest first, and replaces a row of the same time", () => {
  const ring = new Ring(3);
  for (const t of [1, 2, 3, 4]) ring.push(t, t * 10, null);
  ring.push(4, 41, 1);
  assert.equal(ring.push(2, 0, 0), false, "an older row is ignored");
  assert.deepEqual(
    [0, 1, 2].map((i) => ring.value[ring.at(i)]),
    [20, 30, 41],
  );
  assert.ok(Number.isNaN(ring.score[ring.at(0)]));
  assert.equal(ring.newest_us(), 4);
});

function live(id: string, heat: number, alerting = false): LiveSeries {
  const info = {
    id,
    metric: id,
    title: null,
    entity: "all",
    unit: "",
    view: "",
    key: "",
    t_us: 0,
    value: 0,
    score: heat,
    threshold: 1,
    warm: 1,
    alerting,
    features: [],
    spark: null,
  };
  return { info, ring: new Ring(1), heat };
}

test("order: alerting first, then heat in steps, noise does not move tiles", () => {
  const list = [
    live("d", 0.1),
    live("c", 0.4),
    live("b", 0.9),
    live("a", 0.2, true),
    live("e", 0.8),
  ];
  assert.deepEqual(
    [...list].sort(by_heat).map((x) => x.info.id),
    ["a", "b", "e", "c", "d"],
  );
  assert.deepEqual(
    [...list].sort(by_name).map((x) => x.info.id),
    ["a", "b", "c", "d", "e"],
  );
});

test("filter: every word, anywhere, any case", () => {
  const one = live("host/cpu.busy/all", 0);
  assert.ok(matches("", one) && matches("CPU host", one));
  assert.ok(!matches("cpu disk", one));
});

test("routes go there and back", () => {
  const id = "host/net.in/eth0?x%";
  assert.deepEqual(
    [parse_route(series_href(id)).view, parse_route(series_href(id)).id],
    ["series", id],
  );
  assert.equal(parse_route(series_href(id, 5)).params.get("at"), "5");
  assert.equal(parse_route("").view, "overview");
  assert.equal(parse_route("#/nonsense/x").view, "overview");
  assert.equal(parse_route("#/series").view, "overview");
  assert.equal(
    parse_route("#/alerts/%E0%A4%A").view,
    "alerts",
    "a broken percent code is no crash",
  );
});

test("heat is 0 without a score or a threshold", () => {
  assert.equal(heat_of(null, 1), 0);
  assert.equal(heat_of(5, null), 0);
  assert.equal(heat_of(-1, 2), 0);
  assert.equal(heat_of(3, 2), 1.5);
});

test("timeline: newest first, each id once, the later telling wins", () => {
  const entry = (id: number, title: string): TimelineEntry => ({
    id,
    t_us: id,
    kind: "alert",
    phase: "opened",
    severity: "info",
    title,
    detail: "",
    ref: {},
  });
  const merged = merge_timeline([entry(3, "c"), entry(1, "a")], [entry(2, "b"), entry(3, "C")]);
  assert.deepEqual(
    merged.map((e) => e.title),
    ["C", "b", "a"],
  );
});

test("store: a tick moves known series, reports unknown ones, ends what no longer alerts", () => {
  const world = new World({ series: 2, lived_s: 30 });
  const store = new Store();
  const info = { ...live("host/cpu.busy_percent/all", 0, true).info };
  store.set_series({ now_us: 0, total: 1, series: [info] });
  const unknown = store.apply_tick(world.step());
  assert.equal(unknown, true);
  const known = store.series.get("host/cpu.busy_percent/all")!;
  assert.equal(known.info.alerting, false);
  assert.equal(known.ring.size, 2);
});

test("headline says the worst that is true", () => {
  const cold = new World({ lived_s: 100 });
  assert.equal(headline(null, [], 0).tone, "waiting");
  assert.equal(headline(cold.status(), [], 28).tone, "warming");
  const world = new World();
  assert.equal(headline(world.status(), [], 28).tone, "calm");
  assert.equal(headline(world.status(), [], 28, true).title, "Out of touch");
  assert.equal(headline(world.status(), [], 0).title, "No series yet");
  world.start_incident("cpu", 40);
  for (let i = 0; i < 5; i++) world.step();
  const said = headline(world.status(), world.alerts, 28);
  assert.equal(said.tone, "alert");
  assert.match(said.title, /^CPU busy is far above usual, and \d more$/);
  assert.equal(worst_first(world.alerts)[0]!.severity, "critical");
});

function story_of(world: World) {
  return tell_story({
    incident: world.incident,
    timeline: world.timeline,
    alerts: world.alerts,
    models: [world.model],
    now_us: world.now_us,
  });
}

function states(world: World): string {
  return story_of(world)!
    .steps.map((s) => s.state[0])
    .join("");
}

test("story: six steps, in the order they happen", () => {
  const world = new World();
  assert.equal(story_of(world), null);
  world.start_incident("cpu", 40);
  world.step();
  assert.equal(states(world), "aattt".padEnd(6, "t"));
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    world.step();
    seen.add(states(world));
  }
  assert.equal(states(world), "ddddat");
  assert.ok(seen.has("adaaat"), [...seen].join());
  world.verdict(world.alerts[0]!, "real", "");
  assert.equal(states(world), "ddddda");
  for (let i = 0; i < 20; i++) world.step();
  assert.equal(states(world), "dddddd");
  assert.equal(story_of(world)!.steps[5]!.text, "version 2 swapped in");
});

test("story: an incident that nobody noticed is said so", () => {
  const world = new World({ lived_s: 30 });
  world.start_incident("cpu", 5);
  for (let i = 0; i < 10; i++) world.step();
  assert.equal(states(world), "dbtttt");
});

const history: History = {
  id: "x",
  from_us: 0,
  to_us: 3e6,
  kept_from_us: 0,
  bucket_us: 0,
  t_us: [1e6, 2e6, 3e6],
  value: [1, 2, 3],
  value_min: [1, 2, 3],
  value_max: [1, 2, 3],
  score: [0, 5, null],
  threshold: 4,
  features: { m: [1, 1, 1] },
  alerts: [],
  labels: [],
};

test("chart columns: live rows join, old ones leave, all columns keep one length", () => {
  const data = chart_data(history, ["m", "unknown"]);
  assert.ok(append_row(data, 4e6, 9, 1, 2e6));
  assert.ok(append_row(data, 4e6, 7, 1, 2e6), "the same time again changes nothing");
  assert.deepEqual(data.t_s, [2, 3, 4]);
  for (const column of [data.value, data.low, data.high, data.score, data.features[0]![1]])
    assert.equal(column.length, 3);
  assert.equal(history.value.length, 3, "the answer itself is not changed");
  assert.equal(append_row({ ...data, reduced: true }, 5e6, 1, 1, 0), false);
});

test("the unusual part has the row before it, so that a line can be drawn", () => {
  assert.deepEqual(unusual_part(chart_data(history, [])), [1, 2, null]);
  assert.deepEqual(unusual_part(chart_data({ ...history, threshold: null }, [])), [
    null,
    null,
    null,
  ]);
});

test("nearest row", () => {
  assert.deepEqual(
    [0, 1.4, 1.6, 9].map((t) => nearest([1, 2, 3], t)),
    [0, 0, 1, 2],
  );
});

test("usual scale holds the span and the value, also when they are one point", () => {
  for (const [v, low, high] of [
    [97, 4, 22],
    [1, 4, 22],
    [5, 5, 5],
  ] as const) {
    const scale = usual_scale(v, low, high);
    for (const place of [scale.left, scale.mark])
      assert.ok(Number.parseFloat(place) >= 0 && Number.parseFloat(place) <= 100);
  }
});

test("errors: the API's own shape, a stale token, and somebody else's answer", () => {
  const own = error_body(
    "GET /x",
    404,
    '{"code":"unknown_series","where":"w","message":"m","how_to_mend":"h"}',
  );
  assert.deepEqual(own, { code: "unknown_series", where: "w", message: "m", how_to_mend: "h" });
  assert.match(
    error_body("POST /x", 403, '{"code":"bad_token","message":"m"}').how_to_mend,
    /Reload/,
  );
  assert.equal(error_body("GET /x", 502, "<html>").code, "unexpected_answer");
});

test("retries slow down, up to a limit", () => {
  assert.deepEqual([0, 1, 2, 10, 1000].map(retry_delay_ms), [500, 1000, 2000, 5000, 5000]);
});
