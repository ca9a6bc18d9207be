"""Aim: kill -9 at any moment loses nothing, counts nothing twice and repeats no effect.

The real program reads generated records in 4 partitions (workload.py), from CSV files that grow or from a topic of
a real broker, tells its alerts and some decisions to several sinks with conditions, and heals by webhook and command.
An undisturbed run is the expected answer; that it decides on the right events, and tells each sink what its condition
says, is checked against an independent reading of the rules. Then runs with the same input are killed at seeded
moments or at named fail points, and started again until they are done; they are paused, away for seconds, and away for
hours (by the wall clock) while deliveries wait for a receiver. Afterwards every decision (features, score, outputs, by
key) must equal the undisturbed run's, the journal must hold the same alerts, the dead letters must be the same, each
once, and an external receiver that counts by sink and Idempotency-Key must have seen each effect: none lost, none new,
and none repeated more often than a kill in flight explains. A command runs at most once, and its end is in the journal:
what it did, that it is unknown, or that it never began.

  kill_test.py PROGRAM [--kills N] [--seed S] [--kafka FILL_TOPIC]     with --kafka: the broker is $QUICKWATER_KAFKA
"""
import argparse
import collections
import contextlib
import functools
import io
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import workload
from program import Program, run_cases, wait_for
from receiver import Receiver

LIMIT_S = 600
ROWS = 5000  # a partition
# Fail point -> the kill comes at a passage up to this one.
FAIL_POINTS = {"commit.before": 300, "commit.after": 300, "store.before_commit": 400, "store.after_commit": 400,
               "outbox.before_send": 40, "outbox.after_send": 40, "outbox.before_erase": 40,
               "heal.before_run": 10, "heal.after_run": 10,
               "segment.written": 6, "segment.renamed": 6, "segment.before_manifest": 6, "segment.after_manifest": 6}
KAFKA_FAIL_POINTS = {**FAIL_POINTS, "kafka.before_offsets": 2, "kafka.after_offsets": 2}
AWAY_S = 6  # of every other run once: longer than a clock may step unnoticed; so long is a pause
AWAY_HOURS = 3  # of the other runs
FILE_SOURCE = """file: { path: input, mode: tail }
    format: csv"""
# A static member takes its partitions up at once after a kill; another would wait for its own session to end.
KAFKA_SOURCE = """kafka:
      brokers: "BROKERS"
      topic: TOPIC
      group: TOPIC
      client: { group.instance.id: killed, session.timeout.ms: "30000" }
    format: json"""


def outbox_is_empty(program):
    waiting = program.samples("quickwater_outbox_waiting_rows") if program.port_now() else []
    return len(waiting) == workload.OUTBOXES and not any(waiting)


class Files:
    """The input as files, which grow at a pace while the program is killed, also by half a line."""
    points = FAIL_POINTS
    PACE = 3000  # rows per second

    def __init__(self, arguments, _root):
        self.files = workload.files(ROWS)
        self.writer = None

    def prepare(self, folder, paced):
        (folder / "input").mkdir()
        places = [folder / "input" / name for name in self.files]
        if paced:
            self.writer = threading.Thread(target=self.grow, args=(places,))
            self.writer.start()
        else:
            self.grow(places, pace=math.inf)
        return FILE_SOURCE

    def grow(self, places, pace=PACE):
        dice = random.Random(0)
        with contextlib.ExitStack() as opened:
            left = [(opened.enter_context(open(place, "wb", buffering=0)), io.BytesIO(self.files[place.name]))
                    for place in places]
            while left:
                sink, source = left.pop(0)
                piece = source.read(dice.randint(1, 2000))
                sink.write(piece)
                if piece:
                    left.append((sink, source))
                time.sleep(piece.count(b"\n") / pace)

    def told(self):
        """How far the input is written."""
        return "the files are being written" if self.writer and self.writer.is_alive() else "the files are whole"

    def put_away(self):
        if self.writer:
            self.writer.join()


