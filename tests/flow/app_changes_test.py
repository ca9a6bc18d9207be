"""Aim: after a change of the application file what was stored is found under its own names, what can go on goes on as
if the new file had always been there, what cannot is refused before anything is lost, and `validate --against` knows
all of it beforehand.

Method: a table of changes. Each is made to an application that was killed with its states unsaved, or whose log lies in
segments. The expectation is independent of the data folder: the old decisions are those of an undisturbed run of the
first file, the new ones those of an undisturbed run of the changed file over all rows, in folders of their own.

  app_changes_test.py PROGRAM [FILTER]

Changes after which nothing is read again are made in one of the two ways; FILTER (part of a case's name) may name the
other.
"""
import argparse
import functools
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, check, run_cases, wait_for

FIRST, ALL = 120, 160  # rows there are before the change, and in the end
START_US = 1_700_000_000_000_000
APP = """
app: changing
data: data
server: { port: 0 }
segments: { size: 1MB, age: 7d, every: 1h }
sources:
  - name: tx
    file: { path: in.jsonl, mode: read }
    event_time: ts
    event_time_format: epoch_us
    schema: { ts: timestamp, k: string, shop: string, x: int64, y: double, z: double, m: "decimal(12,2)" }
features:
  - view: v
    from: tx
    key: k
    windows: [10s, 1m]
    aggregates: { n: count(), t: sum(x), mean: mean(y), money: sum(m) }
  - { derive: excess, as: y - v.mean_1m }
models:
  - { name: anomaly, key: k, detector: activity, settings: { warm_rows: 8 }, inputs: [y] }
decisions:
  - { name: d, on: tx, model: anomaly, output: { twice: x * 2, thrice: x * 3 } }
"""
SCHEMA = 'ts: timestamp, k: string, shop: string, x: int64, y: double, z: double, m: "decimal(12,2)"'
AGGREGATES = "n: count(), t: sum(x), mean: mean(y), money: sum(m)"
OUTPUT = "twice: x * 2, thrice: x * 3"
MODEL = "{ name: anomaly, key: k, detector: activity, settings: { warm_rows: 8 }, inputs: [y] }"


def row(number, more):
    made = {"ts": START_US + number * 1_700_000, "k": "ab"[number % 2], "shop": "pqr"[number * 7 % 3],
            "x": number * 31 % 17, "y": round(50 + number * 37 % 23 + (400 if number % 29 == 0 else 0), 3),
            "z": number % 5, "m": number * 1301 % 100_000 / 100}
    if more and number >= FIRST:  # what the input has only since the change
        made["late"] = number * 3
    return json.dumps(made) + "\n"


def feed(program, count, more):
    (program.folder / "in.jsonl").write_text("".join(row(number, more) for number in range(count)))


class Change:
    """One change of the file. `fates`: what `validate --against` says of parts, by (part, name). `refused`: what the
    start says when it cannot be. `anew`: the model cannot know what was before; nothing is expected of its scores."""

    def __init__(self, name, edits, fates=None, refused=None, anew=False, more=False):
        self.name, self.edits, self.fates = name, edits, fates or {}
        self.refused, self.anew, self.more = refused, anew, more

    def changed(self):
        text = APP
        for old, new in self.edits:
            assert old in text, f"{self.name}: {old} is not in the file"
            text = text.replace(old, new)
        return text


KEPT = {("source", "tx"): "kept", ("view", "v"): "kept", ("model", "anomaly (of d)"): "kept"}
VIEW_REBUILT = {**KEPT, ("view", "v"): "rebuilt"}
MODEL_REBUILT = {**KEPT, ("model", "anomaly (of d)"): "rebuilt"}


def change(name, *edits, **more):
    return Change(name, edits, **more)


