"""Aim: through Kafka each decision arrives exactly once, whoever is killed or away.

Two real programs and a broker of its own. The writer replays a file and sends its decisions to a topic with the kafka
sink; the reader takes that topic in with the kafka source (which sees committed messages only) and decides on each.
Both are killed at named fail points; in another case the broker is missing at the start, stopped in the middle, and
frozen for longer than the group's patience. At the end the reader must have decided exactly once on each of the
writer's decisions, in the order of each key.

  kafka_test.py PROGRAM [--kills N] [--seed S]
"""
import argparse
import collections
import functools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from program import Program, eventually, run_cases

ROWS, SERIES, PARTITIONS = 3000, 8, 4
WRITER_POINTS = ["kafka_sink.before_commit", "outbox.after_send", "outbox.before_erase", "outbox.before_send",
                 "commit.after"]
READER_POINTS = ["commit.before", "commit.after"]
SESSION_S = 6
ENGINE = pathlib.Path(os.environ.get("QUICKWATER_SOURCE_DIR", ".")) / "tools/engines/kafka.sh"

WRITER = """
app: writer-{topic}
data: data
server: {{ port: 0 }}
sources:
  - name: rows
    file: {{ path: rows.csv, mode: replay, speed: {speed} }}
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


def metric(program, name):
    """The sum of a metric's samples."""
    with urllib.request.urlopen(f"http://127.0.0.1:{program.port()}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


class Pair:
    """The writer and the reader of one topic."""

    def __init__(self, binary, root, broker, topic, speed):
        names = {"brokers": broker.address, "topic": topic, "speed": speed}
        self.writer = Program(binary, root / topic / "writer", WRITER.format(**names))
        self.reader = Program(binary, root / topic / "reader", READER.format(**names))
        with open(self.writer.folder / "rows.csv", "w") as out:
            out.write("series,n,ts\n")
            for n in range(ROWS):
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + n))
                out.write(f"s{n % SERIES},{n},{stamp}\n")

    def arrived(self):
        """How many different decisions the reader has sent on."""
        path = self.reader.folder / "back.jsonl"
        if not path.exists():
            return 0
        return len({json.loads(line)["outputs"]["id"] for line in path.read_text().splitlines() if line.endswith("}")})

    def finish(self):
        """Waits until all has gone through both, and compares."""
        assert eventually(lambda: self.arrived() >= ROWS), (
            f"{self.arrived()} of {ROWS} arrived; writer: {self.writer.output()[-1500:]} "
            f"reader: {self.reader.output()[-1500:]}")
        self.writer.stop()
        self.reader.stop()
        sent, got = self.writer.log("decisions"), self.reader.log("decisions")
        assert len(sent) == ROWS, f"{len(sent)} decisions of {ROWS} rows"
        ids = collections.Counter(one["outputs"]["id"] for one in got)
        twice = [one for one, times in ids.items() if times > 1]
        assert not twice, f"{len(twice)} action ids arrived twice: {twice[:3]}"
        assert len(ids) == ROWS, f"{len(ids)} action ids of {ROWS} rows"
        order = collections.defaultdict(list)
        for one in got:
            order[one["key"]].append(one["score"])
        for key, scores in order.items():
            assert scores == sorted(scores), f"the order of {key} is lost"


def killed(binary, root, broker, kills, seed):
    broker.topic("killed")
    pair = Pair(binary, root, broker, "killed", speed=60)
    dice = random.Random(seed)
    hit = collections.Counter()
    pair.writer.start()
    pair.reader.start()
    for turn in range(kills):
        victim, points = ((pair.writer, WRITER_POINTS), (pair.reader, READER_POINTS))[turn % 3 == 2]
        victim.kill()
        point = points[(turn - turn // 3) % len(points)]
        victim.start(f"{point}:{dice.randint(1, 15)}")
        try:
            code = victim.wait(10)
            assert code == -signal.SIGKILL, f"ended with {code}: {victim.output()[-2000:]}"
            hit[point] += 1
        except subprocess.TimeoutExpired:
            victim.kill()  # the moment did not come: somewhere else, then
        victim.start()
    pair.finish()
    assert hit["kafka_sink.before_commit"] and hit["outbox.before_erase"], f"the moments were missed: {hit}"
    print(f"seed {seed}: {kills} kills ({dict(hit)}), {ROWS} action ids once each")


def broker_away(binary, root, broker):
    pair = Pair(binary, root, broker, "away", speed=100)
    broker.stop()
    pair.writer.start()
    pair.reader.start()
    for program in (pair.writer, pair.reader):
        assert eventually(lambda: "start the broker or correct `brokers`" in program.output()), program.output()[-2000:]
    # What does not need the broker goes on.
    assert eventually(lambda: metric(pair.writer, "quickwater_decisions_total") > 0), "the writer stands still"
    broker.start()
    assert eventually(lambda: pair.arrived() > 0), f"nothing arrives: {pair.reader.output()[-2000:]}"
    broker.stop()
    assert eventually(lambda: pair.reader.output().count("waiting:") >= 2), pair.reader.output()[-2000:]
    broker.start()
    assert eventually(lambda: pair.reader.output().count("back again") >= 2), pair.reader.output()[-2000:]
    broker.signal(signal.SIGSTOP)
    time.sleep(SESSION_S + 2)  # how long it is away, no wait for anything
    broker.signal(signal.SIGCONT)
    pair.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=12)
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
            run_cases(
                functools.wraps(killed)(
                    lambda: killed(arguments.program, root, broker, arguments.kills, arguments.seed)),
                functools.wraps(broker_away)(lambda: broker_away(arguments.program, root, broker)))
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
