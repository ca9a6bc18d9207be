"""An external receiver that counts effects by sink and Idempotency-Key, as a careful one does."""
import collections
import http.server
import json
import threading


def effect_of(path, body):
    if path == "/alert":
        alert = body["alerts"][0]
        return (alert["labels"].get("key"), alert["status"], alert["startsAt"])
    if path == "/mend":
        return (body["alert_id"], body["attempt"])
    return (body["key"], body["event_seq"], body["inputs"]["value"], body["score"])


class Receiver:
    """Listens on a port of its own until the process ends; requests come on threads of the server. While it is `away`
    it answers 503 and remembers nothing."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen = collections.defaultdict(collections.Counter)
        self.ends = set()
        self.away = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                taken = outer.note(self.path, self.headers["Idempotency-Key"], effect_of(self.path, body))
                self.send_response(200 if taken else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, path, key, effect):
        with self.lock:
            if self.away:
                return False
            self.seen[(path, key)][effect] += 1
            if path == "/marked" and effect[2] == -1.0:
                self.ends.add(effect[0])
            return True

    def set_away(self, away):
        with self.lock:
            self.away = away

    def count_ends(self):
        with self.lock:
            return len(self.ends)

    def take(self):
        with self.lock:
            taken, self.seen = self.seen, collections.defaultdict(collections.Counter)
            self.ends = set()
            return taken
