"""Aim: healing is safe and its end is known: what it does reaches the world once, signed, and only as often as it
may; whether it helped is checked and recorded; a command is ended with all it started.

Method: the real program follows a file of metrics that a made-up machine writes at a pace. Parts of the machine fall
ill one after another; a receiver outside, and a command, heal some of them. What the program did is read from the
receiver, from its metrics, and from its journal afterwards.

  healing_test.py PROGRAM [--only NAME ...]
"""
import argparse
import collections
import functools
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

SECRET = "a key that both ends know"
PARTS = ["web", "db", "cache", "queue", "disk", "net", "fan", "idle"]

APP = """
app: healed
data: data
server: {{ port: 0 }}
durability: {{ commit_interval: 5ms }}
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
    output: {{ severity: "case when value > 100 then 'critical' end" }}
    alert: {{ severity: severity, for: 0s, cooldown: 0s, resolve_after: 0s }}
    heal:
      - {{ name: restart, when: part = 'web', recover_within: 10m,
           webhook: {{ url: "http://127.0.0.1:{port}/restart", secret: "{secret}", timeout: 3s }} }}
      - {{ name: stubborn, when: part = 'db', recover_within: 12s, stop_after: 2, limit: 100/1h,
           webhook: {{ url: "http://127.0.0.1:{port}/stubborn" }} }}
      - {{ name: practice, when: part = 'cache', dry_run: true,
           webhook: {{ url: "http://127.0.0.1:{port}/practice" }} }}
      - {{ name: limited, when: part = 'queue', recover_within: 12s, stop_after: 50, limit: 2/1h,
           webhook: {{ url: "http://127.0.0.1:{port}/limited" }} }}
      - {{ name: stuck, when: part = 'disk', recover_within: 1h, command: {{ run: hang, timeout: 10s }} }}
      - {{ name: fix, when: part = 'net', recover_within: 10m, command: {{ run: mend, timeout: 30s }} }}
      - {{ name: late, when: part = 'fan', recover_within: 3s, limit: 1/1h,
           webhook: {{ url: "http://127.0.0.1:{port}/late" }} }}
      - {{ name: unneeded, when: part = 'idle', webhook: {{ url: "http://127.0.0.1:{port}/unneeded" }} }}
healing:
  enabled: true
  commands:
    hang: [/bin/sh, {folder}/hang.sh, {folder}]
    mend: [{python}, {folder}/mend.py, {folder}, "{{key}}", "{{severity}}", "$(touch {folder}/shell)"]
"""

# Has a child, says far too much, ignores the polite request, and never ends. A shell, because it is there at once.
HANG = """
trap '' TERM
sleep 3600 &
echo "$$ $!" >"$1/pids.tmp"
mv "$1/pids.tmp" "$1/pids"
head -c 1000000 /dev/zero | tr '\\0' x
sleep 3600
"""
MEND = """
import json, os, sys
with open(sys.argv[1] + "/mended.tmp", "w") as out:
    json.dump({"arguments": sys.argv[2:], "environment": sorted(os.environ)}, out)
os.rename(sys.argv[1] + "/mended.tmp", sys.argv[1] + "/mended")
"""


class Machine:
    """Writes each part's metric about twenty times a second: 500 while it is ill, 10 otherwise."""

    def __init__(self, folder):
        self.path = folder / "metrics.jsonl"
        self.path.touch()
        self.ill = set()
        self.lock = threading.Lock()
        self.rounds = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def set_ill(self, part, ill=True):
        with self.lock:
            (self.ill.add if ill else self.ill.discard)(part)

    def run(self):
        with open(self.path, "a", buffering=1) as out:
            while not self.stopping.wait(0.05):
                with self.lock:
                    ill = set(self.ill)
                now = int(time.time() * 1000)
                out.write("".join(json.dumps({"part": part, "value": 500 if part in ill else 10, "ts": now}) + "\n"
                                  for part in PARTS))
                self.rounds += 1

    def settle(self):
        """Returns once rows were written that know of the last change."""
        begin = self.rounds
        wait_for("the machine writes", lambda: self.rounds >= begin + 2)

    def stop(self):
        self.stopping.set()
        self.thread.join()


