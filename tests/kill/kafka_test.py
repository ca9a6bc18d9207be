"""Aim: through Kafka each decision arrives exactly once, whoever is killed or away.

Two real programs and a broker of its own. The writer follows a file and sends its decisions to a topic with the kafka
sink; the reader takes that topic in with the kafka source (which sees committed messages only) and decides on each.
Both are killed at named fail points; in another case the broker is missing at the start, stopped in the middle, and
frozen for longer than the group's patience; in a third both are stopped while it is frozen. At the end the reader must
have decided exactly once on each of the writer's decisions, in the order of each key.

  kafka_test.py PROGRAM [--kills N] [--seed S]
"""
import argparse
import collections
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

SERIES, PARTITIONS = 8, 4
WRITER_POINTS = ["kafka_sink.before_commit", "outbox.after_send", "outbox.before_erase", "outbox.before_send",
                 "commit.after"]
READER_POINTS = ["commit.before", "commit.after"]
SESSION_S = 6
STOP_S = 50  # above what a stop may take: 10 s to leave the group, 30 s for a transaction and 5 s to abort it
ENGINE = pathlib.Path(os.environ.get("QUICKWATER_SOURCE_DIR", ".")) / "tools/engines/kafka.sh"

WRITER = """
app: writer-{topic}
data: data
stop_timeout: 45s
server: {{ port: 0 }}
sources:
  - name: rows
    file: {{ path: rows.csv, mode: tail }}
    format: csv
    event_time: ts
    schema: {{ series: string, n: int64, ts: timestamp }}
models:
  - {{ name: plain, key: series, rules: {{ score: "n * 1.0" }} }}
decisions:
  - name: out
    on: rows
    model: plain
    output: {{ again: "n" }}
    sinks: [ {{ kafka: {{ brokers: "{brokers}", topic: "{topic}" }} }} ]
"""
READER = """
app: reader
data: data
stop_timeout: 45s
server: {{ port: 0 }}
sources:
  - name: decided
    kafka: {{ brokers: "{brokers}", topic: "{topic}", group: "{topic}-reader",
              client: {{ session.timeout.ms: "6000" }} }}
    event_time: decided_at_us
    event_time_format: epoch_us
    allowed_lateness: 1d
    schema: {{ key: string, action_id: string, score: double, decided_at_us: timestamp }}
models:
  - {{ name: plain, key: key, rules: {{ score: "score" }} }}
decisions:
  - name: back
    on: decided
    model: plain
    output: {{ id: "action_id" }}
    sinks: [ {{ log: {{ path: back.jsonl }} }} ]
"""


def free_ports():
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


class Broker:
    """A broker of this test alone, which it may stop."""

    def __init__(self, folder):
        self.folder, (self.port, self.controller) = folder, free_ports()
        self.address = f"127.0.0.1:{self.port}"

    def engine(self, *arguments):
        subprocess.run(["bash", str(ENGINE), *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        self.engine("start", self.folder, self.port, self.controller)

    def stop(self):
        self.engine("stop", self.folder)

    def topic(self, name):
        self.engine("topic", self.port, name, PARTITIONS)

    def signal(self, number):
        os.kill(int((self.folder / "pid").read_text()), number)


class Pair:
    """The writer and the reader of one topic."""

    def __init__(self, binary, root, broker, topic):
        names = {"brokers": broker.address, "topic": topic}
        self.writer = Program(binary, root / topic / "writer", WRITER.format(**names))
        self.reader = Program(binary, root / topic / "reader", READER.format(**names))
        self.rows, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self.append)
        self.thread.start()

    def append(self):
        """Rows into the writer's file, as long as it is wanted."""
        with open(self.writer.folder / "rows.csv", "w") as out:
            out.write("series,n,ts\n")
            while not self.ended.wait(0.02):
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + self.rows))
                out.write(f"s{self.rows % SERIES},{self.rows},{stamp}\n")
                out.flush()
                self.rows += 1

    def end(self):
        self.ended.set()
        self.thread.join()

    def arrived(self):
        """How many different decisions the reader has sent on."""
        path = self.reader.folder / "back.jsonl"
        if not path.exists():
            return 0
        return len({json.loads(line)["outputs"]["id"] for line in path.read_text().splitlines() if line.endswith("}")})

    def finish(self):
        """Waits until all has gone through both, and compares."""
        self.end()
        wait_for(lambda: f"{self.rows} arrive; {self.arrived()} did; writer: {self.writer.output()[-1500:]}",
                 lambda: self.arrived() >= self.rows, self.reader)
        self.writer.stop()
        self.reader.stop()
        sent, got = self.writer.log("decisions"), self.reader.log("decisions")
        assert len(sent) == self.rows, f"{len(sent)} decisions of {self.rows} rows"
        ids = collections.Counter(one["outputs"]["id"] for one in got)
        twice = [one for one, times in ids.items() if times > 1]
        assert not twice, f"{len(twice)} action ids arrived twice: {twice[:3]}"
        assert len(ids) == self.rows, f"{len(ids)} action ids of {self.rows} rows"
        order = collections.defaultdict(list)
        for one in got:
            order[one["key"]].append(one["score"])
        for key, scores in order.items():
            assert scores == sorted(scores), f"the order of {key} is lost"


