// The API of docs/reference/api.md over a make-believe World, for the page's tests and for working
// on the page without the C++ side. Also serves ui/dist as the binary does: token, content policy,
// cache headers.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import type { History } from "../../src/api/types.ts";
import { features, members } from "./answers.ts";
import { kStart_us, kThreshold, last, World, type MockSeries } from "./world.ts";

const kToken = "mock-token";
const kTypes: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const kPolicy =
  "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'";

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly mend: string;
  constructor(status: number, code: string, message: string, mend: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.mend = mend;
  }
}

interface Sent {
  id: number;
  text: string;
}

export class MockServer {
  readonly world: World;
  private readonly server_: Server;
  private readonly dist_: string;
  private readonly streams_ = new Set<ServerResponse>();
  private readonly kept_: Sent[] = [];
  private next_id_ = kStart_us;
  private timer_: NodeJS.Timeout | undefined;

  constructor(world: World, dist: string) {
    this.world = world;
    this.dist_ = dist;
    world.told = (event, data) => this.tell(event, data);
    this.server_ = createServer((request, answer) => {
      void this.handle(request, answer).catch((e: unknown) => this.refuse(request, answer, e));
    });
  }

  // Answers with the base URL. `tick_ms` 0: the test steps the world itself.
  async start(tick_ms: number, port = 0): Promise<string> {
    await new Promise<void>((ready) => this.server_.listen(port, "127.0.0.1", ready));
    if (tick_ms > 0) this.timer_ = setInterval(() => this.world.step(), tick_ms);
    return `http://127.0.0.1:${(this.server_.address() as AddressInfo).port}/`;
  }