CHANGES = [
    change("nothing", fates=KEPT),
    change("column added behind", (SCHEMA, SCHEMA + ", late: int64"), fates=KEPT, more=True),
    change("column added in front and used", (SCHEMA, "late: int64, " + SCHEMA),
           (AGGREGATES, AGGREGATES + ", l: sum(late)"), fates=VIEW_REBUILT, more=True),
    change("column removed", (", z: double", ""), fates=KEPT),
    change("columns in another order",
           (SCHEMA, 'm: "decimal(12,2)", z: double, y: double, x: int64, shop: string, k: string, ts: timestamp'),
           fates=KEPT),
    change("int64 widened to double", ("x: int64", "x: double"), fates=VIEW_REBUILT),
    change("decimal widened", ("decimal(12,2)", "decimal(15,4)"), fates=VIEW_REBUILT),
    change("decimal widened to double", ('"decimal(12,2)"', "double"), fates=VIEW_REBUILT),
    change("unused column narrowed", ("z: double", "z: int64"), fates=KEPT),
    change("used column narrowed", ("y: double", "y: int64"), refused="'y' as double, which does not read as int64",
           fates={("view", "v"): "impossible"}),
    change("column renamed", ("z: double", "zed: double"), fates=KEPT),
    change("aggregate added", (AGGREGATES, AGGREGATES + ", top: max(y)"), fates=KEPT),
    change("aggregate over another column added", (AGGREGATES, AGGREGATES + ", low: min(z)"), fates=VIEW_REBUILT),
    change("aggregate removed", (AGGREGATES, AGGREGATES.replace("n: count(), ", "")), fates=KEPT),
    change("aggregates in another order", (AGGREGATES, "money: sum(m), mean: mean(y), t: sum(x), n: count()"),
           fates=VIEW_REBUILT),
    change("names of aggregates exchanged",
           (AGGREGATES, AGGREGATES.replace("n: count(), t: sum(x)", "t: count(), n: sum(x)")), fates=KEPT),
    change("windows in another order", ("[10s, 1m]", "[1m, 10s]"), fates=KEPT),
    change("window added", ("[10s, 1m]", "[10s, 30s, 1m]"), fates=KEPT),
    change("window longer than before", ("[10s, 1m]", "[10s, 1m, 5m]"), fates=VIEW_REBUILT),
    change("derived feature added in front",
           ("  - { derive: excess", "  - { derive: spread, as: v.mean_10s - v.mean_1m }\n  - { derive: excess"),
           fates=KEPT),
    change("derived feature removed", ("  - { derive: excess, as: y - v.mean_1m }\n", ""), fates=KEPT),
    change("derived feature means another thing", ("as: y - v.mean_1m", "as: v.mean_1m - y"), fates=KEPT),
    change("outputs in another order", (OUTPUT, "thrice: x * 3, twice: x * 2"), fates=KEPT),
    change("output removed", (OUTPUT, "thrice: x * 3"), fates=KEPT),
    change("output of another type", (OUTPUT, "twice: shop, thrice: x * 3"), fates=KEPT),
    change("another input, which decisions hold", ("inputs: [y]", "inputs: [v.mean_10s]"), fates=MODEL_REBUILT),
    change("another input, which they do not", ("inputs: [y]", "inputs: [z]"), fates=MODEL_REBUILT, anew=True),
    change("detector of another kind", ("detector: activity", "detector: knn"), fates=MODEL_REBUILT),
    change("detector with more members", ("detector: activity", "detector: ensemble"), fates=MODEL_REBUILT),
    change("another setting", ("warm_rows: 8", "warm_rows: 20"), fates=MODEL_REBUILT),
    change("detector becomes rules", (MODEL, "{ name: anomaly, key: k, rules: { score: y } }"),
           fates={("view", "v"): "kept"}),
    change("another key of the model", ("name: anomaly, key: k", "name: anomaly, key: shop"), fates=MODEL_REBUILT,
           anew=True),
    change("another key of the view", ("from: tx\n    key: k", "from: tx\n    key: shop"), fates=VIEW_REBUILT),
    change("view renamed", ("view: v", "view: w"), ("v.mean_1m", "w.mean_1m"),
           fates={("view", "w"): "rebuilt", ("view", "v"): "removed"}),
    change("model renamed", ("name: anomaly", "name: unusual"), ("model: anomaly", "model: unusual"),
           fates={("model", "unusual (of d)"): "rebuilt"}),
    change("decision renamed", ("name: d,", "name: e,"), anew=True,
           fates={("decision", "e"): "new", ("decision", "d"): "removed", ("model", "anomaly (of e)"): "new"}),
]


def by_seq(lines):
    return {(line["decision"], line["event_seq"]): line for line in lines}


@functools.lru_cache(maxsize=None)
def undisturbed(binary, root, text, rows, more):
    """The decisions of a run that knows nothing of another file."""
    folder = pathlib.Path(root) / f"undisturbed-{abs(hash((text, rows, more)))}"
    with Program(binary, folder, text) as program:
        feed(program, rows, more)
        program.start(None, "--until-finished")
        check(program.wait() == 0, program.output())
        lines = program.log("decisions")
        check(len(lines) == rows, f"{len(lines)} decisions of {rows}")
        return by_seq(lines)