class Topic:
    """The input as a topic of its own for each run, filled at a pace while the program is killed."""
    points = KAFKA_FAIL_POINTS
    PACE = 3000  # rows per second

    def __init__(self, arguments, root):
        self.fill = arguments.kafka
        self.brokers = os.environ["QUICKWATER_KAFKA"]
        self.messages = root / "messages"
        self.name = f"killed-{os.getpid()}-{time.time_ns()}"
        self.filler = None
        workload.write_messages(self.messages, ROWS)

    def prepare(self, folder, paced):
        topic = f"{self.name}-{folder.name}"
        with open(self.messages) as source:
            command = [self.fill, self.brokers, topic, str(workload.PARTITIONS), str(self.PACE if paced else 0)]
            self.filler = subprocess.Popen(command, stdin=source)
        return KAFKA_SOURCE.replace("BROKERS", self.brokers).replace("TOPIC", topic)

    def told(self):
        """How far the input is written."""
        code = self.filler.poll()
        return "the topic is being filled" if code is None else f"fill_topic ended with {code}"

    def put_away(self):
        if self.filler:
            code = self.filler.wait(LIMIT_S)
            assert code == 0, f"fill_topic ended with {code}"


def actions_left(program):
    """The actions of alerts that neither ended nor are known never to."""
    shown = json.loads(program.ask("/v1/alerts?limit=500"))["alerts"]
    assert len(shown) < 500, "more alerts than are asked for"
    return [action for alert in shown for action in alert["actions"] if action["state"] in ("pending", "started")]


def finish(program, inputs, receiver, env):
    """Until the last row of each partition had its effect, no effect is left to be told, and no action waits; then a
    clean stop."""
    receiver.set_away(False)
    program.start(env=env)

    def left():
        return f"the end of every partition ({receiver.count_ends()} came), no effect left to tell " \
            f"({program.samples('quickwater_outbox_waiting_rows')} wait) and no action " \
            f"({actions_left(program)[:3]}); {inputs.told()}"
    wait_for(left, lambda: receiver.count_ends() == workload.PARTITIONS and outbox_is_empty(program)
             and not actions_left(program), program, LIMIT_S)
    program.stop(LIMIT_S)
    # Every state is on disk now: the next start has nothing to replay.
    program.start(env=env)
    wait_for("it runs", program.port_now, program, LIMIT_S)
    program.stop(LIMIT_S)
    assert " 0 records read behind the checkpoints" in program.output(), f"left after a clean stop: {program.output()}"


Outcome = collections.namedtuple("Outcome", "decisions alerts dead_letters effects changes lines acts ends")


def read_acts(program, journal):
    """(the alerts for which the command ran; how each command's story ended in the journal, by alert)."""
    path = program.folder / "acts"
    acts = path.read_text().split() if path.exists() else []
    assert len(acts) == len(set(acts)), "a command ran twice"
    of_action, ends = {}, collections.defaultdict(list)
    for line in journal:
        kind, body = line["kind"], line["body"]
        if kind == "action_started" and body["heal"] == "act":
            of_action[body["action_id"]] = body["alert_id"]
        elif kind in ("action_finished", "action_unknown", "action_skipped") and body["action_id"] in of_action:
            ends[of_action[body["action_id"]]].append(kind)
    for alert in of_action.values():
        assert len(ends[alert]) == 1, f"the command for {alert} ended as {ends[alert]}"
        ran = {"action_finished": True, "action_skipped": False}.get(ends[alert][0], alert in acts)
        assert (alert in acts) == ran, f"the command for {alert} ended as {ends[alert]}, which it did not"
    return sorted(acts), {alert: kinds[0] for alert, kinds in ends.items()}


def read_lines(program):
    """What the log sink holds, by what it is about: at least once each, and broken only where a kill cut a line."""
    told = collections.defaultdict(set)
    for line in (program.folder / "higher.jsonl").read_text().splitlines():
        with contextlib.suppress(ValueError):
            body = json.loads(line)
            told[body["action_id"]].add((body["key"], body["event_seq"], body["inputs"]["value"]))
    assert all(len(each) == 1 for each in told.values()), "an action id stands for two lines"
    lines = {(key, seq): value for each in told.values() for key, seq, value in each}
    assert len(lines) == len(told), "a decision was written under two action ids"
    return lines


def by_place(effects):
    """Those of decisions by what they are about: an action id on a topic carries its name, another one in each run."""
    placed, ids = {}, {}
    for (path, action), told in effects.items():
        if path in workload.CONDITIONS:
            place, = {(effect[0], effect[1]) for effect in told}
            assert ids.setdefault((path, place), action) == action, f"{place} was told under two action ids"
            action = place
        placed[path, action] = told
    return placed


