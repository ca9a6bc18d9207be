"""Aim: no damage to a file of the data folder goes unnoticed: the start is refused with the place and the way to mend,
or nothing is missing; `doctor` says the same, `--accept-loss` goes on and the journal tells of what. What is nobody's
is left.

The real program on a stopped application and on a killed one; each case damages one file of a copy in one way. What
must be there is counted from the input.

  damage_test.py PROGRAM [CASE ...]
"""
import functools
import json
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, check, run_cases, wait_for

APP = """app: damage
server: { port: 0 }
sources:
  - name: events
    file: { path: events.jsonl, mode: tail }
    event_time: ts
    event_time_format: epoch_ms
    schema: { id: string, amount: double, ts: timestamp }
segments: { size: SIZE, age: 1h, every: 1s }
models:
  - { name: plain, rules: { score: "coalesce(amount, -1.0)" } }
decisions:
  - { name: each, on: events, model: plain, output: { who: id } }
"""
ROWS = 1500
BEGIN_MS = 1_700_000_000_000


def feed(folder, begin, end):
    with open(folder / "events.jsonl", "a") as out:
        for number in range(begin, end):
            out.write(json.dumps({"id": f"e{number}", "amount": number % 7, "ts": BEGIN_MS + number * 1000}) + "\n")


def made(binary, folder):
    """Segments, then records that lie in the database alone; the folder as a stop and as a kill leave it."""
    with Program(binary, folder / "app", APP.replace("SIZE", "20KB")) as program:
        feed(program.folder, 0, ROWS // 2)
        program.start()
        wait_for("segments", lambda: all(program.metric("quickwater_segments_rolled_total", log=log) >= 1
                                         for log in ("events", "decisions")), program)
        program.stop()
        program.file.write_text(APP.replace("SIZE", "16MB"))
        feed(program.folder, ROWS // 2, ROWS)
        program.start()
        wait_for("all is read", lambda: decided_now(program) >= ROWS // 2, program)
        program.stop()
        shutil.copytree(program.folder, folder / "stopped")
        feed(program.folder, ROWS, ROWS + 50)
        program.start()
        wait_for("the rest is read", lambda: decided_now(program) >= 50, program)
        program.kill()
        shutil.copytree(program.folder, folder / "killed")
    return {"stopped": ROWS, "killed": ROWS + 50}


def decided_now(program):
    return program.metric("quickwater_stage_latency_seconds_count", stage="durable")


def biggest(data, pattern):
    found = [path for path in data.glob(pattern) if path.is_dir() or path.stat().st_size > 0]
    return max(found, key=lambda path: (path.stat().st_size, path.name), default=None)


def flip(where):
    def damage(path):
        bytes_ = bytearray(path.read_bytes())
        bytes_[int((len(bytes_) - 1) * where)] ^= 0x40
        path.write_bytes(bytes_)
    return damage


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def gone(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


WAYS = {"flipped": flip(0.5), "flipped near its end": flip(0.97), "cut": cut, "empty": empty, "gone": gone}
REFUSED, WHOLE, NOTICED = "refused", "whole", "refused or whole"
# File of the data folder, what is done to it, what a start does.
TABLE = [
    ("db/*.log", "flipped", REFUSED), ("db/*.log", "flipped near its end", REFUSED), ("db/*.log", "cut", REFUSED),
    ("db/*.log", "empty", REFUSED), ("db/*.log", "gone", REFUSED),
    ("db/*.sst", "cut", REFUSED), ("db/*.sst", "gone", REFUSED),
    ("db/MANIFEST-*", "flipped", REFUSED), ("db/MANIFEST-*", "cut", REFUSED), ("db/MANIFEST-*", "empty", REFUSED),
    ("db/MANIFEST-*", "gone", REFUSED), ("db/CURRENT", "empty", REFUSED), ("db/CURRENT", "gone", REFUSED),
    ("db/IDENTITY", "flipped", WHOLE), ("db/IDENTITY", "gone", WHOLE),
    ("db/OPTIONS-*", "empty", WHOLE), ("db/OPTIONS-*", "gone", WHOLE),
    ("db", "gone", REFUSED), ("db-end", "flipped", WHOLE), ("db-end", "empty", WHOLE), ("db-end", "gone", WHOLE),
    ("segments/events*.parquet", "cut", REFUSED), ("segments/decisions*.parquet", "empty", REFUSED),
    ("segments/decisions*.parquet", "gone", REFUSED), ("segments", "gone", REFUSED),
    ("segments/views.sql", "cut", WHOLE), ("segments/views.sql", "gone", WHOLE),
    ("registry.sqlite", "cut", REFUSED), ("registry.sqlite", "empty", REFUSED), ("registry.sqlite", "gone", REFUSED),
    ("registry.sqlite", "flipped", NOTICED),
    ("FORMAT", "empty", REFUSED), ("FORMAT", "gone", REFUSED), ("FORMAT", "flipped", REFUSED),
    ("LOCK", "gone", WHOLE), ("in_work", "empty", WHOLE), ("in_work", "flipped", WHOLE), ("crashes", "gone", WHOLE),
]
# What --accept-loss cannot go on without: the database's own tables and its list of files.
BEYOND = ("db/*.sst", "db/MANIFEST-*", "db/CURRENT")


def start_and_count(program, *arguments):
    """(None, decisions in its log, what it said) or (exit code, 0, what it said)."""
    program.start(None, *arguments)
    if program.port() is None:
        return program.wait(), 0, program.output()
    program.stop()
    return None, len(program.log("decisions")), program.output()


def one(binary, folder, base, pattern, way, wanted, rows):
    shutil.rmtree(folder / "app", ignore_errors=True)
    shutil.copytree(folder / base, folder / "app")
    data = folder / "app/data"
    path = biggest(data, pattern)
    if path is None:
        return
    WAYS[way](path)
    name = f"{base}: {pattern} {way}"
    program = Program(binary, folder / "app")
    with program:
        doctor, said, _ = program.call("doctor", program.file)
        code, decisions, words = start_and_count(program)
        if code is None:
            check(wanted != REFUSED, f"{name}: it starts; {decisions} of {rows} decisions")
            check(decisions == rows, f"{name}: {decisions} of {rows} decisions without a word: {words}")
            return
        check(wanted != WHOLE and code == 6, f"{name}: exit {code}: {words}")
        check(doctor == 6 and "how to mend" in said, f"{name}: doctor exits {doctor}: {said}")
        check("how to mend" in words and (path.name in words or "data/db" in words), f"{name}: {words}")
        again, _, _ = start_and_count(program)
        check(again == 6, f"{name}: the second start does not refuse: {again}")
        if pattern in BEYOND:
            return
        code, _, words = start_and_count(program, "--accept-loss")
        check(code is None, f"{name}: --accept-loss exits {code}: {words}")
        told = [entry["body"] for entry in program.log("journal") if entry["body"].get("phase") == "loss_accepted"]
        check(told, f"{name}: the journal tells nothing of what was given up")
        code, _, words = start_and_count(program)
        check(code is None, f"{name}: after it was accepted: exit {code}: {words}")


def every_file_in_every_way(binary, folder):
    rows = made(binary, folder)
    for base in ("stopped", "killed"):
        for pattern, way, wanted in TABLE:
            if base == "stopped" or pattern.startswith(("db/*.log", "in_work")):
                one(binary, folder, base, pattern, way, wanted, rows[base])


def a_flipped_bit_gives_no_wrong_answer(binary, folder):
    made(binary, folder)
    with Program(binary, folder / "stopped") as program:
        data = program.folder / "data"
        question = ("query", "--json", "select count(*) n, sum(amount) s from events_events", "--data", data)
        code, right, _ = program.call(*question)
        check(code == 0 and json.loads(right)["n"] > 0, right)
        path = biggest(program.folder / "data", "segments/events*.parquet")
        whole = path.read_bytes()
        for where in (0.01, 0.2, 0.4, 0.6, 0.8, 0.99):
            flip(where)(path)
            code, answer, words = program.call(*question)
            check(code == 6 and path.name in words, f"flipped at {where}: exit {code}: {answer} {words}")
            code, _, _ = program.call("query", "select count(*) from journal", "--data", program.folder / "data")
            check(code == 0, "a question that reads other files is answered")
            check(program.call("log", "decisions", program.file)[0] == 0, "decisions are whole")
            doctor, said, _ = program.call("doctor", "--json", program.file)
            found = [entry for entry in json.loads(said) if entry["health"] == "damaged"]
            check(doctor == 6 and len(found) == 1 and path.name in found[0]["part"], said)
            path.write_bytes(whole)
        check(program.call("doctor", program.file)[0] == 0, "whole again")


def what_is_damaged_can_be_given_up(binary, folder):
    """A flipped byte refuses no start; whoever goes on without what is lost is rid of it."""
    made(binary, folder)
    with Program(binary, folder / "stopped") as program:
        data = program.folder / "data"
        question = ("query", "--json", "select count(*) n from decisions", "--data", data)
        all_there = json.loads(program.call(*question)[1])["n"]
        (program.folder / "events.jsonl").write_text("")  # a copied file is another one, and would be read
        path = biggest(data, "segments/decisions*.parquet")
        flip(0.5)(path)
        program.start()
        program.said("runs; the page is at")
        code, said, _ = program.call("doctor", program.file)
        check(code == 6 and path.name in said, f"a running program's segments are examined: {code} {said}")
        program.stop()
        ended, _, words = start_and_count(program, "--accept-loss")
        check(ended is None and path.name in words, f"{ended} {words}")
        check((data / "lost" / path.name).exists() or list((data / "lost").glob("*")), "it is put aside")
        code, answer, words = program.call(*question)
        check(code == 0 and 0 < json.loads(answer)["n"] < all_there, f"{code} {answer} {words}")
        check(program.call("doctor", program.file)[0] == 0, "whole again")
        journal = program.call("log", "journal", program.file)[1]
        check("loss_accepted" in journal and path.name in journal, journal[-1500:])
        rest = biggest(data, "segments/events*.parquet")
        rest.unlink()
        code, answer, words = program.call("query", "select count(*) from events_events", "--data", data)
        check(code == 6 and rest.name in words and "accept-loss" in words, f"{code} {answer} {words}")


def a_running_program_says_what_was_not_examined(binary, folder):
    made(binary, folder)
    with Program(binary, folder / "stopped") as program:
        program.start()
        program.said("runs; the page is at")
        code, said, _ = program.call("doctor", program.file)
        check(code == 0 and "nothing that was examined" in said and "not examined" in said, f"{code} {said}")


def files_of_others_stay(binary, folder):
    made(binary, folder)
    shutil.rmtree(folder / "app")
    with Program(binary, folder / "stopped") as program:
        data = program.folder / "data"
        own = [data / "segments/report.sql", data / "segments/mine.parquet", data / "notes.txt",
               data / "segments/events-notes.parquet", data / "segments/sub/x.parquet"]
        (data / "segments/sub").mkdir()
        for path in own:
            path.write_text("mine")
        # Of our naming, and nobody knows where its records are.
        stray = data / "segments/events-1-00000000000000900000-00000000000000900100.parquet"
        stray.write_text("records")
        code, _, words = start_and_count(program)
        check(code is None, words)
        check(all(path.read_text() == "mine" for path in own), "somebody's own files were touched")
        check((data / "lost" / stray.name).read_text() == "records" and stray.name in words, f"not kept: {words}")


if __name__ == "__main__":
    names = sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="qw-damage-") as root:
        cases = []
        for case in (every_file_in_every_way, a_flipped_bit_gives_no_wrong_answer,
                     what_is_damaged_can_be_given_up, a_running_program_says_what_was_not_examined,
                     files_of_others_stay):
            if not names or case.__name__ in names:
                place = pathlib.Path(root) / case.__name__
                place.mkdir()
                run = functools.partial(case, pathlib.Path(sys.argv[1]).resolve(), place)
                cases.append(functools.update_wrapper(run, case))
        run_cases(*cases)
