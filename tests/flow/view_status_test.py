#!/usr/bin/env python3
"""Aim: a decision says of each feature why it is as it is, and a key that was too large for its view works again.
Method: the real program on crowds of one key whose windows are counted here, with stops in between; what it logged,
sent and counted is compared."""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from program import Program, check, run_cases  # noqa: E402

BINARY = sys.argv[1]
T0 = 1_700_000_000

APP = """\
app: statuses
data: data
server: {{ port: 0 }}
sources:
  - name: tx
    file: {{ path: in.jsonl, mode: read }}
    event_time: ts
    event_time_format: epoch_s
    schema: {{ ts: timestamp, k: "{key}", x: double }}
features:
  - {{ view: v, from: tx, key: k, windows: [10s, 1m], max_rows: 50, aggregates: {{ n: count(), t: sum(x) }} }}
models:
  - {{ name: m, key: k, rules: {{ score: "1.0" }} }}
decisions:
  - {{ name: d, on: tx, model: m, sinks: [ {{ name: all, log: {{ path: all.jsonl }} }} ] }}
"""


def finish(folder, app, rows):
    """Appends the rows, (second, key as JSON, value), and runs to the end; the decisions on them."""
    with open(folder / "in.jsonl", "a", encoding="utf-8") as out:
        out.writelines(f'{{"ts": {T0 + second}, "k": {key}, "x": {value}}}\n' for second, key, value in rows)
    with Program(BINARY, folder, app) as program:
        program.start(None, "--until-finished")
        check(program.wait() == 0, program.output())
        return program.log("decisions")[-len(rows):], program.output()


def hot_keys(folder):
    app = APP.format(key="string")
    wide, said = finish(folder, app, [(0, '"hot"', 1)] * 80 + [(0, '"cold"', 1)])
    check([row["features"]["v.n_10s"] for row in wide] == list(range(1, 51)) + [None] * 30 + [1], f"{wide}")
    every = ["v.n_10s", "v.t_10s", "v.n_1m", "v.t_1m"]
    for row in wide[50:80]:
        check(row["feature_status"] == {name: "hot_key" for name in every}, f"{row}")
    check("feature_status" not in wide[49] and "feature_status" not in wide[80], f"{wide[49]} {wide[80]}")
    check("view v refuses events of the key 'hot'" in said, said)
    sent = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    check([row.get("feature_status") for row in sent] == [row.get("feature_status") for row in wide], "sent otherwise")
    # After a stop: the short window is past the crowd, then the long one.
    later, _ = finish(folder, app, [(70, '"hot"', 5), (71, '"hot"', 6)])
    check([row["features"]["v.n_1m"] for row in later] == [1, 2], f"{later}")
    check(not any("feature_status" in row for row in later), f"{later}")


def overflow_is_said(folder):
    huge = [(0, '"a"', "1.7e308"), (1, '"a"', "1.7e308"), (2, '"a"', "NaN")]
    rows, _ = finish(folder, APP.format(key="string"), huge)
    check(rows[1]["features"]["v.t_10s"] is None and rows[1]["feature_status"]["v.t_10s"] == "overflow", f"{rows[1]}")
    check(rows[1]["features"]["v.n_10s"] == 2, f"{rows[1]}")


def keys_as_written(folder):
    written = [(0, "1", 1), (1, "1.0", 1), (2, '"1.00"', 1), (3, "100", 1)]
    rows, _ = finish(folder, APP.format(key="decimal(9,2)"), written)
    check([(row["key"], row["features"]["v.n_1m"]) for row in rows] ==
          [("1.00", 1), ("1.00", 2), ("1.00", 3), ("100.00", 1)], f"{rows}")


def in_folder(case):
    def run():
        with tempfile.TemporaryDirectory(prefix="qw_statuses_") as folder:
            case(pathlib.Path(folder))
    run.__name__ = case.__name__
    return run


if __name__ == "__main__":
    run_cases(*map(in_folder, (hot_keys, overflow_is_said, keys_as_written)))