def outcome(program, receiver):
    decisions = {}
    for line in program.log("decisions"):
        key = (line["key"], line["event_seq"])
        assert key not in decisions, f"decided twice: {key}"
        decisions[key] = (line["event_time_us"], line["score"], line["warm"], line["inputs"], line["features"],
                          line["members"], line["outputs"])
    alerts, changes = [], {}
    journal = program.log("journal")
    for line in journal:
        if line["kind"].startswith("alert_"):
            body = line["body"]
            alerts.append((line["kind"], body["id"] if "id" in body else body["alert_id"]))
            changes[alerts[-1]] = {name: body.get(name) for name in ("series_id", "key", "severity", "at_us", "reason")}
    dead = [(line["reason"], line["raw"]) for line in program.log("dead-letters")]
    assert not any(line["kind"].startswith("delivery_") for line in journal), "a delivery was given up"
    return Outcome(decisions, sorted(alerts), sorted(dead), by_place(receiver.take()), changes, read_lines(program),
                   *read_acts(program, journal))


def check_reference(got):
    """The undisturbed run against the rules."""
    decided, dead = workload.expected(ROWS)
    times = collections.Counter((key, decision[0]) for (key, _), decision in got.decisions.items())
    assert times == decided, f"decisions on other events than the rules say: {len(times)} and {len(decided)}"
    assert len(got.dead_letters) == dead, f"{len(got.dead_letters)} dead letters, the rules say {dead}"
    assert len(got.alerts) > 50 and len(got.effects) > 100, f"{len(got.alerts)} alerts, {len(got.effects)} effects"
    for action, effects in got.effects.items():
        assert sum(effects.values()) == 1, f"{action} was told {effects} without a kill"
    fired = sorted(alert for kind, alert in got.alerts if kind == "alert_fired")
    assert got.acts == fired and set(got.ends.values()) == {"action_finished"}, \
        f"{len(fired)} alerts, {len(got.acts)} had their command, which ended {collections.Counter(got.ends.values())}"
    of_sink = collections.defaultdict(collections.Counter)
    for (path, _), effects in got.effects.items():
        of_sink[path].update((effect[0], effect[1]) for effect in effects)
    of_sink["higher.jsonl"].update(got.lines)
    for path, condition in workload.CONDITIONS.items():
        wanted = {place for place, decision in got.decisions.items() if condition(decision[3]["value"])}
        assert set(of_sink[path]) == wanted and len(wanted) > 10, \
            f"{path} was told of {len(of_sink[path])} decisions, its condition holds for {len(wanted)}"
    assert len(of_sink["/mend"]) == len(fired), f"{len(of_sink['/mend'])} healing webhooks for {len(fired)} alerts"


class Deck:
    """The fail points in random order, each before any comes again."""

    def __init__(self, points, dice):
        self.points, self.dice, self.left = sorted(points), dice, []

    def draw(self):
        if not self.left:
            self.left = self.dice.sample(self.points, len(self.points))
        return self.left.pop()


def pause(program, seconds):
    program.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    program.process.send_signal(signal.SIGCONT)


def run_with_kills(program, inputs, receiver, deck, dice, most, hours):
    """Kills up to `most` times; fewer when the run is done before. Returns the fail points (or None) that hit, and the
    environment in which the run goes on."""
    hits, env = [], {}
    away_after, paused_after = dice.randint(1, 4), dice.randint(1, 4)
    while len(hits) < most and receiver.count_ends() < workload.PARTITIONS:
        # Hours pass while deliveries wait: none of them is too old to be tried.
        receiver.set_away(hours and len(hits) == away_after - 1)
        name = deck.draw() if dice.random() < 0.5 else None
        program.start(f"{name}:{dice.randint(1, inputs.points[name])}" if name else None, env=env)
        # Long enough for states to reach the disk (replay_max is 1 s); now and then while it starts.
        starting = dice.random() < 0.2
        while not starting and not program.port_now() and program.wait(0.01) is None:
            pass
        if len(hits) == paused_after and program.wait(dice.uniform(0, 0.5)) is None:
            pause(program, AWAY_S)
        # A fail point that is not reached in a while: the run goes on, and is killed at some moment.
        code = program.wait(2.5 if name else dice.uniform(0, 0.4 if starting else 2.0))
        if code is None:
            name = None
            code = program.kill()
        assert code == -signal.SIGKILL, f"ended with {code}: {program.output()[-2000:]}"
        hits.append(name)
        if len(hits) == away_after and hours:
            env = {"QUICKWATER_CLOCK_AHEAD_S": str(AWAY_HOURS * 3600)}
        elif len(hits) == away_after:
            time.sleep(AWAY_S)
    return hits, env


