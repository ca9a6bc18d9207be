"""Aim: each bad input has a message that says what, where and how to mend it, is counted, and costs nothing else:
the good records beside it are decided.

The real program, each case in a folder of its own. Waits are for what the program writes (standard error, its log sink,
its metrics), with a deadline.

  bad_input_test.py PROGRAM [CASE ...]
"""
import functools
import itertools
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import program
from program import Skip, check, run_cases, wait_for

YEAR_MS = 365 * 86_400_000


class Program(program.Program):
    def run_to_end(self, *arguments):
        code, _, text = self.call("run", self.file, "--until-finished", *arguments)
        return code, text

    def decided(self):
        """The lines of the log sink so far."""
        path = self.folder / "decisions.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def wait_decided(self, count):
        wait_for(lambda: f"{count} decisions; there are {len(self.decided())}",
                 lambda: len(self.decided()) >= count, self)
        return self.decided()

    def wait_metric(self, count, name, **labels):
        """Counters follow what happened about once a second; this one never passes the number."""
        total = lambda: self.metric(name, **labels)
        wait_for(lambda: f"{count} of {name} {labels}; it says {total()}", lambda: total() >= count, self)
        check(total() == count, f"{name} {labels} says {total()}, it is {count}")

    def wait_dead_letters(self, count):
        self.wait_metric(count, "quickwater_dead_letters_total", source="events")


def app(sources, on="events", when=""):
    """An application that decides on each event of `on`, and tells it to decisions.jsonl."""
    condition = f"when: {when}, " if when else ""
    return f"""app: bad
server: {{ port: 0 }}
sources:
{sources}
models:
  - {{ name: plain, rules: {{ score: "coalesce(amount, -1.0)" }} }}
decisions:
  - {{ name: each, on: {on}, model: plain, {condition}output: {{ who: id, much: amount }},
      sinks: [ {{ log: {{ path: decisions.jsonl }} }} ] }}
"""


def file_source(name="events", mode="tail", more=""):
    return f"""  - name: {name}
    file: {{ path: {name}.jsonl, mode: {mode} }}
    event_time: ts
    event_time_format: epoch_ms
    schema: {{ id: string, amount: double, ts: timestamp }}
{more}"""


def ids(decisions):
    return [one["outputs"]["who"] for one in decisions]


def write_lines(path, lines):
    with open(path, "a") as out:
        for line in lines:
            out.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        out.flush()
        os.fsync(out.fileno())


def now_ms():
    return int(time.time() * 1000)


def good(identity, at_ms=None):
    return {"id": identity, "amount": 1.5, "ts": at_ms if at_ms is not None else now_ms()}


def free_port():
    """A port nobody listens on just now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def peak_bytes(program):
    """The most memory that it has held so far."""
    status = pathlib.Path(f"/proc/{program.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


def letters_of(program, count):
    letters = program.log("dead-letters")
    check(len(letters) == count, f"{count} dead letters expected: {letters}")
    return letters


def broken_app_file(make):
    text = app(file_source()).replace("event_time: ts", "event_tme: ts").replace("score:", "scor:")
    with make(text) as program:
        code, words = program.run_to_end()
        check(code == 3, f"exit code {code}")
        check("app.yaml:6:5: error: unknown key 'event_tme'" in words, words)
        check("did you mean 'event_time'?" in words, words)
        check("the rules do not say what 'score' is" in words, words)
        check(not (program.folder / "data").exists(), "a data folder was made")


def bad_expression(make):
    with make(app(file_source(), when="'amunt > 1'")) as program:
        code, words = program.run_to_end()
        check(code == 3, f"exit code {code}")
        check("app.yaml:13:52: error: no column or feature 'amunt'" in words, words)
        check("did you mean 'amount'?" in words, words)
        for command in (["validate"], ["log", "decisions"]):
            said = program.call(*command, str(program.folder / "app.yaml"))
            check(said[0] == 3 and "no column or feature 'amunt'" in said[2], f"{command}: {said}")


def negative_interval(make):
    with make(app(file_source("events") + "  - { name: machine, host: { interval: -1s } }\n")) as program:
        code, words = program.run_to_end()
        check(code == 3, f"exit code {code}")
        check("app.yaml:9:40: error: 'interval': the duration '-1s' is negative" in words, words)


def missing_file(make):
    with make(app(file_source(mode="read"))) as program:
        code, words = program.run_to_end()
        check(code == 1, f"exit code {code}")
        check("no such file" in words and "events.jsonl" in words and "check the path" in words, words)


def missing_broker(make):
    port = free_port()
    kafka = f"""  - name: orders
    kafka: {{ brokers: "127.0.0.1:{port}", topic: orders, group: g }}
    event_time: ts
    schema: {{ id: string, ts: timestamp }}
