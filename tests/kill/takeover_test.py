"""Aim: members of a group compute what one process alone would, whoever has which partition when, and decide each
record once; what they cannot know they say.

Two real programs of one application and one group, and a broker of its own. A writer puts rows on the topic; the
members come, go and come back in between. Each decision's windows are compared with a computation over all rows by
event time.

  takeover_test.py PROGRAM
"""
import argparse
import collections
import functools
import json
import os
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kafka_test import WRITER, Broker
from program import Program, check, run_cases, wait_for

KEYS, STEP_S = 12, 7
START_S = 1_700_000_000
MEMBER = """
app: member
data: data
server: {{ port: 0 }}
sources:
  - name: paid
    kafka: {{ brokers: "{brokers}", topic: "{topic}", group: "{topic}-members", {more}
              client: {{ session.timeout.ms: "6000" }} }}
    event_time: event_time_us
    event_time_format: epoch_us
    schema: {{ key: string, score: double, event_time_us: timestamp }}
features:
  - view: card
    from: paid
    key: key
    windows: [5m]
    aggregates: {{ n: count(), spent: sum(score) }}
models:
  - {{ name: plain, key: key, rules: {{ score: "card.spent_5m" }} }}
decisions:
  - name: judged
    on: paid
    model: plain
    output: {{ n: "card.n_5m" }}
    sinks: [ {{ log: {{ path: judged.jsonl }} }} ]
"""


class Payments:
    """The writer, and the truth."""

    def __init__(self, binary, root, names):
        self.program = Program(binary, root / "writer", WRITER.format(**names))
        self.rows = []
        self.file = self.program.folder / "rows.csv"
        self.file.write_text("series,n,ts\n")
        self.random = random.Random(7)
        self.program.start()

    def add(self, count):
        with open(self.file, "a", encoding="utf-8") as out:
            for _ in range(count):
                at = START_S + STEP_S * len(self.rows)
                card, amount = f"card{self.random.randrange(KEYS)}", self.random.randrange(1, 1000)
                self.rows.append((at, card, amount))
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
                out.write(f"{card},{amount},{stamp}\n")

    def due(self, index):
        at, card, _ = self.rows[index]
        inside = [amount for when, whose, amount in self.rows[:index + 1] if whose == card and at - 300 < when <= at]
        return len(inside), sum(inside)


def judged(member):
    path = member.folder / "judged.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def index_of(row):
    return (row["event_time_us"] // 1_000_000 - START_S) // STEP_S


def all_decided(payments, *members):
    return sum(len(judged(member)) for member in members) >= len(payments.rows)


def compare(payments, *members, incomplete=False):
    """Every row decided once; every window right, or said to be incomplete where that is allowed. How many were."""
    seen, lacking = collections.Counter(), 0
    for member in members:
        for row in judged(member):
            at = index_of(row)
            seen[at] += 1
            count, spent = payments.due(at)
            status = row.get("feature_status", {})
            lacking += bool(status)
            got = (row["outputs"]["n"], row["score"])
            if not status:
                check(got == (count, spent), f"row {at} by {member.folder.name}: {got}, due {(count, spent)}")
    check(set(seen) == set(range(len(payments.rows))) and set(seen.values()) == {1},
          f"{len(seen)} of {len(payments.rows)} rows, {sum(seen.values())} decisions")
    check(incomplete or lacking == 0, f"{lacking} decisions say that they lack events")
    return lacking


def owned(member):
    return len(member.samples("quickwater_source_lag_events", source="paid"))


def members_come_and_go(binary, root, broker):
    broker.topic("payments")
    names = {"brokers": broker.address, "topic": "payments"}
    payments = Payments(binary, root / "come", names)
    first, second = (Program(binary, root / "come" / name, MEMBER.format(more="", **names)) for name in ("a", "b"))
    try:
        payments.add(400)
        first.start()
        wait_for("the first has decided", lambda: all_decided(payments, first), first)
        second.start()
        wait_for("they share", lambda: owned(first) and owned(second) and owned(first) + owned(second) == 4, second)
        payments.add(400)
        wait_for("both have decided", lambda: all_decided(payments, first, second), second)
        first.stop()  # its partitions go to the second, which had them never, or before
        payments.add(400)
        wait_for("the second has decided", lambda: all_decided(payments, first, second), second)
        first.start()  # and come back to one whose memory is old
        wait_for("they share", lambda: owned(first) and owned(second) and owned(first) + owned(second) == 4, first)
        payments.add(400)
        wait_for("both have decided", lambda: all_decided(payments, first, second), first)
        check(len(judged(second)) > 400 and len(judged(first)) > 400, "both had a part")
        said = first.stderr.read_text() + second.stderr.read_text()
        check("records are read again" in said and "is rebuilt" in said, said[-2000:])
        check(second.metric("quickwater_source_rebuilding_events") == 0, "nothing is left to rebuild")
        for program in (first, second, payments.program):
            program.stop()
        compare(payments, first, second)
    finally:
        for program in (first, second, payments.program):
            program.__exit__()


def what_is_not_read_again_is_said(binary, root, broker):
    broker.topic("bounded")
    names = {"brokers": broker.address, "topic": "bounded"}
    payments = Payments(binary, root / "bounded", names)
    first, second = (Program(binary, root / "bounded" / name, MEMBER.format(more=more, **names))
                     for name, more in (("a", ""), ("b", "rebuild_max: 3,")))
    try:
        payments.add(400)
        first.start()
        wait_for("the first has decided", lambda: all_decided(payments, first), first)
        first.stop()
        second.start()
        wait_for("it has its partitions", lambda: owned(second) == 4, second)
        second.stop()
        second.start()  # what it lacks it knows after a start, too
        payments.add(600)
        wait_for("the second has decided", lambda: all_decided(payments, first, second), second)
        changed = second.file.read_text().replace("windows: [5m]", "windows: [5m, 2m]")
        second.stop()
        second.file.write_text(changed)  # a view that is built anew lacks them as well
        second.start()
        payments.add(50)
        wait_for("the second has decided", lambda: all_decided(payments, first, second), second)
        for program in (second, payments.program):
            program.stop()
        lacking = compare(payments, first, second, incomplete=True)
        check(0 < lacking < 500, f"{lacking} decisions say that they lack events")
        journal = second.call("log", "journal", second.file, "--data", second.folder / "data")[1]
        check("view_incomplete" in journal, journal[-2000:])
    finally:
        for program in (first, second, payments.program):
            program.__exit__()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    arguments = parser.parse_args()
    if "QUICKWATER_KAFKA" not in os.environ:
        print("QUICKWATER_KAFKA is not set: there is no Kafka on this machine")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="qw_takeover_") as place:
        root = pathlib.Path(place)
        broker = Broker(root / "broker")
        broker.start()
        try:
            run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, root, broker))
                        for case in (members_come_and_go, what_is_not_read_again_is_said)))
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