class Receiver:
    """What lies outside: remembers every request, checks signatures, answers as it is told."""

    def __init__(self, machine):
        self.machine = machine
        self.lock = threading.Lock()
        self.requests = collections.defaultdict(list)
        self.wrong = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answer(self.path.strip("/"), self.headers, body)
                if status is None:  # no answer in time: the program gives this attempt up
                    time.sleep(6)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, name, headers, body):
        with self.lock:
            self.requests[name].append({"key": headers["Idempotency-Key"], "body": json.loads(body),
                                        "at": time.monotonic()})
            count = len(self.requests[name])
        if name != "restart":
            return 500 if name == "late" else 200
        signature = dict(part.split("=", 1) for part in headers["X-Quickwater-Signature"].split(","))
        expected = hmac.new(SECRET.encode(), f"{signature['t']}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature["v1"]) or abs(time.time() - int(signature["t"])) > 300:
            self.wrong.append(f"signature {signature}")
        if count <= 2:
            return 500
        if count == 3:
            return None
        self.machine.set_ill("web", False)
        return 200

    def of(self, name):
        with self.lock:
            return list(self.requests[name])


def count_steps(program, heal, step):
    return program.metric("quickwater_heal_steps_total", heal=heal, step=step)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def journal(program):
    return [(line["kind"], line["body"]) for line in program.log("journal")]


def of_heal(records, heal):
    """Steps of one healing action in order: 'started', 'skipped', 'recovered', ..."""
    steps = []
    for kind, body in records:
        if body.get("heal") == heal and kind.startswith("action_"):
            steps.append((body.get("outcome") or kind[len("action_"):], body))
    return steps


def prepare(binary, root, port):
    folder = root / "app"
    folder.mkdir()
    (folder / "hang.sh").write_text(HANG)
    (folder / "mend.py").write_text(MEND)
    return Program(binary, folder, APP.format(port=port, secret=SECRET, folder=folder, python=sys.executable))


def with_everything(binary, root, test):
    machine_folder = root / "machine"
    machine_folder.mkdir(parents=True)
    machine = Machine(machine_folder)
    receiver = Receiver(machine)
    program = prepare(binary, root, receiver.port)
    (program.folder / "metrics.jsonl").symlink_to(machine.path)
    try:
        with program:
            test(program, machine, receiver)
    finally:
        machine.stop()
        receiver.server.shutdown()


def a_webhook_that_helps(binary, root):
    def test(program, machine, receiver):
        program.start()
        machine.set_ill("web")
        wait_for("web recovers", lambda: count_steps(program, "restart", "recovered"), program)
        check_metrics(program.ask("/metrics"))
        program.stop()
        requests = receiver.of("restart")
        assert len(requests) >= 4, f"500, 500, silence, 200: {len(requests)} requests"
        assert not receiver.wrong, receiver.wrong
        assert len({one["key"] for one in requests}) == 1, "one action, one key, however often it is tried"
        assert all(one["body"] == requests[0]["body"] for one in requests)
        assert requests[0]["body"]["heal"] == "restart" and requests[0]["body"]["alert_id"]
        records = journal(program)
        ended = [body for kind, body in records if kind == "action_finished"]
        assert len(ended) == 1 and ended[0]["attempts"] == len(requests) and ended[0]["http_status"] == 200, ended
        steps = of_heal(records, "restart")
        assert [step for step, _ in steps] == ["started", "recovered"], steps
        assert steps[0][1]["action_id"] == requests[0]["key"]
        assert not receiver.of("unneeded"), "nothing was wrong with it"

    with_everything(binary, root, test)


def a_webhook_that_does_not(binary, root):
    def test(program, machine, receiver):
        program.start()
        machine.set_ill("db")
        wait_for("it is stopped", lambda: count_steps(program, "stubborn", "skipped"), program)
        machine.set_ill("db", False)
        machine.settle()
        program.stop()
        keys = {one["key"] for one in receiver.of("stubborn")}
        assert 1 <= len(keys) <= 2, f"stopped after two without recovery: {keys}"
        steps = of_heal(journal(program), "stubborn")
        assert [step for step, _ in steps] == ["started", "not_recovered", "started", "not_recovered", "skipped"], steps
        assert "stopped after 2 actions without recovery" in steps[-1][1]["message"], steps[-1]
        # A restart forgets nothing of it: the next alert is not acted on either.
        program.start()
        machine.set_ill("db")
        wait_for("the next alert is skipped", lambda: count_steps(program, "stubborn", "skipped"), program)
        program.stop()
        assert {one["key"] for one in receiver.of("stubborn")} == keys, "it acted though it was stopped"
        # A person allows it again: the next alert is acted on.
        program.start()
        wait_for("others can find it", lambda: (program.folder / "data" / "control.url").exists(), program)
        machine.set_ill("db", False)
        machine.settle()
        data = str(program.folder / "data")
        code, said, errors = program.call("heal", "reset", "stubborn", "--data", data)
        assert code == 0 and "acts again" in said, said + errors
        code, _, errors = program.call("heal", "reset", "stuborn", "--data", data)
        assert code != 0 and "use one of: " in errors and "stubborn" in errors, errors
        machine.set_ill("db")
        wait_for("it acts again", lambda: count_steps(program, "stubborn", "started"), program)
        program.stop()

    with_everything(binary, root, test)


def a_webhook_that_comes_too_late(binary, root):
    """A receiver that is away until the remedy's time is over: the action ends, and says how."""
    def test(program, machine, receiver):
        program.start()
        machine.set_ill("fan")
        wait_for("its time is over",
                 lambda: program.metric("quickwater_outbox_expired_total", sink="heal.late"), program)
        told = len(receiver.of("late"))
        machine.set_ill("fan", False)
        machine.settle()
        program.stop()
        assert told > 1 and len(receiver.of("late")) == told, "it is tried again, and not after its time"
        ended = [body for kind, body in journal(program) if kind == "action_finished"]
        assert len(ended) == 1 and ended[0]["state"] == "failed", ended
        assert "deadline" in ended[0]["message"] and ended[0]["action_id"] == receiver.of("late")[0]["key"], ended

    with_everything(binary, root, test)


def dry_runs_and_limits(binary, root):
    def test(program, machine, receiver):
        program.start()
        machine.set_ill("cache")
        machine.set_ill("queue")
        wait_for("the dry run is recorded", lambda: count_steps(program, "practice", "dry_run"), program)
        wait_for("the limit is reached", lambda: count_steps(program, "limited", "skipped"), program)
        program.stop()
        assert not receiver.of("practice"), "a dry run reached the world"
        records = journal(program)
        assert [step for step, _ in of_heal(records, "practice")] == ["dry_run"]
        assert [step for step, _ in of_heal(records, "limited")].count("started") == 2, "limit: 2/1h"
        assert len({one["key"] for one in receiver.of("limited")}) <= 2, receiver.of("limited")
        assert "limit of 2 in 3600 s" in of_heal(records, "limited")[-1][1]["message"]

    with_everything(binary, root, test)


def commands(binary, root):
    def test(program, machine, receiver):
        program.start()
        machine.set_ill("disk")
        wait_for("the command starts", lambda: (program.folder / "pids").exists(), program)
        pids = [int(pid) for pid in (program.folder / "pids").read_text().split()]
        wait_for("the command and its child are ended", lambda: not any(map(alive, pids)), program)
        machine.set_ill("net")
        wait_for("the other command runs", lambda: (program.folder / "mended").exists(), program)
        machine.set_ill("net", False)
        wait_for("net recovers", lambda: count_steps(program, "fix", "recovered"), program)
        program.stop()
        mended = json.loads((program.folder / "mended").read_text())
        assert mended["arguments"] == ["net", "critical", f"$(touch {program.folder}/shell)"], mended
        assert not (program.folder / "shell").exists(), "a shell read the arguments"
        assert "HOME" not in mended["environment"], mended["environment"]
        ended = [body for kind, body in journal(program) if kind == "action_finished"]
        assert len(ended) == 2, ended
        assert ended[0]["end"] == "timed_out", ended[0]
        assert len(ended[0]["stdout"]) <= 16 * 1024, len(ended[0]["stdout"])
        assert ended[1]["exit_code"] == 0, ended[1]

    with_everything(binary, root, test)


def nothing_unless_allowed(binary, root):
    """`healing.enabled: false` makes every action a dry run; a command that is not on the list is refused."""

    def test(program, machine, receiver):
        app = program.file.read_text()
        program.file.write_text(app.replace("enabled: true", "enabled: false"))
        program.start()
        for part in ["web", "net"]:
            machine.set_ill(part)
        for heal in ["restart", "fix"]:
            wait_for("it is a dry run", lambda: count_steps(program, heal, "dry_run"), program)
        program.stop()
        assert not receiver.of("restart") and not (program.folder / "mended").exists()
        program.file.write_text(app.replace("run: mend", "run: format_disk"))
        code, out, errors = program.call("validate", program.file)
        assert code != 0, "a command that is not on the list was let pass"
        said = out + errors
        assert re.search(r"app\.yaml:\d+:\d+: error: there is no allowed command 'format_disk'", said), said
        program.file.write_text(app.replace("'critical' end", "'fatal' end"))
        code, _, said = program.call("run", program.file)
        assert code != 0 and re.search(r"app\.yaml:19:\d+.*'fatal' is no severity", said), said

    with_everything(binary, root, test)


def check_metrics(text):
    """The lags are there, and promtool has nothing to say against the whole."""
    for name in ["quickwater_source_lag_seconds", "quickwater_source_queue_rows", "quickwater_watermark_age_seconds",
                 "quickwater_commit_age_seconds", "quickwater_commit_queue_bytes", "quickwater_outbox_age_seconds",
                 "quickwater_outbox_waiting_rows", "quickwater_warm_up_ratio", "quickwater_events_total",
                 "quickwater_dead_letters_total", "quickwater_stage_latency_seconds_bucket"]:
        assert re.search(rf"^{name}[{{ ]", text, re.M), f"no {name} in:\n{text}"
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    judged = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


CASES = [a_webhook_that_helps, a_webhook_that_does_not, a_webhook_that_comes_too_late, dry_runs_and_limits, commands,
         nothing_unless_allowed]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_healing_") as place:
        def alone(case):
            return functools.wraps(case)(lambda: case(arguments.program, pathlib.Path(place) / case.__name__))
        run_cases(*(alone(case) for case in CASES if not arguments.only or case.__name__ in arguments.only))


if __name__ == "__main__":
    main()