def compare(expected, got, kills):
    for key, decision in expected.decisions.items():
        assert key in got.decisions, f"lost: the decision on {key}"
        assert got.decisions[key] == decision, f"differs at {key}: {got.decisions[key]} instead of {decision}"
    assert len(got.decisions) == len(expected.decisions), "there are decisions that nobody expected"
    lost, new = set(expected.alerts) - set(got.alerts), set(got.alerts) - set(expected.alerts)
    assert got.alerts == expected.alerts, \
        f"alerts differ; lost: {[(one, expected.changes[one]) for one in sorted(lost)[:5]]}; " \
        f"new: {[(one, got.changes[one]) for one in sorted(new)[:5]]}"
    assert got.dead_letters == expected.dead_letters, \
        f"dead letters differ, {len(got.dead_letters)} of {len(expected.dead_letters)}: " \
        f"{sorted(set(got.dead_letters) ^ set(expected.dead_letters))[:3]}"
    changed = set(got.effects) ^ set(expected.effects)
    assert not changed, f"effects lost or new: {sorted(changed, key=str)[:5]}"
    for action, effects in got.effects.items():
        assert set(effects) == set(expected.effects[action]), f"{action} had different effects: {effects}"
    # A sink has one request under way; only that one may be told again after a kill.
    told = sum(sum(effects.values()) for effects in got.effects.values())
    assert told <= len(got.effects) + workload.WEBHOOKS * kills, \
        f"{told} requests for {len(got.effects)} effects and {kills} kills"
    assert got.lines == expected.lines, f"lines differ: {sorted(set(got.lines) ^ set(expected.lines))[:5]}"
    assert set(got.acts) <= set(expected.acts), "a command ran for an alert that nobody expected"
    assert set(got.ends) == set(expected.ends), "a command's end is not recorded"


def run_all(arguments, root, receiver):
    inputs = (Topic if arguments.kafka else Files)(arguments, root)

    def one_run(name, most):
        folder = root / name
        folder.mkdir()
        source = inputs.prepare(folder, paced=most > 0)
        (folder / "act.sh").write_text(workload.ACT)
        program = Program(arguments.program, folder,
                          workload.APP.format(source=source, url=receiver.url, folder=folder))
        with program:
            hits, env = run_with_kills(program, inputs, receiver, deck, dice, most, hours=runs % 2 == 1)
            finish(program, inputs, receiver, env)
        inputs.put_away()
        return hits, outcome(program, receiver)

    dice = random.Random(arguments.seed)
    deck = Deck(inputs.points, dice)
    hits, runs = collections.Counter(), 0
    try:
        expected = one_run("undisturbed", 0)[1]
        check_reference(expected)
        while hits.total() < arguments.kills:
            of_run, got = one_run(f"killed{runs}", min(arguments.per_run, arguments.kills - hits.total()))
            compare(expected, got, len(of_run))
            hits.update(of_run)
            runs += 1
    finally:
        inputs.put_away()
    places = ", ".join(f"{count} {name or 'at a random moment'}" for name, count in hits.most_common())
    print(f"seed {arguments.seed}: {hits.total()} kills in {runs} runs ({places}); "
          f"{len(expected.decisions)} decisions, {len(expected.alerts)} alert changes, "
          f"{len(expected.dead_letters)} dead letters and {len(expected.effects)} effects equal each time")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--kafka", metavar="FILL_TOPIC")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--per-run", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="how long a step may take")
    arguments = parser.parse_args()
    globals()["LIMIT_S"] = arguments.limit_s
    if arguments.kafka and "QUICKWATER_KAFKA" not in os.environ:
        print("QUICKWATER_KAFKA=host:port is not set")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="qw_kill_") as place:
        run_cases(functools.wraps(run_all)(lambda: run_all(arguments, pathlib.Path(place), Receiver())))


if __name__ == "__main__":
    main()
