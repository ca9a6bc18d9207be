// Places inside the page, kept in the part of the address after '#', so that each can be linked to.
export type ViewName = "overview" | "series" | "alerts" | "timeline" | "models";

export interface Route {
  view: ViewName;
  id: string;
  params: URLSearchParams;
}

const kViews = new Set<string>(["overview", "series", "alerts", "timeline", "models"]);

export function parse_route(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", ...rest] = path.split("/");
  const params = new URLSearchParams(search);
  if (!kViews.has(view)) return { view: "overview", id: "", params };
  let id = "";
  try {
    id = decodeURIComponent(rest.join("/"));
  } catch {
    // A broken percent code names nothing; the view then says that it knows no such thing.
    id = rest.join("/");
  }
  if (view === "series" && id === "") return { view: "overview", id: "", params };
  return { view: view as ViewName, id, params };
}

export function series_href(id: string, at_us?: number): string {
  return `#/series/${encodeURIComponent(id)}${at_us === undefined ? "" : `?at=${at_us}`}`;
}

export function alert_href(id: string): string {
  return `#/alerts/${encodeURIComponent(id)}`;
}