def killed(pair, broker, kills, seed):
    broker.topic("killed")
    dice = random.Random(seed)
    pair.writer.start()
    pair.reader.start()
    for turn in range(kills):
        victim, points = ((pair.writer, WRITER_POINTS), (pair.reader, READER_POINTS))[turn % 3 == 2]
        victim.kill()
        victim.start(f"{points[(turn - turn // 3) % len(points)]}:{dice.randint(1, 12)}")
        code = victim.wait()  # rows keep coming, so the moment does too
        assert code == -signal.SIGKILL, f"ended with {code}: {victim.output()[-2000:]}"
        victim.start()
    pair.finish()
    print(f"seed {seed}: {kills} kills, {pair.rows} action ids once each")


def broker_away(pair, broker):
    broker.stop()
    pair.writer.start()
    pair.reader.start()
    for program in (pair.writer, pair.reader):
        program.said("start the broker or correct `brokers`")
    # What does not need the broker goes on.
    wait_for("the writer decides", lambda: pair.writer.metric("quickwater_decisions_total") > 0, pair.writer)
    broker.start()
    wait_for("something arrives", lambda: pair.arrived() > 0, pair.reader)

    def said(what):
        return pair.reader.output().count(what)
    waits, returns = said("waiting:"), said("back again")
    broker.stop()
    wait_for("it waits again", lambda: said("waiting:") > waits, pair.reader)
    broker.start()
    wait_for("it is back again", lambda: said("back again") > returns, pair.reader)
    broker.signal(signal.SIGSTOP)
    time.sleep(SESSION_S + 2)  # how long it is away, no wait for anything
    broker.signal(signal.SIGCONT)
    pair.finish()


def stopped_while_frozen(pair, broker):
    """A stop does not wait for a broker that never answers, and what it could not tell the broker costs nothing."""
    broker.topic("frozen")
    pair.writer.start()
    pair.reader.start()
    wait_for("something arrives", lambda: pair.arrived() > 20, pair.reader)
    broker.signal(signal.SIGSTOP)
    try:
        for program in (pair.reader, pair.writer):
            program.process.send_signal(signal.SIGTERM)
        for program in (pair.reader, pair.writer):
            assert program.process.wait(STOP_S) == 0, program.output()[-2000:]
    finally:
        broker.signal(signal.SIGCONT)
    pair.writer.start()
    pair.reader.start()
    pair.finish()


def with_pair(name, case, binary, root, broker, *more):
    """The case, as run_cases() wants it; its programs end with it, whatever happens."""
    def run():
        pair = Pair(binary, root, broker, name)
        with pair.writer, pair.reader:
            try:
                case(pair, broker, *more)
            finally:
                pair.end()
    run.__name__ = case.__name__
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if "QUICKWATER_KAFKA" not in os.environ:
        print("QUICKWATER_KAFKA is not set: there is no Kafka on this machine")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="qw_kafka_") as place:
        root = pathlib.Path(place)
        broker = Broker(root / "broker")
        broker.start()
        try:
            run_cases(with_pair("killed", killed, arguments.program, root, broker, arguments.kills, arguments.seed),
                      with_pair("away", broker_away, arguments.program, root, broker),
                      with_pair("frozen", stopped_while_frozen, arguments.program, root, broker))
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
