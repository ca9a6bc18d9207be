// Calls to the control-plane API. Every failure becomes an ApiError with words that say how to mend
// it; nothing here retries (the stream does), and every call has a deadline.
import type {
  Alert,
  AlertList,
  ApiErrorBody,
  History,
  Incident,
  ModelList,
  Moment,
  Rollback,
  SeriesList,
  Status,
  Timeline,
  TrainingRun,
} from "./types.ts";

export class ApiError extends Error {
  readonly status: number;
  readonly body: ApiErrorBody;
  constructor(status: number, body: ApiErrorBody) {
    super(body.message);
    this.status = status;
    this.body = body;
  }
}

const kDeadlineMs = 10_000;

export function lost(where: string): ApiErrorBody {
  return {
    code: "unreachable",
    where,
    message: "Quickwater did not answer.",
    how_to_mend:
      "If it was stopped, start it again with ./dev demo; this page reconnects by itself.",
  };
}

export function error_body(where: string, status: number, text: string): ApiErrorBody {
  try {
    const parsed = JSON.parse(text) as Partial<ApiErrorBody>;
    if (typeof parsed.code === "string" && typeof parsed.message === "string") {
      const mend = parsed.code === "bad_token" ? "Reload the page: Quickwater was restarted." : "";
      return {
        code: parsed.code,
        where: parsed.where ?? where,
        message: parsed.message,
        how_to_mend: mend || (parsed.how_to_mend ?? ""),
      };
    }
  } catch {
    // Not the API's own shape: some other program answered.
  }
  return {
    code: "unexpected_answer",
    where,
    message: `The answer had status ${status} and was not from Quickwater.`,
    how_to_mend: "Check that no other program or proxy listens on this address.",
  };
}

function token(): string {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="quickwater-token"]');
  return meta?.content ?? "";
}

export function as_error(e: unknown, where: string): ApiErrorBody {
  return e instanceof ApiError ? e.body : lost(where);
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const where = `${method} ${path}`;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), kDeadlineMs);
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-Quickwater-Token"] = token();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const init: RequestInit = { method, headers, signal: abort.signal };
  if (body !== undefined) init.body = JSON.stringify(body);
  try {
    const answer = await fetch(path.slice(1), init);
    const text = await answer.text();
    if (!answer.ok) throw new ApiError(answer.status, error_body(where, answer.status, text));
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new ApiError(answer.status, error_body(where, answer.status, text));
    }
  } catch (e) {
    if (e instanceof ApiError) throw e;
    throw new ApiError(0, lost(where));
  } finally {
    clearTimeout(timer);
  }
}

function query(params: Record<string, string | number | undefined>): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") parts.push(`${name}=${encodeURIComponent(value)}`);
  }
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}

export interface HistorySpan {
  from_us?: number;
  to_us?: number;
  max_points?: number;
  features?: string;
}

export const api = {
  status: () => call<Status>("GET", "/v1/status"),
  series: (limit: number, spark: number) =>
    call<SeriesList>("GET", `/v1/series${query({ limit, spark })}`),
  history: (id: string, span: HistorySpan) =>
    call<History>("GET", `/v1/series/${encodeURIComponent(id)}/history${query({ ...span })}`),
  moment: (view: string, key: string, as_of_us?: number) =>
    call<Moment>("GET", `/v1/features${query({ view, key, as_of_us })}`),
  alerts: (before?: string) => call<AlertList>("GET", `/v1/alerts${query({ before })}`),
  alert: (id: string) => call<Alert>("GET", `/v1/alerts/${encodeURIComponent(id)}`),
  verdict: (id: string, verdict: string, note: string) =>
    call<Alert>("POST", `/v1/alerts/${encodeURIComponent(id)}/verdict`, { verdict, note }),
  timeline: (before?: number) => call<Timeline>("GET", `/v1/timeline${query({ before })}`),
  models: () => call<ModelList>("GET", "/v1/models"),
  retrain: (name: string, reason: string) =>
    call<TrainingRun>("POST", `/v1/models/${encodeURIComponent(name)}/retrain`, { reason }),
  roll_back: (name: string, reason: string) =>
    call<Rollback>("POST", `/v1/models/${encodeURIComponent(name)}/rollback`, { reason }),
  start_incident: (kind: string, seconds: number) =>
    call<Incident>("POST", "/v1/demo/incident", { kind, seconds }),
  stop_incident: () => call<Incident>("DELETE", "/v1/demo/incident"),
};
