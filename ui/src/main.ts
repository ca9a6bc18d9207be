// Wires the page: loads what is, then follows the stream; does what a person asks and says how it
// went.
import { api, as_error } from "./api/client.ts";
import { Stream } from "./api/stream.ts";
import type { ApiErrorBody } from "./api/types.ts";
import { Store } from "./model/store.ts";
import { Shell } from "./view/shell.ts";
import type { Deeds } from "./view/view.ts";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/overview.css";
import "./style/alert.css";
import "./style/series.css";
import "./style/pages.css";

const kSeriesMost = 1000;
const kSparkPoints = 90;
const kWaitingMost = 2000;
const kReloadLeastMs = 2_000;

const store = new Store();
// While the first answers are on their way, stream events wait, so that no older answer overwrites
// them.
let waiting: (() => void)[] | null = null;
let series_asked_ms = 0;

function later(work: () => void): void {
  if (waiting === null) work();
  else if (waiting.length < kWaitingMost) waiting.push(work);
}

async function reload(): Promise<void> {
  if (waiting !== null) return;
  waiting = [];
  try {
    const [status, series, alerts, timeline, models] = await Promise.all([
      api.status(),
      api.series(kSeriesMost, kSparkPoints),
      api.alerts(),
      api.timeline(),
      api.models(),
    ]);
    store.load_error = null;
    store.loaded = true;
    store.set_status(status);
    store.set_series(series);
    store.set_alerts(alerts, false);
    store.set_timeline(timeline, false);
    store.set_models(models);
  } catch (e) {
    store.load_error = as_error(e, "loading");
    store.emit("link");
  }
  const held: (() => void)[] = waiting;
  waiting = null;
  held.forEach((work) => work());
}

async function reload_series(): Promise<void> {
  if (performance.now() - series_asked_ms < kReloadLeastMs) return;
  series_asked_ms = performance.now();
  try {
    store.set_series(await api.series(kSeriesMost, kSparkPoints));
  } catch {
    // The next tick with an unknown series asks again.
  }
}

let started_us = 0;
const stream = new Stream({
  link: (state) => store.set_link(state),
  hello: (hello) => {
    store.set_clock(hello.now_us);
    const restarted = started_us !== 0 && started_us !== hello.started_us;
    started_us = hello.started_us;
    if (!store.loaded || restarted) void reload();
  },
  reset: () => void reload(),
  tick: (tick) =>
    later(() => {
      if (store.apply_tick(tick)) void reload_series();
    }),
  status: (status) => later(() => store.set_status(status)),
  alert: (alert) => later(() => store.put_alert(alert)),
  timeline: (entry) => later(() => store.put_entry(entry)),
  model: (model) => later(() => store.put_model(model)),
});

function complain(error: ApiErrorBody): void {
  store.say({ kind: "error", message: error.message, how_to_mend: error.how_to_mend });
}

async function attempt(where: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (e) {
    complain(as_error(e, where));
  }
}

const deeds: Deeds = {
  reload: () => void reload(),
  verdict: (id, verdict, note) =>
    attempt("verdict", async () => store.put_alert(await api.verdict(id, verdict, note))),
  start_incident: (kind, seconds) =>
    attempt("incident", async () => {
      const incident = await api.start_incident(kind, seconds);
      if (store.status) {
        store.set_status({
          ...store.status,
          now_us: store.now_us(),
          demo: { ...store.status.demo, incident_running: true, incident },
        });
      }
    }),
  stop_incident: () =>
    attempt("incident", async () => {
      await api.stop_incident();
      store.set_status(await api.status());
    }),
  retrain: (name) =>
    attempt("training", async () => {
      await api.retrain(name, "asked on the page");
      store.set_models(await api.models());
    }),
  roll_back: (name) =>
    attempt("rollback", async () => {
      await api.roll_back(name, "asked on the page");
      store.set_models(await api.models());
    }),
  more_alerts: () =>
    attempt("alerts", async () => {
      if (store.alerts_next !== null) store.set_alerts(await api.alerts(store.alerts_next), true);
    }),
  more_timeline: () =>
    attempt("timeline", async () => {
      const next = store.timeline_next;
      if (next !== null) store.set_timeline(await api.timeline(next), true);
    }),
};

new Shell(document.getElementById("app")!, { store, deeds });
void reload();
stream.open();
