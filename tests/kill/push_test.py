"""Aim: what was pushed by HTTP and answered with success is there, once, through any kill -9; what cannot be taken
says so and harms nothing else.

The real program and a real HTTP client. Pushers send numbered events and send them again, under the same event ids,
until they are answered 200, while the program is killed at named fail points: before the commit, behind it, and
between the commit and the answer. Then every event must have been decided on exactly once.

  push_test.py PROGRAM [--kills N] [--seed S]
"""
import argparse
import functools
import http.client
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

PUSHERS = 3
FAIL_POINTS = ["commit.before", "commit.after", "http_source.before_answer"]

APP = """
app: pushed
data: data
server: { port: 0 }
sources:
  - name: clicks
    http: { token: "${PUSH_TOKEN}" }
    event_time: ts
    event_id: id
    allowed_lateness: 1h
    expect: [ { column: v, between: [0, 1000000] } ]
    schema: { id: string, v: int64, ts: timestamp }
models:
  - { name: plain, key: id, rules: { score: "v * 1.0" } }
decisions:
  - { name: seen, on: clicks, model: plain, output: { double: "v * 2" } }
"""


def event(number, **more):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    return {"id": f"e{number}", "v": number, "ts": stamp, **more}


def post(port, body, token="correct-horse", content_type="application/json"):
    """(status, answer, headers), or None where no answer came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/events/clicks", body,
                           {"Authorization": f"Bearer {token}", "Content-Type": content_type})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), dict(answer.getheaders())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def lines(*events):
    return "\n".join(json.dumps(one) for one in events)


def the_contract(binary, root):
    program = Program(binary, root / "contract", APP).start()
    port = program.port()
    assert port, f"it ended: {program.output()}"
    status, answer, _ = post(port, json.dumps(event(1)))
    assert (status, answer["accepted"]) == (200, 1), answer
    batch = [event(2), {"id": "e3", "v": "three"}, event(1), event(4, v=-1), event(5, ts="2100-01-01T00:00:00Z")]
    status, answer, _ = post(port, json.dumps(batch))
    assert (status, answer["accepted"], answer["duplicates"], answer["dead_letters"]) == (200, 1, 1, 3), answer
    reasons = {one["record"]: one.get("reason", one["status"]) for one in answer["results"]}
    assert "int64 expected" in reasons[1] and reasons[2] == "duplicate", reasons
    assert "quarantined" in reasons[3] and "ahead of its arrival" in reasons[4], reasons
    status, answer, _ = post(port, lines(event(6), event(7)), content_type="application/x-ndjson")
    assert (status, answer["accepted"]) == (200, 2), answer
    status, answer, _ = post(port, "[1,")
    assert status == 400 and {"code", "where", "message", "how_to_mend"} <= set(answer), answer
    status, answer, _ = post(port, "{}")
    assert status == 422 and answer["dead_letters"] == 1, answer
    status, answer, headers = post(port, json.dumps(event(8)), token="wrong")
    assert status == 401 and headers["WWW-Authenticate"] == "Bearer", answer
    # A record above max_record_bytes costs itself alone; a body above the server's limit is not read.
    status, answer, _ = post(port, lines(event(9), event(10, x="x" * 2_000_000), event(11)), content_type="text/plain")
    assert (status, answer["accepted"], answer["dead_letters"]) == (200, 2, 1), answer
    status, answer, _ = post(port, json.dumps(event(12, x="x" * 10_000_000)))
    assert status == 413 and answer["how_to_mend"], answer
    status, answer, _ = post(port, json.dumps(event(13)))
    assert (status, answer["accepted"]) == (200, 1), answer
    program.stop()
    assert sorted(one["key"] for one in program.log("decisions")) == sorted(f"e{n}" for n in (1, 2, 6, 7, 9, 11, 13))
    letters = program.log("dead-letters")
    assert len(letters) == 5 and all(one["source"] == "clicks" and one["reason"] for one in letters), letters
    assert "correct-horse" not in program.output()


def the_limits(binary, root):
    """Those of the file; the commits are so far apart that each of them is reached."""
    slow = APP.replace("data: data\n", "data: data\ndurability: { commit_interval: 1s }\n")
    for name, limit in (("few", "pending_requests_max: 1"), ("full", "pending_bytes_max: 1KB")):
        with Program(binary, root / name, slow.replace("http: {", f"http: {{ {limit}, retry_after: 7s,")) as program:
            port = program.start().port()
            answers = []
            threads = [threading.Thread(target=lambda n=n: answers.append(post(port, lines(event(n, x="x" * 900)))))
                       for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert {status for status, _, _ in answers} == {200, 429}, answers
            assert all(headers["Retry-After"] == "7" for status, _, headers in answers if status == 429), answers
    late = slow.replace("http: {", "http: { commit_timeout: 10ms, retry_after: 1500ms,")
    with Program(binary, root / "late", late) as program:
        status, answer, headers = post(program.start().port(), json.dumps(event(1)))
        assert (status, headers["Retry-After"]) == (503, "2") and "not durable in time" in answer["message"], answer


class Pushers:
    """Threads that push until each of their events was answered 200."""

    def __init__(self, seed):
        self.port, self.acknowledged, self.duplicates, self.wrong = None, set(), 0, []
        self.lock, self.ended, self.numbers = threading.Lock(), threading.Event(), 0
        self.threads = [threading.Thread(target=self.push, args=(random.Random(seed * 100 + n),))
                        for n in range(PUSHERS)]
        for thread in self.threads:
            thread.start()

    def next_batch(self, size):
        with self.lock:
            first, self.numbers = self.numbers, self.numbers + size
        return [event(n) for n in range(first, first + size)]

    def push(self, dice):
        while not self.ended.is_set():
            batch = self.next_batch(dice.randint(1, 20))
            body = json.dumps(batch) if dice.random() < 0.5 else lines(*batch)
            kind = "application/json" if body.startswith("[") else "application/x-ndjson"
            while not self.push_once(batch, body, kind):
                time.sleep(0.02)

    def push_once(self, batch, body, kind):
        answer = post(self.port, body, content_type=kind) if self.port else None
        with self.lock:
            if answer is None or answer[0] in (429, 503):
                return False
            status, told, _ = answer
            if status != 200 or told["accepted"] + told["duplicates"] != len(batch):
                self.wrong.append(answer)
            self.duplicates += told.get("duplicates", 0)
            self.acknowledged.update(one["id"] for one in batch)
            return True

    def acknowledged_count(self):
        with self.lock:
            return len(self.acknowledged)

    def finish(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a pusher is never answered"


def killed_in_between(binary, root, kills, seed):
    program = Program(binary, root / "killed", APP)
    dice = random.Random(seed)
    pushers = Pushers(seed)
    for turn in range(kills):
        program.start(f"{FAIL_POINTS[turn % len(FAIL_POINTS)]}:{dice.randint(1, 40)}")
        pushers.port = program.port()
        code = program.wait()
        assert code == -signal.SIGKILL, f"ended with {code}: {program.output()[-2000:]}"
    program.start()
    pushers.port = program.port()
    before = pushers.acknowledged_count()
    wait_for("something is answered again", lambda: pushers.acknowledged_count() > before + 100, program)
    pushers.finish()
    program.stop()
    assert not pushers.wrong, f"unexpected answers: {pushers.wrong[:3]}"
    decided = [one["key"] for one in program.log("decisions")]
    assert len(decided) == len(set(decided)), "an event was counted twice"
    missing = pushers.acknowledged - set(decided)
    assert not missing, f"acknowledged and lost: {sorted(missing)[:5]}"
    assert set(decided) == pushers.acknowledged, "decided on events that were never acknowledged"
    assert pushers.duplicates > 0, "no answer was ever lost behind the commit: the kills missed their moment"
    print(f"seed {seed}: {kills} kills, {len(decided)} events once each, {pushers.duplicates} sent again")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["PUSH_TOKEN"] = "correct-horse"
    with tempfile.TemporaryDirectory(prefix="qw_push_") as place:
        root = pathlib.Path(place)
        contract = functools.wraps(the_contract)(lambda: the_contract(arguments.program, root))
        limits = functools.wraps(the_limits)(lambda: the_limits(arguments.program, root))
        killed = functools.wraps(killed_in_between)(
            lambda: killed_in_between(arguments.program, root, arguments.kills, arguments.seed))
        run_cases(contract, limits, killed)


if __name__ == "__main__":
    main()
