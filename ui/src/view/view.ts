// What the shell needs of a view: an element while it is shown, and an end.
import type { Route } from "../model/route.ts";
import type { Store } from "../model/store.ts";

export interface View {
  el: HTMLElement;
  title: string;
  // The same view was asked for again with another id or parameters.
  go?: (route: Route) => void;
  close: () => void;
}

export interface Deeds {
  reload: () => void;
  verdict: (alert_id: string, verdict: "real" | "false_alarm", note: string) => Promise<void>;
  start_incident: (kind: string, seconds: number) => Promise<void>;
  stop_incident: () => Promise<void>;
  retrain: (model: string) => Promise<void>;
  roll_back: (model: string) => Promise<void>;
  more_alerts: () => Promise<void>;
  more_timeline: () => Promise<void>;
}

export interface Page {
  store: Store;
  deeds: Deeds;
}