  cut_streams(): void {
    for (const stream of this.streams_) stream.destroy();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer_);
    this.cut_streams();
    this.server_.closeAllConnections();
    await new Promise<void>((done) => this.server_.close(() => done()));
  }

  private tell(event: string, data: unknown): void {
    let text = `event: ${event}\n`;
    if (event !== "tick" && event !== "status") text += `id: ${++this.next_id_}\n`;
    text += `data: ${JSON.stringify(data)}\n\n`;
    if (event !== "tick" && event !== "status") this.kept_.push({ id: this.next_id_, text });
    if (this.kept_.length > 1000) this.kept_.shift();
    for (const stream of this.streams_) stream.write(text);
  }

  private async handle(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://mock");
    if (!url.pathname.startsWith("/v1")) return this.file(url.pathname, answer);
    const method = request.method ?? "GET";
    if (request.headers.host !== `127.0.0.1:${(this.server_.address() as AddressInfo).port}`) {
      throw new Refusal(403, "bad_host", "the Host is not this server's", "open the printed URL");
    }
    if (method !== "GET" && request.headers["x-quickwater-token"] !== kToken) {
      throw new Refusal(
        403,
        "bad_token",
        "the token is missing or not this server's",
        "reload the page",
      );
    }
    const parts = url.pathname.slice(4).split("/").map(decodeURIComponent);
    if (parts[0] === "stream") return this.stream(request, url, answer);
    const body = method === "POST" ? await read_json(request) : {};
    const [status, found] = this.route(method, parts, url.searchParams, body);
    const text = JSON.stringify(found);
    answer.writeHead(status, {
      "Content-Type": "application/json; charset=utf-8",
      "Cache-Control": "no-store",
    });
    answer.end(text);
  }

  private route(
    method: string,
    parts: string[],
    query: URLSearchParams,
    body: Record<string, unknown>,
  ): [number, unknown] {
    const path = `${method} ${parts[0]}/${parts.length}`;
    switch (path) {
      case "GET status/1":
        return [200, this.world.status()];
      case "GET series/1":
        return [200, this.series(query)];
      case "GET series/3":
        return [200, this.history(this.find(parts[1]!), query)];
      case "GET features/1":
        return [200, this.moment(query)];
      case "GET alerts/1":
        return [200, this.alerts(query)];
      case "GET alerts/2":
        return [200, this.alert(parts[1]!)];
      case "POST alerts/3":
        return [200, this.verdict(parts[1]!, body)];
      case "GET timeline/1":
        return [200, this.timeline(query)];
      case "GET models/1":
        return [200, { models: [this.world.model] }];
      case "POST models/3":
        return [202, this.retrain(parts[1]!, body)];
      case "POST demo/2":
        return [202, this.start_incident(body)];
      case "DELETE demo/2":
        return [200, this.stop_incident()];
      default:
        throw new Refusal(
          404,
          "unknown_path",
          "there is no such path",
          "see docs/reference/api.md",
        );
    }
  }

  private find(id: string): MockSeries {
    const found = this.world.series.find((s) => s.signal.id === id);
    if (found === undefined)
      throw new Refusal(
        404,
        "unknown_series",
        `there is no series '${id}'`,
        "take an id from GET /v1/series",
      );
    return found;
  }

  private series(query: URLSearchParams): unknown {
    const spark = Number(query.get("spark") ?? 60);
    const words = (query.get("filter") ?? "").toLowerCase().split(/\s+/);
    const all = this.world.series.filter((s) =>
      words.every((w) => `${s.signal.id} ${s.signal.title ?? ""}`.toLowerCase().includes(w)),
    );
    const list = all.slice(0, Number(query.get("limit") ?? 500)).map((s) => {
      const { id, metric, title, entity, unit } = s.signal;
      const rows = s.rows.slice(-spark);
      const t0_us = rows[0]?.t_us ?? this.world.now_us;
      return {
        id,
        metric,
        title,
        entity,
        unit,
        view: "metric",
        key: `${metric}/${entity}`,
        t_us: last(s)?.t_us ?? null,
        value: last(s)?.value ?? null,
        score: last(s)?.score ?? null,
        threshold: kThreshold,
        warm: s.warm,
        alerting: s.alert !== null,
        features: ["mean_1m", "max_1m", "p95_1m"],
        spark:
          spark === 0
            ? null
            : {
                t0_us,
                dt_ms: rows.map((r) => (r.t_us - t0_us) / 1000),
                value: rows.map((r) => r.value),
                score: rows.map((r) => r.score),
              },
      };
    });
    return { now_us: this.world.now_us, total: all.length, series: list };
  }

  private history(s: MockSeries, query: URLSearchParams): History {
    const newest = last(s).t_us;
    const to_us = Number(query.get("to_us") ?? newest);
    const from_us = Number(query.get("from_us") ?? to_us - 900e6);
    const most = Number(query.get("max_points") ?? 1000);
    const rows = s.rows.filter((r) => r.t_us >= from_us && r.t_us <= to_us);
    const each = Math.max(1, Math.ceil(rows.length / most));
    const names = (query.get("features") ?? "").split(",").filter((n) => n !== "");
    const history: History = {
      id: s.signal.id,
      from_us,
      to_us,
      kept_from_us: s.rows[0]!.t_us,
      bucket_us: each === 1 ? 0 : each * 1e6,
      t_us: [],
      value: [],
      value_min: [],
      value_max: [],
      score: [],
      threshold: kThreshold,
      features: Object.fromEntries(names.map((n) => [n, []])),
      alerts: this.world.alerts
        .filter((a) => a.series_id === s.signal.id)
        .map(({ id, severity, opened_us, resolved_us }) => ({
          id,
          severity,
          opened_us,
          resolved_us,
        })),
      labels:
        this.world.options.mode === "live"
          ? []
          : [
              {
                from_us: s.rows[0]!.t_us + 40 * 300e6,
                to_us: s.rows[0]!.t_us + 130 * 300e6,
                kind: "dataset",
                name: "labelled anomaly",
              },
            ],
    };
    for (let i = 0; i < rows.length; i += each) {
      const group = rows.slice(i, i + each);
      const values = group.map((r) => r.value);
      history.t_us.push(group[group.length - 1]!.t_us);
      history.value.push(values.reduce((a, b) => a + b, 0) / values.length);
      history.value_min.push(Math.min(...values));
      history.value_max.push(Math.max(...values));
      const scores = group.map((r) => r.score).filter((x): x is number => x !== null);
      history.score.push(scores.length > 0 ? Math.max(...scores) : null);
      const found = names.length > 0 ? features(s, group[group.length - 1]!.t_us) : [];
      for (const n of names)
        history.features[n]!.push(found.find((f) => f.name === n)?.value ?? null);
    }
    return history;
  }

  private moment(query: URLSearchParams): unknown {
    const key = query.get("key") ?? "";
    const s = this.world.series.find((x) => `${x.signal.metric}/${x.signal.entity}` === key);
    if (query.get("view") !== "metric" || s === undefined)
      throw new Refusal(
        404,
        "unknown_key",
        `there is no key '${key}'`,
        "take view and key from GET /v1/series",
      );
    const as_of_us = Number(query.get("as_of_us") ?? last(s).t_us);
    const row = [...s.rows].reverse().find((r) => r.t_us <= as_of_us);
    if (row === undefined)
      throw new Refusal(
        410,
        "history_gone",
        "that moment is older than what is kept",
        "choose a later moment",
      );
    return {
      view: "metric",
      key,
      as_of_us,
      event_us: row.t_us,
      value: row.value,
      features: features(s, as_of_us),
      score:
        row.score === null
          ? null
          : {
              value: row.score,
              threshold: kThreshold,
              model: this.world.model.name,
              version: this.world.model.champion ?? "",
              members: members(row.score),
            },
    };
  }

  private alerts(query: URLSearchParams): unknown {
    const state = query.get("state");
    const before = query.get("before");
    const limit = Number(query.get("limit") ?? 100);
    let list = this.world.alerts.filter((a) => state === null || a.state === state);
    if (before !== null) list = list.slice(list.findIndex((a) => a.id === before) + 1);
    const shown = list.slice(0, limit);
    return {
      alerts: shown,
      counts: this.world.status().alerts,
      next: shown.length < list.length ? shown[shown.length - 1]!.id : null,
    };
  }

  private alert(id: string) {
    const alert = this.world.alerts.find((a) => a.id === id);
    if (alert === undefined)
      throw new Refusal(
        404,
        "unknown_alert",
        `there is no alert '${id}'`,
        "take an id from GET /v1/alerts",
      );
    return alert;
  }

  private verdict(id: string, body: Record<string, unknown>): unknown {
    const alert = this.alert(id);
    if (body.verdict !== "real" && body.verdict !== "false_alarm") {
      throw new Refusal(
        400,
        "bad_parameter",
        "verdict must be 'real' or 'false_alarm'",
        "send one of the two",
      );
    }
    this.world.verdict(alert, body.verdict, typeof body.note === "string" ? body.note : "");
    return alert;
  }

  private timeline(query: URLSearchParams): unknown {
    const before = Number(query.get("before") ?? Number.POSITIVE_INFINITY);
    const after = Number(query.get("after") ?? -1);
    const kinds = (query.get("kinds") ?? "").split(",").filter((k) => k !== "");
    const limit = Number(query.get("limit") ?? 100);
    const all = this.world.timeline.filter(
      (e) => e.id < before && e.id > after && (kinds.length === 0 || kinds.includes(e.kind)),
    );
    const entries = all.slice(0, limit);
    return { entries, next: entries.length < all.length ? entries[entries.length - 1]!.id : null };
  }

  private retrain(name: string, body: Record<string, unknown>): unknown {
    const model = this.world.model;
    if (name !== model.name)
      throw new Refusal(
        404,
        "unknown_model",
        `there is no model '${name}'`,
        `the known one is '${model.name}'`,
      );
    if (this.world.training())
      throw new Refusal(
        409,
        "training_running",
        "a training run is under way",
        "wait until it has ended",
      );
    const { total, needed } = model.labels!;
    if (total < needed) {
      throw new Refusal(
        409,
        "too_few_labels",
        `there are ${total} labels, training needs ${needed}`,
        "give verdicts on alerts, or start an incident: each is a label",
      );
    }
    return this.world.train("person", typeof body.reason === "string" ? body.reason : "");
  }

  private start_incident(body: Record<string, unknown>): unknown {
    if (this.world.incident !== null)
      throw new Refusal(
        409,
        "incident_running",
        "an incident is running",
        "stop it or wait for its end",
      );
    const seconds = Number(body.seconds);
    if (
      !["cpu", "memory", "disk"].includes(String(body.kind)) ||
      !(seconds >= 5 && seconds <= 120)
    ) {
      throw new Refusal(
        400,
        "bad_parameter",
        "kind or seconds is wrong",
        "kind: cpu, memory or disk; seconds: 5 to 120",
      );
    }
    return this.world.start_incident(String(body.kind), seconds);
  }

  private stop_incident(): unknown {
    if (this.world.incident === null)
      throw new Refusal(409, "no_incident", "no incident is running", "nothing to do");
    return this.world.end_incident("stopped");
  }

  private stream(request: IncomingMessage, url: URL, answer: ServerResponse): void {
    answer.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const asked = url.searchParams.get("last_event_id") ?? request.headers["last-event-id"];
    const hello = { started_us: kStart_us, now_us: this.world.now_us, interval_ms: 1000 };
    answer.write(
      `retry: 1000\n\nevent: hello\nid: ${this.next_id_}\ndata: ${JSON.stringify(hello)}\n\n`,
    );
    if (asked !== undefined && asked !== "") {
      const oldest = this.kept_[0]?.id ?? this.next_id_ + 1;
      if (Number(asked) < oldest - 1 || Number(asked) > this.next_id_)
        answer.write("event: reset\ndata: {}\n\n");
      else for (const sent of this.kept_) if (sent.id > Number(asked)) answer.write(sent.text);
    }
    this.streams_.add(answer);
    answer.on("close", () => this.streams_.delete(answer));
  }

  private async file(path: string, answer: ServerResponse): Promise<void> {
    const name = path === "/" ? "index.html" : normalize(path).replace(/^(\.\.[/\\])+/, "");
    let bytes: Buffer;
    try {
      bytes = await readFile(join(this.dist_, name));
    } catch {
      answer.writeHead(404).end();
      return;
    }
    const type = kTypes[extname(name)] ?? "application/octet-stream";
    const body =
      name === "index.html"
        ? bytes.toString("utf8").replace("__QUICKWATER_TOKEN__", kToken)
        : bytes;
    answer.writeHead(200, {
      "Content-Type": type,
      "Content-Security-Policy": kPolicy,
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cache-Control": name === "index.html" ? "no-store" : "public, max-age=31536000, immutable",
    });
    answer.end(body);
  }

  private refuse(request: IncomingMessage, answer: ServerResponse, e: unknown): void {
    const refusal =
      e instanceof Refusal
        ? e
        : new Refusal(500, "internal", String(e), "this is a fault of the mock server");
    const body = {
      code: refusal.code,
      where: `${request.method} ${request.url}`,
      message: refusal.message,
      how_to_mend: refusal.mend,
    };
    if (!answer.headersSent)
      answer.writeHead(refusal.status, { "Content-Type": "application/json; charset=utf-8" });
    answer.end(JSON.stringify(body));
  }
}

async function read_json(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new Refusal(400, "bad_json", "the body is not JSON", "send one JSON object");
  }
}
