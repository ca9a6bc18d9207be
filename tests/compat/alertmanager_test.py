"""Aim: a real Alertmanager knows of exactly the alerts that are open: it learns of a new one, of a higher severity, of
the end, of one that opened while it was away, and after it lost its memory it is told again.

Method: the real program follows a file; an Alertmanager of the test's own is asked with GET /api/v2/alerts, and
stopped and started in the middle.

  alertmanager_test.py PROGRAM
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

APP = """
app: told
data: data
server: {{ port: 0 }}
sources:
  - name: metrics
    file: {{ path: metrics.jsonl, mode: tail }}
    format: json
    event_time: ts
    event_time_format: epoch_ms
    schema: {{ part: string, value: double, ts: timestamp }}
models:
  - {{ name: level, key: part, rules: {{ score: value }} }}
decisions:
  - name: high
    on: metrics
    model: level
    output: {{ severity: "case when value > 1000 then 'critical' when value > 100 then 'warning' end" }}
    alert: {{ severity: severity, for: 0s, cooldown: 0s, resolve_after: 0s }}
    sinks:
      - alertmanager: {{ url: "http://127.0.0.1:{port}", timeout: 5s, resend: 2s }}
"""


class Alertmanager:
    def __init__(self, root):
        self.script = pathlib.Path(os.environ["QUICKWATER_SOURCE_DIR"]) / "tools/engines/alertmanager.sh"
        self.root = root
        self.starts = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self):
        self.starts += 1
        self.folder = self.root / f"alertmanager{self.starts}"
        self.folder.mkdir()
        subprocess.run([self.script, "start", self.folder, str(self.port)], check=True)

    def stop(self):
        subprocess.run([self.script, "stop", self.folder], check=True)

    def alerts(self, part):
        query = urllib.parse.urlencode({"filter": f'key="{part}"'})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v2/alerts?{query}", timeout=30) as answer:
            return json.load(answer)

    def severities(self, part):
        return sorted(alert["labels"]["severity"] for alert in self.alerts(part))


def story(program, alertmanager):
    out = open(program.folder / "metrics.jsonl", "a", buffering=1)

    def say(part, value):
        out.write(json.dumps({"part": part, "value": value, "ts": int(time.time() * 1000)}) + "\n")

    def told(part, *severities):
        return lambda: alertmanager.severities(part) == sorted(severities)

    say("web", 10)
    say("web", 500)
    wait_for("the alert is known", told("web", "warning"), program)
    alert = alertmanager.alerts("web")[0]
    assert alert["labels"]["alertname"] == "high" and alert["labels"]["app"] == "told", alert
    assert alert["annotations"]["summary"], alert
    first = alert["updatedAt"]
    wait_for("the alert is sent again", lambda: alertmanager.alerts("web")[0]["updatedAt"] > first, program)

    say("web", 5000)
    wait_for("the higher severity takes the lower one's place", told("web", "critical"), program)

    alertmanager.stop()
    say("db", 500)
    alertmanager.start()
    wait_for("a new Alertmanager is told of what is open", told("web", "critical"), program)
    wait_for("and of what opened while none was there", told("db", "warning"), program)

    say("web", 10)
    wait_for("the alert is over", told("web"), program)
    assert alertmanager.severities("db") == ["warning"], "another's end ended it"
    say("db", 10)
    wait_for("the last alert is over", told("db"), program)


def main():
    if shutil.which("prometheus-alertmanager") is None:
        print("prometheus-alertmanager is not installed: ./dev setup test installs it")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="qw_alertmanager_") as place:
        alertmanager = Alertmanager(pathlib.Path(place))
        program = Program(sys.argv[1], pathlib.Path(place) / "app", APP.format(port=alertmanager.port))
        (program.folder / "metrics.jsonl").touch()

        def the_story():
            with program.start():
                story(program, alertmanager)
                program.stop()
        alertmanager.start()
        try:
            run_cases(the_story)
        finally:
            alertmanager.stop()


if __name__ == "__main__":
    main()