"""
    with make(app(kafka + file_source())) as program:
        program.start()
        program.said(rf"waiting: .*orders at 127\.0\.0\.1:{port}")
        write_lines(program.folder / "events.jsonl", [good(f"e{n}") for n in range(20)])
        check(ids(program.wait_decided(20)) == [f"e{n}" for n in range(20)], "other decisions")
        program.stop()


def port_in_use(make):
    with socket.socket() as held, make(app(file_source())) as program:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        code, words = program.run_to_end("--port", str(port))
        check(code == 4, f"exit code {code}: {words}")
        check(f"port {port} is already in use" in words and "--port" in words, words)
        check(not (program.folder / "data").exists(), "a data folder was made")


def second_process(make):
    with make(app(file_source())) as program:
        program.start()
        write_lines(program.folder / "events.jsonl", [good("before")])
        program.wait_decided(1)
        code, words = program.run_to_end()
        check(code == 4, f"exit code {code}: {words}")
        check(f"process {program.process.pid} has this data folder open" in words, words)
        check("give this one its own data folder" in words, words)
        code, _, words = program.call("log", "decisions", str(program.folder / "app.yaml"))
        check(code == 4 and "has this data folder open" in words, f"log: {code} {words}")
        write_lines(program.folder / "events.jsonl", [good("after")])
        check(ids(program.wait_decided(2)) == ["before", "after"], "the first process was disturbed")
        program.stop()


def wrong_type(make):
    with make(app(file_source())) as program:
        program.start()
        write_lines(program.folder / "events.jsonl", [
            good("a"), {"id": "b", "amount": "much", "ts": now_ms()}, {"id": 7, "amount": 1, "ts": now_ms()},
            "{ not json", '{"id": "c", "amount": None, "ts": 1}', '{"id": "d", "amount": 1, "ts": "yesterday"}',
            good("z")])
        check(ids(program.wait_decided(2)) == ["a", "z"], f"decided: {ids(program.decided())}")
        program.wait_dead_letters(5)
        program.stop()
        letters = letters_of(program, 5)
        for letter, part in zip(letters, ("column 'amount': double expected, found", "column 'id': string expected",
                                          "JSON", "JSON", "column 'ts'")):
            check(part in letter["reason"], f"'{part}' is not in {letter}")
            check("events.jsonl" in letter["position"], f"no place: {letter}")
        check('"much"' in letters[0]["raw"], f"not as it came: {letters[0]}")


def not_a_number(make):
    csv = file_source(more="    format: csv\n").replace("events.jsonl", "events.csv")
    with make(app(csv)) as program:
        program.start()
        write_lines(program.folder / "events.csv", ["id,amount,ts"] + [
            f"{name},{amount},{now_ms()}" for name, amount in
            (("a", "1"), ("b", "nan"), ("c", "-inf"), ("d", "1e999"), ("e", ""), ("z", "2"))])
        decided = program.wait_decided(6)
        check(ids(decided) == ["a", "b", "c", "d", "e", "z"], f"decided: {ids(decided)}")
        check(all(row["outputs"]["much"] is None for row in decided[1:5]), "what is no number, or not there, is null")
        nulled = program.metric("quickwater_nulled_values_total", source="events", reason="no_number")
        check(nulled == 3, f"{nulled} are counted")
        program.said("column 'amount': 'nan' is no number and counts as null")
        program.stop()
        letters_of(program, 0)


def year_ahead(make):
    with make(app(file_source())) as program:
        program.start()
        write_lines(program.folder / "events.jsonl", [good("a"), good("far", now_ms() + YEAR_MS), good("z")])
        # Had it moved the watermark, "z" would be late and not decided on.
        check(ids(program.wait_decided(2)) == ["a", "z"], f"decided: {ids(program.decided())}")
        program.wait_dead_letters(1)
        program.stop()
        reason = letters_of(program, 1)[0]["reason"]
        check("ahead of its arrival" in reason and "max_future is 60 s" in reason, reason)


def jumping_clock(make):
    with make(app(file_source(more="    allowed_lateness: 10s\n"))) as program:
        program.start()
        began = now_ms()
        lines = [good("a", began), good("hour_back", began - 3_600_000), good("second_back", began - 1000),
                 good("z", began + 1)]
        write_lines(program.folder / "events.jsonl", lines)
        decided = ids(program.wait_decided(3))
        check(decided == ["a", "second_back", "z"], f"decided: {decided}")
        for status, count in (("ok", 2), ("late_repaired", 1), ("late_dropped", 1)):
            program.wait_metric(count, "quickwater_events_total", source="events", status=status)
        program.stop()
        letters_of(program, 0)


def late_events(make):
    """What `late` says; more than 1% of them is told once, with the way to mend it."""
    for late, decides, letters in (("log", False, 0), ("decide", True, 0), ("dead_letter", False, 1)):
        with make(app(file_source(more=f"    allowed_lateness: 10s\n    late: {late}\n"))) as program:
            program.start()
            began = now_ms()
            write_lines(program.folder / "events.jsonl",
                        [good("a", began), good("hour_back", began - 3_600_000), good("z", began + 1)])
            decided = ids(program.wait_decided(3 if decides else 2))
            check(decided == (["a", "hour_back", "z"] if decides else ["a", "z"]), f"{late}: {decided}")
            program.wait_metric(1, "quickwater_events_total", source="events", status="late_dropped")
            program.stop()
            if letters_of(program, letters):
                reason = letters_of(program, letters)[0]["reason"]
                check("late: " in reason and "allowed_lateness is 10 s" in reason, reason)
            told = [one["body"] for one in program.log("journal") if one["body"].get("phase") == "late_events"]
            check(len(told) == 1, f"told {len(told)} times")
            check("1 of 3 events of source 'events'" in told[0]["title"], f"{told[0]}")
            check("raise allowed_lateness" in told[0]["detail"], f"{told[0]}")


def strangers_in_history(make):
    """Rows with a wrong time cost nobody else a decision, wherever they are, however little lateness is allowed."""
    for more in ("", "    allowed_lateness: 0s\n"):
        for at in (0, 1, 50, 99):
            with make(app(file_source(mode="read", more=more))) as program:
                began = now_ms() - 2 * YEAR_MS
                rows = [good(f"e{n}", began + n * 1000) for n in range(100)]
                rows[at:at] = [good(f"far{n}", began + YEAR_MS + n * 60_000) for n in range(3)]
                write_lines(program.folder / "events.jsonl", rows)
                code, text = program.run_to_end()
                check(code == 0, text)
                found = ids(program.decided())
                check(len(found) == 103, f"{more.strip()}, strangers at {at}: decided on {len(found)} of 103")


def senders_ahead(make):
    """Live, with the defaults: a sender 50 s ahead and one whose clock differs by 20 ms make nobody late."""
    with make(app(file_source())) as program:
        program.start()
        began = now_ms()
        rows = [good("ahead", began + 50_000)]
        rows += [good(f"e{n}", began - 3_000 + n + (20 if n % 2 else 0)) for n in range(200)]
        write_lines(program.folder / "events.jsonl", rows)
        check(len(program.wait_decided(201)) == 201, "decided on all")
        program.stop()


def ten_megabytes(make):
    with make(app(file_source())) as program:
        program.start()
        large = '{"id": "big", "amount": 1, "ts": 1, "x": "' + "y" * 10_000_000 + '"}'
        write_lines(program.folder / "events.jsonl", [good("a")])
        program.wait_decided(1)
        before = peak_bytes(program)
        write_lines(program.folder / "events.jsonl", [large, good("z")])
        check(ids(program.wait_decided(2)) == ["a", "z"], f"decided: {ids(program.decided())}")
        program.wait_dead_letters(1)
        # A decoder would refuse it by its length, too, but it is never held whole.
        grown = peak_bytes(program) - before
        check(grown < len(large), f"{grown} bytes more at its peak for a record of {len(large)}")
        program.stop()
        letter = letters_of(program, 1)[0]
        check("max_record_bytes" in letter["reason"], letter["reason"])
        check(len(letter["raw"]) <= 65536, f"{len(letter['raw'])} bytes of it are kept")


def full_disk(make):
    """The data folder is a file system of 96 MB, and commits need 64 MB free (StoreOptions::min_free_bytes)."""
    with make(app(file_source())) as program:
        data = program.folder / "data"
        data.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "quickwater-test", str(data)]
        try:
            mounted = subprocess.run(mount, capture_output=True, text=True)
        except OSError as error:
            raise Skip(f"mount: {error}") from error
        if mounted.returncode != 0:
            raise Skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
        try:
            fill_and_mend(program, data / "filler")
        finally:
            program.__exit__()
            subprocess.run(["umount", str(data)], check=True)


def fill_and_mend(program, filler):
    later = [f"e{n}" for n in range(50)]
    program.start()
    write_lines(program.folder / "events.jsonl", [good("before")])
    program.wait_decided(1)
    filler.write_bytes(b"\0" * (50 << 20))
    write_lines(program.folder / "events.jsonl", [good(each) for each in later])
    program.said(r"cannot commit; intake pauses and goes on by itself: .*free some disk space")
    wait_for(lambda: "refused commits are counted",
             lambda: program.metric("quickwater_store_commit_failures_total") > 0, program)
    check(ids(program.decided()) == ["before"], "an effect of what is not durable")
    filler.unlink()
    program.said("commits go on")
    check(ids(program.wait_decided(51)) == ["before"] + later, "lost or repeated")
    program.stop()


CASES = (broken_app_file, bad_expression, negative_interval, missing_file, missing_broker, port_in_use, second_process,
         wrong_type, not_a_number, year_ahead, jumping_clock, late_events, strangers_in_history,
         senders_ahead, ten_megabytes, full_disk)


def main(binary, names):
    with tempfile.TemporaryDirectory(prefix="quickwater_bad_input_") as root:
        numbers = itertools.count()

        def alone(case):
            return functools.wraps(case)(lambda: case(
                lambda text: Program(binary, pathlib.Path(root) / f"{case.__name__}{next(numbers)}", text)))
        run_cases(*(alone(case) for case in CASES if not names or case.__name__ in names))


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2:])
