"""An application with everything that may hang or be refused: pushed events and a file, a webhook, a command."""
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import program
from program import wait_for

APP = """
app: bounded
data: data
server: {{ port: 0 }}
stop_timeout: {stop_timeout}
segments: {{ size: 100KB, age: 1s, every: 100ms }}
sources:
  - name: rows
    file: {{ path: rows.jsonl, mode: tail }}
    event_time: ts
    event_time_format: epoch_ms
    schema: {{ key: string, v: double, ts: timestamp }}
  - name: pushed
    http: {{}}
    event_time: ts
    event_time_format: epoch_ms
    schema: {{ key: string, v: double, ts: timestamp }}
features:
  - view: seen
    from: rows
    key: key
    windows: [10s]
    aggregates: {{ n: count() }}
models:
  - {{ name: plain, key: key, rules: {{ score: "v" }} }}
decisions:
  - name: each
    on: rows
    model: plain
{sinks}
  - name: told
    on: pushed
    model: plain
{more}
"""
BEGIN_MS = 1_700_000_000_000


class Program(program.Program):
    def __init__(self, binary, folder, sinks="", more="", stop_timeout="10s", tail=""):
        super().__init__(binary, folder, APP.format(sinks=sinks, more=more, stop_timeout=stop_timeout) + tail)
        self.rows = 0

    def feed(self, count, keys=50):
        with open(self.folder / "rows.jsonl", "a") as file:
            for number in range(self.rows, self.rows + count):
                file.write(json.dumps({"key": f"k{number % keys}", "v": 0.5, "ts": BEGIN_MS + 100 * number}) + "\n")
        self.rows += count
        return self

    def launch(self, fail_point=None, prefix=(), **options):
        """As start(), with the limits and streams of the case."""
        env = {name: value for name, value in os.environ.items() if name != "QUICKWATER_FAIL_POINT"}
        if fail_point:
            env["QUICKWATER_FAIL_POINT"] = fail_point
        self.begin = self.stderr.stat().st_size if self.stderr.exists() else 0
        with open(self.stderr, "ab") as errors:
            options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": errors} | options
            self.process = subprocess.Popen([*prefix, self.binary, "run", str(self.file)], env=env, **options)
        return self

    def push(self, key, value, connection=None):
        """The status of one pushed event; on a connection of its own, or on an open one."""
        link = connection or http.client.HTTPConnection("127.0.0.1", self.port(), timeout=program.LIMIT_S)
        link.request("POST", "/v1/events/pushed", json.dumps({"key": key, "v": value, "ts": BEGIN_MS}),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        answer.read()
        return answer.status

    def decided(self, decision="each"):
        return sum(one["decision"] == decision for one in self.log("decisions"))

    def wait_decided(self):
        wait_for("all rows are decided", lambda: self.metric("quickwater_decisions_total") >= self.rows, self)

    def wait_whole(self):
        """Until every row of the file is decided, by this start or an earlier one."""
        def decided():
            code, text, errors = self.call("query", "select count(*) as n from decisions where decision = 'each'",
                                           "--data", self.folder / "data", "--json")
            return code == 0 and "left out" not in errors and json.loads(text)["n"] >= self.rows
        wait_for("all rows are decided", decided, self)

    def begin_stop(self, number):
        self.process.send_signal(number)


class Receiver:
    """A webhook's other end: answers each POST by `judge`, which may hang until `let_go`."""

    def __init__(self, judge=None):
        self.got, self.let_go = [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append(self.headers["Idempotency-Key"])
                if judge:
                    judge(outer)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                try:
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
