"""Aim: every line of a log is counted in exactly one interval, through any kill -9, replayed or followed.

The real program is killed at named fail points, again and again, while it replays log files, and while it follows one
that grows. The oracle counts all lines at once. No interval may be reported twice or differently.

  counts_test.py PROGRAM [--kills N] [--seed S]
"""
import argparse
import collections
import datetime
import functools
import json
import pathlib
import random
import signal
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

FILES, LINES, INTERVAL_S = 3, 6000, 10
BEGIN_US = 1_700_000_000_000_000

APP = """
app: counted
data: data
server: {{ port: 0 }}
durability: {{ commit_interval: 5ms }}
sources:
  - name: logs
    file:
      path: logs
      {mode}
      counts:
        interval: {interval}
        counters: [ {{ metric: lines }}, {{ metric: errors, field: level, equals: ERROR }} ]
    format: text
    text: {{ pattern: "{{ts:timestamp}} {{level}} {{message}}" }}
    allowed_lateness: 5s
models:
  - {{ name: plain, key: [series, metric], rules: {{ score: "value" }} }}
decisions:
  - name: seen
    on: logs
    model: plain
    output: {{ double: "value * 2" }}
    sinks: [ {{ log: {{ path: out.jsonl }} }} ]
"""


def stamp(time_us):
    moment = datetime.datetime.fromtimestamp(time_us / 1e6, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_log(path, seed):
    """Lines up to 4 s out of order, with gaps; returns the count of each (metric, end of interval)."""
    dice, newest, counts = random.Random(seed), BEGIN_US, collections.Counter()
    with open(path, "w") as out:
        for _ in range(LINES):
            newest += dice.randint(0, 1_000_000) + (dice.random() < 0.01) * 60_000_000
            time_us, error = newest - dice.randint(0, 4_000_000), dice.random() < 0.3
            out.write(f"{stamp(time_us)} {'ERROR' if error else 'INFO'} something happened\n")
            end = -(-time_us // (INTERVAL_S * 1_000_000)) * INTERVAL_S * 1_000_000
            counts["lines", end] += 1
            counts["errors", end] += error
    ends = [end for _, end in counts]
    return {(metric, end): counts[metric, end] for metric in ("lines", "errors")
            for end in range(min(ends), max(ends) + 1, INTERVAL_S * 1_000_000)}


def reported(program):
    got = {}
    for one in program.log("decisions"):
        series, metric = one["key"].split("/")
        key = (series, metric, one["event_time_us"])
        assert key not in got, f"reported twice: {key}"
        got[key] = one["score"]
    return got


def replayed(binary, root, kills, seed):
    program = Program(binary, root / "replayed", APP.format(mode="mode: replay\n      speed: 3000", interval="10s"))
    (program.folder / "logs").mkdir()
    expected = {}
    for number in range(FILES):
        counts = write_log(program.folder / f"logs/s{number}.log", seed * 10 + number)
        expected.update({(f"s{number}", *key): count for key, count in counts.items()})
    dice, hit = random.Random(seed), 0
    for turn in range(kills):
        program.start(f"{('commit.before', 'commit.after')[turn % 2]}:{dice.randint(2, 25)}", "--until-finished")
        code = program.wait()
        assert code in (0, -signal.SIGKILL), f"ended with {code}: {program.output()[-2000:]}"
        hit += code == -signal.SIGKILL
    program.start(None, "--until-finished")
    assert program.wait() == 0, program.output()[-2000:]
    got = reported(program)
    wrong = [(key, expected.get(key), got.get(key)) for key in expected.keys() | got.keys()
             if expected.get(key) != got.get(key)]
    assert not wrong, f"{len(wrong)} of {len(expected)} counts differ (key, expected, got): {sorted(wrong)[:4]}"
    assert not program.log("dead-letters")
    assert hit >= 3, f"only {hit} of {kills} kills hit"
    print(f"seed {seed}: {hit} kills, {len(got)} counts of {FILES * LINES} lines equal the oracle's")


class Writer:
    """Appends lines of now to a file until told to end."""

    def __init__(self, path):
        self.path, self.lines, self.errors, self.ended = path, 0, 0, threading.Event()
        path.touch()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with open(self.path, "a") as out:
            while not self.ended.wait(0.01):
                error = self.lines % 3 == 0
                now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                out.write(f"{now} {'ERROR' if error else 'INFO'} line {self.lines}\n")
                out.flush()
                self.lines, self.errors = self.lines + 1, self.errors + error

    def finish(self):
        self.ended.set()
        self.thread.join()


def sums(program):
    """What the sink was told: the sum of each metric, an interval counted once."""
    path, seen = program.folder / "out.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.endswith("}"):
            one = json.loads(line)
            seen[one["key"], one["event_time_us"]] = one["score"]
    total = collections.Counter()
    for (key, _), score in seen.items():
        total[key.split("/")[1]] += score
    return total


def followed(binary, root, kills, seed):
    program = Program(binary, root / "followed", APP.format(mode="mode: tail", interval="1s"))
    (program.folder / "logs").mkdir()
    writer = Writer(program.folder / "logs/app.log")
    dice = random.Random(seed)
    try:
        for turn in range(kills):
            program.start(f"{('commit.before', 'commit.after')[turn % 2]}:{dice.randint(2, 5)}")
            code = program.wait(60)
            assert code in (None, -signal.SIGKILL), program.output()[-2000:]
            if code is None:
                program.kill()
        program.start()
    finally:
        writer.finish()
    # The last intervals are closed by the clock: no line follows them.
    wait_for(lambda: f"{writer.lines} lines; there are {sums(program)}",
             lambda: sums(program)["lines"] >= writer.lines, program)
    program.stop()
    total = collections.Counter()
    for (_, metric, _), score in reported(program).items():
        total[metric] += score
    assert (total["lines"], total["errors"]) == (writer.lines, writer.errors), (
        f"{dict(total)} counted of {writer.lines} lines, {writer.errors} errors")
    assert not program.log("dead-letters")
    print(f"seed {seed}: {kills} kills, {writer.lines} lines of a growing file counted once each")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_counts_") as place:
        root = pathlib.Path(place)
        run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, root, kills, arguments.seed))
                    for case, kills in ((replayed, arguments.kills), (followed, arguments.kills // 2))))


if __name__ == "__main__":
    main()