def asked(program, sql):
    code, text, errors = program.call("query", sql, "--data", program.folder / "data", "--json")
    check(code == 0, errors)
    return [json.loads(line) for line in text.splitlines()]


def roll(program):
    program.port()
    code, _, errors = program.call("query", "select 1", "--data", program.folder / "data", "--fresh")
    check(code == 0, errors)


def in_segments(program):
    """Ends with all of the logs in segments: only what a start would not read again is rolled."""
    program.stop()
    program.start()
    roll(program)
    program.stop()


def run_first(program, how):
    feed(program, FIRST, False)
    program.start()
    wait_for("every row is decided", lambda: program.metric("quickwater_decisions_total") == FIRST, program)
    if how == "killed":
        program.kill()
        return
    in_segments(program)


def against(program):
    """(exit code, the findings by part and name) of `validate --against`."""
    code, text, errors = program.call("validate", program.file, "--against", program.folder / "data", "--json")
    check(text, errors)
    told = json.loads(text)
    check("error" not in told["against"], told)
    check((code == 0) == told["ok"], told)
    return code, {(one["part"], one["name"]): one for one in told["against"]["findings"]}


LISTS = ("features", "inputs", "outputs", "members")


def same_decision(got, want, without_scores, where):
    for part in ("key", *LISTS, *([] if without_scores else ["score", "warm"])):
        if without_scores and part == "members":
            continue
        check(got[part] == want[part], f"{where}, {part}: {got[part]}, not {want[part]}")
    check("names_from" not in got, f"{where}: names come from {got.get('names_from')}")


def logs_agree(lines, before, after, change):
    got = by_seq(lines)
    check(len(got) == len(lines) == ALL, f"{len(lines)} decisions, {ALL} rows")
    for (decision, seq), line in got.items():
        new = seq > FIRST
        same_decision(line, (after if new else before)[decision, seq], new and change.anew, f"{decision} {seq}")


def plain(value):
    """SQL writes a decimal as a number, the log as text."""
    try:
        return float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value
    except ValueError:
        return value


def sql_agrees(program, lines):
    """Every value of the log under its name, and null under every other."""
    rows = asked(program, "select * from decisions order by decision, seq")
    got = {(one["decision"], one["seq"]): one for one in rows}
    check(len(rows) == len(lines), f"SQL has {len(rows)} decisions, the log {len(lines)}")
    names = {f: {name for line in lines for name in line[f]} for f in ("features", "inputs", "outputs")}
    for (decision, seq), line in by_seq(lines).items():
        for part, prefix in (("features", ""), ("inputs", "input."), ("outputs", "output.")):
            for name in names[part]:
                value, want = got[decision, seq][prefix + name], line[part].get(name)
                check(plain(value) == plain(want), f"SQL, {decision} {seq}, {prefix}{name}: {value!r}, not {want!r}")


def events_agree(program, change):
    """The rows of the source as they were put in, under the names of either file."""
    def columns(text):
        inside = text.split("schema: {")[1].split("}")[0]
        return [part.split(":")[0].strip() for part in inside.replace("(12,2)", "").replace("(15,4)", "").split(",")]
    first, second = columns(APP), columns(change.changed())
    for one in asked(program, "select * from events_tx order by seq"):
        seq = one["seq"]
        put = json.loads(row(seq - 1, change.more))
        for name in {*first, *second} - {"ts"}:
            held = name in (second if seq > FIRST else first)
            want = put.get(name) if held else None
            check(plain(one[name]) == plain(want), f"SQL, event {seq}, {name}: {one[name]!r}, not {want!r}")


def case(change, how, binary, root):
    folder = pathlib.Path(root) / "case"
    shutil.rmtree(folder, ignore_errors=True)
    with Program(binary, folder, APP) as program:
        run_first(program, how)
        program.file.write_text(change.changed())
        feed(program, ALL, change.more)
        code, findings = against(program)
        for part, fate in change.fates.items():
            if how == "killed" and (fate == "kept" or (part[0], fate) == ("view", "removed")):
                continue  # no state was saved yet: all is read again, and nothing is left of what is gone
            check(part in findings and findings[part]["fate"] == fate, f"{part} is not {fate}: {findings.get(part)}")
        check((code != 0) == bool(change.refused), f"validate --against ends with {code}: {findings}")
        before = undisturbed(binary, root, APP, FIRST, False)
        program.start(None, "--until-finished")
        if change.refused:
            check(program.wait() not in (0, 70), "it started")
            check(change.refused in program.output() and "keep 'y' a double" in program.output(), program.output())
            program.file.write_text(APP)  # nothing was lost by trying
            feed(program, ALL, False)
            program.start(None, "--until-finished")
            check(program.wait() == 0, program.output())
            return logs_agree(program.log("decisions"), before, undisturbed(binary, root, APP, ALL, False), change)
        check(program.wait() == 0, program.output())
        lines = program.log("decisions")
        logs_agree(lines, before, undisturbed(binary, root, change.changed(), ALL, change.more), change)
        program.start()
        roll(program)
        program.stop()
        sql_agrees(program, lines)
        events_agree(program, change)
        check(program.log("decisions") == lines, "the log reads otherwise once it lies in segments")


