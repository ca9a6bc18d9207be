"""Aim: a run to the end of its files says what became of every record and ends with a code a scheduler can act on; SQL
sees everything that is durable: right after such a run, of a program that was killed, and of one that runs.

Method: the real program over small files; the answers are counted from the files themselves.

  batch_test.py PROGRAM
"""
import argparse
import functools
import json
import pathlib
import signal
import tempfile

from bounded import Program as Bounded
from program import Program, check, run_cases, wait_for

APP = """
app: nightly
data: data
server: { port: 0 }
segments: { size: 10MB, age: 7d, every: 1h }
sources:
  - name: s
    file: { path: in.csv, mode: read }
    format: csv
    event_time: ts
    schema: { ts: timestamp, who: string, amount: double }
models:
  - { name: m, rules: { score: "1.0" } }
decisions:
  - { name: echo, on: s, model: m, output: { o_who: who, o_amount: amount } }
"""
GOOD = [f"2024-01-01T00:00:{number:02}Z,a,{number}" for number in range(40)]


def run_over(binary, folder, lines):
    app = Program(binary, folder, APP)
    (app.folder / "in.csv").write_text("\n".join(["ts,who,amount", *lines]) + "\n")
    return app, *app.call("run", app.file, "--until-finished")


def count(app, sql="select count(*) as n from decisions", *more):
    code, text, errors = app.call("query", sql, "--data", app.folder / "data", "--json", *more)
    check(code == 0 and "left out" not in errors, f"{code} {errors}")
    return [json.loads(line) for line in text.splitlines()]


def all_are_used(binary, root):
    app, code, _, said = run_over(binary, root / "good", GOOD)
    check(code == 0 and "40 records read" in said and "40 decisions" in said and "0 dead letters" in said, said)
    check(count(app) == [{"n": 40}], "SQL sees all, at once")
    code, _, said = app.call("run", app.file, "--until-finished")
    check(code == 0 and "0 records read" in said, said)


def some_cannot_be_used(binary, root):
    bad = ["yesterday,b,1", "2024-01-01T00:01:00Z,c,much", "tomorrow,b,2"]
    app, code, _, said = run_over(binary, root / "some", GOOD + bad)
    check(code == 7 and "43 records read" in said and "3 dead letters" in said, f"{code} {said}")
    check("2 dead letters of 's' like the first, " in said and "in.csv:41: " in said, said)
    check("yesterday" in said and "much" in said and "tomorrow" not in said, said)
    check("log dead-letters" in said, said)
    check(count(app, "select count(*) as n from dead_letters") == [{"n": 3}], "dead letters in SQL")


def none_can_be_used(binary, root):
    _, code, _, said = run_over(binary, root / "none", ["yesterday,b,1", "x", "tomorrow,b,2"])
    check(code == 1 and "of 3 records none could be used" in said, f"{code} {said}")
    app = Program(binary, root / "preamble", APP)
    (app.folder / "in.csv").write_text("Report generated 2024-01-01\n# units: EUR\nts,who,amount\n" + GOOD[0] + "\n")
    code, _, said = app.call("run", app.file, "--until-finished")
    check(code == 1 and "none could be used" in said, f"{code} {said}")


def stopped_before_the_end(binary, root):
    with Bounded(binary, root / "half").feed(100) as app:  # a file that is followed has no end
        app.start(None, "--until-finished")
        app.wait_decided()
        app.begin_stop(signal.SIGTERM)
        check(app.wait() == 7 and "100 records read" in app.output(), app.output()[-1500:])


def killed_and_asked(binary, root):
    with Program(binary, root / "killed", APP.replace("mode: read", "mode: tail")) as app:
        rows = (f"2024-01-01T00:{number // 60:02}:{number % 60:02}Z,a,{number}" for number in range(700))
        (app.folder / "in.csv").write_text("\n".join(["ts,who,amount", *rows]) + "\n")
        app.start()
        app.port()
        wait_for("all is durable", lambda: count(app) == [{"n": 700}], app)
        check(app.metric("quickwater_segment_files", log="decisions") == 0, "nothing was rolled for that")
        check(count(app, "select sum(o_amount) as n from (select \"output.o_amount\" as o_amount from decisions)")
              == [{"n": 699 * 350}], "with its values")
        app.kill()
        check(count(app) == [{"n": 700}], "after a kill, too")
        check(count(app, "select count(distinct seq) as n from decisions") == [{"n": 700}], "each once")
        (app.file).rename(app.folder / "moved.yaml")
        code, text, errors = app.call("query", "select count(*) as n from decisions", "--data", app.folder / "data")
        check(code == 7 and "the newest records are left out" in errors and "--app" in errors, errors)
        check(count(app, "select count(*) as n from decisions", "--app", app.folder / "moved.yaml") == [{"n": 700}], "")
        code, _, errors = app.call("query", "select 1", "--data", app.folder / "data", "--app", app.folder / "no.yaml")
        check(code == 1 and "no.yaml" in errors, f"a file that was named must serve: {code} {errors}")
        left = list((app.folder / "data" / "segments" / "tails").glob("*"))
        check(not left, f"left behind: {left}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_batch_") as place:
        run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, pathlib.Path(place)))
                    for case in (all_are_used, some_cannot_be_used, none_can_be_used, stopped_before_the_end,
                                 killed_and_asked)
                    if not arguments.cases or case.__name__ in arguments.cases))


if __name__ == "__main__":
    main()
