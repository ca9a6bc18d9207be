"""Aim: members of a group that write to a topic of their own cluster deliver what is decided on each record once,
whoever is killed, frozen, or comes back with rows that it never sent; what one of them left undone the next does.

Two real programs of one group, a broker of its own, a writer that puts rows on the topic all the time, and a reader
of committed messages that notes every output. The members die at named points of a delivery, at any moment, or are
frozen for longer than the group waits, and return; the last one that dies does not. Each decision goes to a topic of
its own, one of them for some rows only. At the end each row has each of its outputs once, with the right values; what
both members decided has the same action id from both.

  group_test.py PROGRAM [--seed S]
"""
import argparse
import collections
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
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kafka_test import WRITER, Broker
from program import Program, check, run_cases, wait_for

CARDS, STEP_S, START_S, SESSION_S = 12, 7, 1_700_000_000, 6
LARGE = 700  # what the second decision is for
POINTS = ["outbox.before_send", "kafka_sink.before_membership", "kafka_sink.before_commit", "outbox.before_erase",
          "commit.after"]
MEMBER = """
app: {name}
data: data
server: {{ port: 0 }}
sources:
  - name: paid
    kafka: {{ brokers: "{brokers}", topic: paid, group: judges, client: {{ session.timeout.ms: "6000" }} }}
    event_time: event_time_us
    event_time_format: epoch_us
    schema: {{ key: string, score: double, event_time_us: timestamp }}
features:
  - view: card
    from: paid
    key: key
    windows: [5m]
    aggregates: {{ spent: sum(score) }}
models:
  - {{ name: plain, key: key, rules: {{ score: "card.spent_5m" }} }}
decisions:
  - name: judged
    on: paid
    model: plain
    sinks:
      - {{ name: judged, kafka: {{ brokers: "{brokers}", topic: judged }} }}
      - {{ name: told, log: {{ path: told.jsonl }} }}
  - name: large
    on: paid
    model: plain
    when: "score >= {large}"
    sinks: [ {{ name: large, kafka: {{ brokers: "{brokers}", topic: large }} }} ]
"""
READER = """
app: reader-{topic}
data: data
server: {{ port: 0 }}
sources:
  - name: out
    kafka: {{ brokers: "{brokers}", topic: {topic}, group: reader-{topic} }}
    event_time: event_time_us
    event_time_format: epoch_us
    allowed_lateness: 30d
    schema: {{ key: string, action_id: string, score: double, event_time_us: timestamp }}
models:
  - {{ name: plain, key: key, rules: {{ score: "score" }} }}
decisions:
  - name: seen
    on: out
    model: plain
    output: {{ id: "action_id" }}
    sinks: [ {{ log: {{ path: seen.jsonl }} }} ]
"""


