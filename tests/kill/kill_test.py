"""Aim: kill -9 at any moment loses nothing, counts nothing twice and repeats no effect.

The real program reads generated CSV files of 4 series (4 partitions) and tells its alerts to a webhook. An
undisturbed run is the expected answer. Then runs with the same input are killed at seeded moments or at named
fail points and started again until they finish. Afterwards every decision (features, score, outputs, by key)
must equal the undisturbed run's, the journal must hold the same alerts, and an external receiver that counts
by Idempotency-Key must have seen each effect: none lost, none new.

  kill_test.py PROGRAM [--kills N] [--seed S]
"""
import argparse
import collections
import http.server
import json
import math
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

SERIES = 4
ROWS = 5000
RUN_LIMIT_S = 60
FAIL_POINTS = ["commit.before", "commit.after", "outbox.before_send", "outbox.after_send", "outbox.before_erase"]

APP = """
app: killed
data: data
server: {{ port: 0 }}
durability: {{ commit_interval: 5ms, replay_max: 1s }}
sources:
  - name: metrics
    file: {{ path: input, mode: replay, speed: 4000, series_column: series }}
    format: csv
    event_time: ts
    schema: {{ series: string, value: double, ts: timestamp }}
features:
  - view: metric
    from: metrics
    key: series
    windows: [10s, 1m]
    aggregates: {{ n: count(), mean: mean(value), top: max(value), spread: variance(value) }}
models:
  - {{ name: anomaly, detector: ensemble, key: series, inputs: [value] }}
decisions:
  - name: unusual
    on: metrics
    model: anomaly
    output: {{ severity: "case when warm and value > 400 then 'critical' end" }}
    alert: {{ severity: severity, for: 2s, cooldown: 1s, resolve_after: 3s }}
    sinks:
      - webhook: {{ url: "http://127.0.0.1:{port}/effect", timeout: 5s }}
"""


class Receiver:
    """Counts effects by Idempotency-Key, as a careful receiver does."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen = collections.defaultdict(collections.Counter)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                alert = json.loads(body)["alerts"][0]
                effect = (alert["labels"].get("key"), alert["status"], alert["startsAt"])
                with outer.lock:
                    outer.seen[self.headers["Idempotency-Key"]][effect] += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self):
        with self.lock:
            taken, self.seen = self.seen, collections.defaultdict(collections.Counter)
            return taken


def write_input(folder):
    folder.mkdir(parents=True)
    for series in range(SERIES):
        noise = random.Random(series)
        with open(folder / f"s{series}.csv", "w") as out:
            out.write("ts,value\n")
            for row in range(ROWS):
                value = 50 + 10 * math.sin(row / 30) + noise.random()
                if row % 400 >= 200:
                    value += 500
                out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(1_700_000_000 + row))},{value!r}\n")


def start(program, folder, fail_point=None):
    env = dict(os.environ)
    env.pop("QUICKWATER_FAIL_POINT", None)
    if fail_point:
        env["QUICKWATER_FAIL_POINT"] = fail_point
    return subprocess.Popen([program, "run", str(folder / "app.yaml"), "--until-finished"], env=env,
                            stdout=subprocess.DEVNULL, stderr=open(folder / "stderr.txt", "ab"))


def log_of(program, folder, what):
    command = [program, "log", what, str(folder / "app.yaml")]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def outcome(program, folder, receiver):
    decisions = {}
    for line in log_of(program, folder, "decisions"):
        key = (line["key"], line["event_seq"])
        assert key not in decisions, f"decided twice: {key}"
        decisions[key] = (line["score"], line["warm"], line["inputs"], line["features"], line["outputs"])
    alerts = []
    for line in log_of(program, folder, "journal"):
        if line["kind"].startswith("alert_"):
            body = line["body"]
            alerts.append((line["kind"], body["id"] if "id" in body else body["alert_id"]))
    return decisions, sorted(alerts), receiver.take()


def prepare(root, name, port):
    folder = root / name
    write_input(folder / "input")
    (folder / "app.yaml").write_text(APP.format(port=port))
    return folder


def run_to_end(program, folder):
    process = start(program, folder)
    code = process.wait(RUN_LIMIT_S)
    assert code == 0, f"the program ended with {code}: {(folder / 'stderr.txt').read_text()[-2000:]}"


def run_with_kills(program, folder, dice, kills, whole_s):
    """Returns how many kills really hit a running program."""
    hit = 0
    for turn in range(kills):
        at_point = turn % 2 == 0
        point = f"{dice.choice(FAIL_POINTS)}:{dice.randint(1, 150)}" if at_point else None
        process = start(program, folder, point)
        try:
            code = process.wait(RUN_LIMIT_S if at_point else dice.uniform(0, whole_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        hit += code == -signal.SIGKILL
        if code not in (0, -signal.SIGKILL):
            raise AssertionError(f"ended with {code}: {(folder / 'stderr.txt').read_text()[-2000:]}")
    run_to_end(program, folder)
    return hit


def compare(expected, got):
    for key, decision in expected[0].items():
        assert key in got[0], f"lost: the decision on {key}"
        assert got[0][key] == decision, f"differs at {key}: {got[0][key]} instead of {decision}"
    assert len(got[0]) == len(expected[0]), "there are decisions that nobody expected"
    assert got[1] == expected[1], f"alerts differ: {set(got[1]) ^ set(expected[1])}"
    assert set(got[2]) == set(expected[2]), f"effects lost or new: {set(got[2]) ^ set(expected[2])}"
    for action, effects in got[2].items():
        assert set(effects) == set(expected[2][action]), f"{action} had different effects: {effects}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--per-run", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    receiver = Receiver()
    port = receiver.server.server_address[1]
    with tempfile.TemporaryDirectory(prefix="qw_kill_") as place:
        root = pathlib.Path(place)
        folder = prepare(root, "undisturbed", port)
        began = time.monotonic()
        run_to_end(arguments.program, folder)
        whole_s = time.monotonic() - began
        expected = outcome(arguments.program, folder, receiver)
        assert len(expected[0]) == SERIES * ROWS, f"{len(expected[0])} decisions"
        assert len(expected[1]) > 20 and expected[2], f"{len(expected[1])} alerts, {len(expected[2])} effects"
        hit = runs = 0
        dice = random.Random(arguments.seed)
        while hit < arguments.kills:
            folder = prepare(root, f"killed{runs}", port)
            hit += run_with_kills(arguments.program, folder, dice, arguments.per_run, whole_s)
            runs += 1
            compare(expected, outcome(arguments.program, folder, receiver))
        print(f"seed {arguments.seed}: {hit} kills in {runs} runs; {len(expected[0])} decisions, "
              f"{len(expected[1])} alert changes, {len(expected[2])} effects equal each time")
    print("1 passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as problem:
        print(problem)
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)
