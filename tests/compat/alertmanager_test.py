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
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

LIMIT_S = 180  # of any one wait: far above what is needed

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


def wait_for(what, condition, process):
    limit = time.monotonic() + LIMIT_S
    while True:
        try:
            found = condition()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            found = None
        if found:
            return found
        assert process.poll() is None, f"{what}: the program ended with {process.returncode}"
        assert time.monotonic() < limit, f"not within {LIMIT_S} s: {what}"
        time.sleep(0.1)


def story(folder, process, alertmanager):
    out = open(folder / "metrics.jsonl", "a", buffering=1)

    def say(part, value):
        out.write(json.dumps({"part": part, "value": value, "ts": int(time.time() * 1000)}) + "\n")

    def told(part, *severities):
        return lambda: alertmanager.severities(part) == sorted(severities)

    say("web", 10)
    say("web", 500)
    wait_for("the alert is known", told("web", "warning"), process)
    alert = alertmanager.alerts("web")[0]
    assert alert["labels"]["alertname"] == "high" and alert["labels"]["app"] == "told", alert
    assert alert["annotations"]["summary"], alert
    first = alert["updatedAt"]
    wait_for("the alert is sent again", lambda: alertmanager.alerts("web")[0]["updatedAt"] > first, process)

    say("web", 5000)
    wait_for("the higher severity takes the lower one's place", told("web", "critical"), process)

    alertmanager.stop()
    say("db", 500)
    alertmanager.start()
    wait_for("a new Alertmanager is told of what is open", told("web", "critical"), process)
    wait_for("and of what opened while none was there", told("db", "warning"), process)

    say("web", 10)
    wait_for("the alert is over", told("web"), process)
    assert alertmanager.severities("db") == ["warning"], "another's end ended it"
    say("db", 10)
    wait_for("the last alert is over", told("db"), process)


def main():
    if shutil.which("prometheus-alertmanager") is None:
        print("prometheus-alertmanager is not installed: ./dev setup test installs it")
        return 77
    with tempfile.TemporaryDirectory(prefix="qw_alertmanager_") as place:
        root = pathlib.Path(place)
        alertmanager = Alertmanager(root)
        alertmanager.start()
        (root / "app.yaml").write_text(APP.format(port=alertmanager.port))
        (root / "metrics.jsonl").touch()
        with open(root / "stderr.txt", "wb") as errors:
            process = subprocess.Popen([sys.argv[1], "run", str(root / "app.yaml")], stderr=errors)
        try:
            story(root, process, alertmanager)
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 0, f"ended with {process.returncode}"
        except AssertionError as error:
            print(f"FAIL {error}\n{(root / 'stderr.txt').read_text()[-3000:]}")
            return 1
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            alertmanager.stop()
    print("1 passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