def lines_of(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def index_of(row):
    return (row["event_time_us"] // 1_000_000 - START_S) // STEP_S


class Payments:
    """Rows on the topic, as long as it is wanted, and the truth about them."""

    def __init__(self, binary, root, broker):
        self.program = Program(binary, root / "writer", WRITER.format(brokers=broker.address, topic="paid"))
        self.rows, self.random, self.ended = [], random.Random(7), threading.Event()
        self.thread = threading.Thread(target=self.append)

    def start(self):
        self.program.start()
        self.thread.start()

    def append(self):
        with open(self.program.folder / "rows.csv", "w", encoding="utf-8") as out:
            out.write("series,n,ts\n")
            while not self.ended.wait(0.05):
                for _ in range(5):
                    at = START_S + STEP_S * len(self.rows)
                    card, amount = f"card{self.random.randrange(CARDS)}", self.random.randrange(1, 1000)
                    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
                    out.write(f"{card},{amount},{stamp}\n")
                    self.rows.append((at, card, amount))
                out.flush()

    def end(self):
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()

    def spent(self, index):
        at, card, _ = self.rows[index]
        reach = range(max(0, index - 300 // STEP_S), index + 1)
        return sum(self.rows[i][2] for i in reach if self.rows[i][1] == card and at - 300 < self.rows[i][0] <= at)

    def due(self, topic):
        return {i for i, row in enumerate(self.rows) if topic == "judged" or row[2] >= LARGE}


class Group:
    def __init__(self, binary, root, broker):
        for topic in ("paid", "judged", "large"):
            broker.topic(topic)
        names = {"brokers": broker.address, "large": LARGE}
        self.payments = Payments(binary, root, broker)
        self.members = [Program(binary, root / name, MEMBER.format(name=name, **names)) for name in ("a", "b")]
        self.readers = {topic: Program(binary, root / f"reader_{topic}",
                                       READER.format(topic=topic, brokers=broker.address))
                        for topic in ("judged", "large")}
        self.superseded = 0

    def programs(self):
        return [*self.members, *self.readers.values(), self.payments.program]

    def seen(self, topic):
        return lines_of(self.readers[topic].folder / "seen.jsonl")

    def owned(self, member):
        return len(member.samples("quickwater_source_lag_events", source="paid"))

    def decided(self, member):
        return member.metric("quickwater_decisions_total")

    def shared(self):
        """Until both have partitions and decide."""
        wait_for("they share", lambda: [self.owned(one) for one in self.members] == [2, 2], self.members[0])
        for one in self.members:
            before = self.decided(one)
            wait_for("it decides", lambda: self.decided(one) > before, one)

    def goes_on_alone(self, member):
        wait_for("it has all", lambda: self.owned(member) == 4, member)
        before = self.decided(member)
        wait_for("it goes on", lambda: self.decided(member) > before + 20, member)

    def decided_by_both(self):
        told = [{index_of(row) for row in lines_of(one.folder / "told.jsonl")} for one in self.members]
        return len(told[0] & told[1])

    def note_superseded(self, member):
        self.superseded += member.metric("quickwater_outbox_superseded_total")

    def whole(self, topic):
        return {index_of(row) for row in self.seen(topic)} >= self.payments.due(topic)

    def compare(self):
        for topic in self.readers:
            seen = self.seen(topic)
            times = collections.Counter(index_of(row) for row in seen)
            due = self.payments.due(topic)
            twice = sorted(index for index, count in times.items() if count > 1)
            check(not twice, f"{topic}: {len(twice)} of {len(due)} rows have an output twice: {twice[:5]}")
            check(set(times) == due, f"{topic}: {len(due - set(times))} are missing, {len(set(times) - due)} too many")
            wrong = [index_of(row) for row in seen if row["score"] != self.payments.spent(index_of(row))]
            check(not wrong, f"{topic}: {len(wrong)} of {len(seen)} values are wrong: {wrong[:5]}")
            check(len({row["outputs"]["id"] for row in seen}) == len(seen), f"{topic}: one action id for two rows")
        sent = {index_of(row): row["outputs"]["id"] for row in self.seen("judged")}
        told = [{index_of(row): row["action_id"] for row in lines_of(one.folder / "told.jsonl")}
                for one in self.members]
        for ids in told:
            check(all(sent[index] == ids[index] for index in ids), "the members name a row differently")
        return self.decided_by_both()


def each_output_once(binary, root, broker, seed):
    group, dice = Group(binary, root, broker), random.Random(seed)
    try:
        for program in [*group.readers.values(), *group.members]:
            program.start()
        group.payments.start()
        group.shared()
        for turn, point in enumerate([*POINTS, None, "frozen"]):
            victim, other = group.members[turn % 2], group.members[1 - turn % 2]
            if point == "frozen":
                victim.process.send_signal(signal.SIGSTOP)
                group.goes_on_alone(other)
                victim.process.send_signal(signal.SIGCONT)
                group.shared()
                continue
            if point is not None:
                before = group.decided_by_both()
                victim.stop()  # in order, under load: nothing is decided again
                group.goes_on_alone(other)
                check(group.decided_by_both() == before, "what was handed over in order was decided again")
                victim.start(f"{point}:{dice.randint(20, 60)}")
                check(victim.wait() == -signal.SIGKILL, f"{point}: {victim.output()[-2000:]}")
            else:
                victim.kill()
            group.goes_on_alone(other)
            victim.start()
            group.shared()
            group.note_superseded(victim)
        last, left = group.members
        last.kill()  # for good: nothing of what it had undone is missing
        group.goes_on_alone(left)
        group.payments.end()
        for topic in group.readers:
            wait_for(lambda: f"all are in {topic}: {len(group.seen(topic))} of {len(group.payments.due(topic))}; "
                     f"{left.output()[-1500:]}", lambda: group.whole(topic), group.readers[topic])
        last.start()  # what it brings is old
        wait_for("nothing waits", lambda: group.owned(last) and
                 all(one.metric("quickwater_outbox_waiting_rows") == 0 for one in group.members), last)
        group.note_superseded(last)
        for program in group.programs():
            program.stop()
        both = group.compare()
        check(both > 0 and group.superseded > 0,
              f"{both} rows decided by both, {group.superseded} dropped: nothing was tried")
        print(f"seed {seed}: {len(group.payments.rows)} rows, {both} decided by both, {group.superseded:.0f} dropped")
    finally:
        group.payments.end()
        for program in group.programs():
            program.__exit__()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if "QUICKWATER_KAFKA" not in os.environ:
        print("QUICKWATER_KAFKA is not set: there is no Kafka on this machine")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="qw_group_") as place:
        root = pathlib.Path(place)
        broker = Broker(root / "broker")
        broker.start()

        def case():
            each_output_once(arguments.program, root, broker, arguments.seed)
        case.__name__ = each_output_once.__name__
        try:
            run_cases(case)
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