def columns_that_differ_by_letter_case_stay_apart(binary, root):
    """SQL takes A and a for one name: which gets the '_' must not depend on the order."""
    text = APP.replace("z: double,", "z: double, A: double, a: double,")
    swapped = APP.replace("z: double,", "z: double, a: double, A: double,")
    with Program(binary, pathlib.Path(root) / "letters", text) as program:
        def put(count):
            rows = [json.loads(row(number, False)) | {"A": 1.0, "a": 2.0} for number in range(count)]
            (program.folder / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        for number, file in enumerate((text, swapped)):
            program.file.write_text(file)
            put(10 * (number + 1))
            program.start()
            wait_for("decided", lambda: program.metric("quickwater_decisions_total") == 10, program)
            in_segments(program)
        rows = asked(program, "select distinct * exclude (seq, partition, event_time, known_at, ts, k, shop, x, y, z, "
                              "m, status) from events_tx")
        check(len(rows) == 1 and sorted(rows[0].values()) == [1.0, 2.0], f"A and a are mixed: {rows}")


def a_running_folder_is_said_to_be_running(binary, root):
    with Program(binary, pathlib.Path(root) / "running", APP) as program:
        feed(program, FIRST, False)
        program.start()
        wait_for("decided", lambda: program.metric("quickwater_decisions_total") == FIRST, program)
        code, _, errors = program.call("validate", program.file, "--against", program.folder / "data")
        check(code not in (0, 70) and "has this data folder open" in errors, errors)
        check("stop the application" in errors, errors)
        program.stop()
        code, text, errors = program.call("validate", program.file, "--against", program.folder / "data")
        check(code == 0 and "kept" in text, text + errors)
        code, _, errors = program.call("validate", program.file, "--against", program.folder / "nothing")
        check(code not in (0, 70) and "no data of an application" in errors, errors)
        check(not (program.folder / "nothing").exists(), "looking made a folder")


def rows_of_a_removed_sink_are_told(binary, root):
    text = APP.replace("output: { twice: x * 2, thrice: x * 3 } }", "output: { twice: x * 2 }, sinks: [{ name: out, "
                       "webhook: { url: 'http://127.0.0.1:9/none' } }] }")
    with Program(binary, pathlib.Path(root) / "sink", text) as program:
        feed(program, 10, False)
        program.start()
        wait_for("the rows wait", lambda: program.metric("quickwater_outbox_waiting_rows", sink="out") == 10, program)
        program.kill()
        program.file.write_text(APP)
        _, findings = against(program)
        found = findings["sink", "out"]
        check(found["fate"] == "removed" and found["lossy"] and found["records"] == 10, found)
        program.start()
        program.said("10 rows wait for the sink 'out', which is gone")
        check(program.metric("quickwater_outbox_stranded_rows", sink="out") == 10, "no metric")
        program.stop()
        told = [line for line in program.log("journal") if line["body"].get("phase") == "sink_removed"]
        check(len(told) == 1, told)
        program.file.write_text(text)  # they are still there
        _, findings = against(program)
        check(findings["sink", "out"]["fate"] == "kept" and findings["sink", "out"]["records"] == 10, findings)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("filter", nargs="?", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        cases = []
        for number, one in enumerate(CHANGES):
            for way, how in enumerate(("killed", "rolled")):
                rebuilds = {"rebuilt", "impossible"} & set(one.fates.values())
                if not arguments.filter and not rebuilds and number % 2 == way:
                    continue
                made = functools.partial(case, one, how, arguments.program, root)
                made.__name__ = f"{one.name} ({how})"
                cases.append(made)
        for one in (columns_that_differ_by_letter_case_stay_apart, a_running_folder_is_said_to_be_running,
                    rows_of_a_removed_sink_are_told):
            made = functools.partial(one, arguments.program, root)
            made.__name__ = one.__name__
            cases.append(made)
        run_cases(*[one for one in cases if arguments.filter in one.__name__])


main()
