"""Aim: what an application remembers can be asked by SQL from the command line, the newest too and while it runs;
parity is measured over the same files; what retention removed is said to be gone.

Method: the real program takes pushed rows; its logs are rolled only because the commands ask for it.

  query_test.py PROGRAM
"""
import argparse
import functools
import json
import pathlib
import random
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

START_S = 1_700_000_000
APP = """
app: asked
data: data
server: {{ port: 0 }}
durability: {{ replay_max: 1s }}
segments: {{ size: 1MB, age: 7d, every: 1h }}
retention: {{ decisions: {{ max_size: {decisions_max} }} }}
sources:
  - name: sales
    http: {{ records_max: 10000 }}
    event_time: ts
    schema: {{ shop: string, amount: double, ts: timestamp }}
features:
  - view: shop
    from: sales
    key: shop
    windows: [1m]
    aggregates: {{ n: count(), spent: sum(amount) }}
models:
  - {{ name: plain, key: shop, rules: {{ score: shop.spent_1m }} }}
decisions:
  - {{ name: seen, on: sales, model: plain, output: {{ double: "amount * 2" }} }}
"""


def rows(count, shop, begin_s):
    randomly = random.Random(f"{shop} {begin_s}")
    for number in range(count):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begin_s + number))
        yield json.dumps({"shop": shop, "amount": randomly.random() * 100, "ts": f"{stamp}Z"})


def push(program, lines):
    request = urllib.request.Request(f"http://127.0.0.1:{program.port()}/v1/events/sales", "\n".join(lines).encode(),
                                     {"Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    assert told["accepted"] == told["records"], told


def query(program, sql, *more):
    return program.call("query", sql, "--data", program.folder / "data", *more)


def asked(program, sql, *more):
    code, text, errors = query(program, sql, "--json", *more)
    assert code == 0, errors
    return [json.loads(line) for line in text.splitlines()]


def fresh_records_are_seen(binary, root):
    count = "select count(*) as n from decisions"
    with Program(binary, root / "fresh", APP.format(decisions_max="4GB")) as program:
        code, _, errors = query(program, count, "--fresh")
        assert code != 0 and "no application runs" in errors, errors
        program.start()
        push(program, rows(500, "a", START_S))
        assert asked(program, count) == [{"n": 500}], "what was answered is seen"
        assert program.metric("quickwater_segment_files", log="decisions") == 0, "and nothing was rolled for it"
        spent = asked(program, 'select key, "output.double" as twice, "shop.n_1m" as n from decisions order by as_of')
        assert [one["n"] for one in spent[:3]] == [1, 2, 3] and spent[499]["n"] == 60, (spent[:3], spent[499])
        said = asked(program, "select distinct columns('record[.].*') from decisions")
        assert said == [{"record.trigger": "event", "record.id": None, "record.model": "plain", "record.version": None,
                         "record.fallback": False, "record.variant": None, "record.propensity": None,
                         "record.known": None, "record.statuses": None}], said
        events = "select amount from events_sales order by event_time"
        twice = [2 * one["amount"] for one in asked(program, events)]
        assert [one["twice"] for one in spent] == twice, (spent[:3], twice[:3])
        push(program, rows(100, "a", START_S + 500))
        assert asked(program, count) == [{"n": 600}] and len(asked(program, events)) == 600, "the rest, too"

        def rolled():  # for others who read the files; events once no state needs them for a replay
            return asked(program, count, "--fresh") == [{"n": 600}] and \
                all(program.metric("quickwater_unrolled_age_seconds", log=log) == 0 for log in ("decisions", "events"))
        wait_for("all is rolled", rolled, program)
        assert asked(program, count) == [{"n": 600}], "each is seen once"
        code, _, errors = query(program, "select nothing from decisions")
        assert code != 0 and "nothing" in errors, errors
        program.stop()
        assert asked(program, count) == [{"n": 600}], "a stopped application is asked, too"
        table = query(program, "select key, count(*) as n from decisions group by key")[1]
        assert table.splitlines()[0].split() == ["key", "n"] and table.splitlines()[2].split() == ["a", "600"], table
        code, text, errors = program.call("parity", program.file, "--events", 1000, "--json")
        assert code == 0, errors
        compared = {(one["feature"], one["outside"], one["rows"]) for one in json.loads(text)["features"]
                    if one["data"] == "shop, segments" and one["against"] == "duckdb"}
        assert compared == {("shop.n_1m", 0, 600), ("shop.spent_1m", 0, 600)}, (compared, errors, text[-2000:])


def what_retention_removed_is_gone(binary, root):
    with Program(binary, root / "gone", APP.format(decisions_max="1MB")) as program:
        program.start()
        push(program, rows(1, "old", START_S))
        moment = f"/v1/features?view=shop&key=old&as_of_us={START_S * 1_000_000}"
        assert json.loads(wait_for("the moment is known", lambda: program.ask(moment), program))["score"] is not None

        def answer():
            try:
                program.ask(moment)
                return 200, {}
            except urllib.error.HTTPError as refused:
                return refused.code, json.loads(refused.read())
        for batch in range(12):
            push(program, rows(5000, f"shop{batch}", START_S + 1 + 5000 * batch))

        def rolled():
            asked(program, "select 1", "--fresh")
            return program.metric("quickwater_segments_removed_total", log="decisions") > 0
        wait_for("retention removes the oldest", rolled, program)
        code, told = answer()
        assert code == 410 and told["code"] == "history_gone", (code, told)
        assert "retention.decisions" in told["how_to_mend"], told
        kept = asked(program, "select count(*) as n, count(*) filter (key = 'old') as old from decisions")
        assert kept[0]["n"] > 0 and kept[0]["old"] == 0, kept
        program.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_query_") as place:
        run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, pathlib.Path(place)))
                    for case in (fresh_records_are_seen, what_retention_removed_is_gone)))


if __name__ == "__main__":
    main()
