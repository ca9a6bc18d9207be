#!/usr/bin/env python3
"""Aim: every expression of an application answers for itself, and each sink of alerts and each healing action hears
exactly of what its `when` lets through: as alerts open, rise and end, also across a restart and when the clock fires
them. Method: the real program on numbered events, with expressions of one shape that differ in their literals alone;
what reached each sink is compared with the same condition in Python."""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from program import Program, check, run_cases, wait_for  # noqa: E402

BINARY = sys.argv[1]
T0 = 1_700_000_000_000_000

HEAD = """\
app: conditions
data: data
server: {{ port: 0 }}
sources:
  - name: tail
    file: {{ path: in.jsonl, mode: {mode} }}
    event_time: ts
    event_time_format: epoch_us
    max_future: 1d
    schema: {{ ts: timestamp, k: string, v: int64 }}
"""


def write_rows(folder, rows):
    """rows: (second, key, value)"""
    with open(folder / "in.jsonl", "a", encoding="utf-8") as out:
        out.writelines(json.dumps({"ts": T0 + second * 1_000_000, "k": key, "v": value}) + "\n"
                       for second, key, value in rows)


def lines(folder, name):
    path = folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def finish(folder, app):
    with Program(BINARY, folder, app) as program:
        program.start(None, "--until-finished")
        check(program.wait() == 0, f"the run ended with {program.process.returncode}: {program.output()}")


def expressions_apart(folder):
    """Decisions, sinks, rules, outputs and derived features that differ in one number or one text."""
    limits = [900, 500, 700, 100]
    decisions = "\n".join(f"""\
  - name: above{over}
    on: tail
    model: rule
    when: v > {over}
    output: {{ a: derived{over}, b: case when v > {over} + 10 then 'yes' else 'no' end,
              c: case when v > {over} + 20 then 'yes' else 'no' end }}
    sinks:
""" + "\n".join(f"      - {{ name: s{over}_{least}, send: decisions, when: v > {least}, "
                f"log: {{ path: s{over}_{least}.jsonl }} }}" for least in limits) for over in limits)
    app = HEAD.format(mode="read") + "features:\n" + "".join(
        f"  - {{ derive: derived{over}, as: v - {over} }}\n" for over in limits) + """\
models:
  - { name: rule, key: k, rules: { score: "cast(v as double) + 1.0", other: "cast(v as double) + 2.0" } }
decisions:
""" + decisions + "\n"
    write_rows(folder, [(n, f"k{n}", n) for n in range(1000)])
    finish(folder, app)
    for over in limits:
        for least in limits:
            got = lines(folder, f"s{over}_{least}.jsonl")
            want = [n for n in range(1000) if n > over and n > least]
            check([int(row["key"][1:]) for row in got] == want, f"above{over}, sink above {least}: {len(got)} rows")
            for row in got:
                n = int(row["key"][1:])
                yes = ["yes" if n > over + more else "no" for more in (10, 20)]
                check(row["outputs"] == {"a": n - over, "b": yes[0], "c": yes[1]}, f"{over}: {row['outputs']} of {n}")
                check(row["score"] == n + 1.0, f"score {row['score']} of {n}")


ALERT = HEAD + """\
models:
  - {{ name: rule, key: k, rules: {{ score: "cast(v as double)" }} }}
decisions:
  - name: one
    on: tail
    model: rule
    output: {{ sev: "case when v > 700 then 'critical' when v > 300 then 'warning' when v > 100 then 'info' end" }}
    alert: {{ severity: sev, for: {wait}, resolve_after: 2s, cooldown: 0s }}
    sinks:
      - {{ name: all, send: alerts, log: {{ path: all.jsonl }} }}
      - {{ name: high, send: alerts, when: v > 900, log: {{ path: high.jsonl }} }}
      - {{ name: low, send: alerts, when: v > 500, log: {{ path: low.jsonl }} }}
      - {{ name: named, send: alerts, when: k = 'k7', log: {{ path: named.jsonl }} }}
"""


def told(folder, name):
    """{key: [(what, severity), ...]} as the sink was told."""
    story = {}
    for line in lines(folder, name):
        alert = line["detail"]
        story.setdefault(alert["series_id"].split("/", 1)[1], []).append((alert["state"], alert["severity"]))
    return story


def expected(values, condition):
    """What a sink hears of a key whose alert opens with its first value, rises with its second and ends."""
    severity = ["critical" if v > 700 else "warning" if v > 300 else "info" for v in values]
    story = []
    for number, value in enumerate(values):
        rises = number == 0 or severity[number] != severity[0]
        if rises and (condition(value) or story):
            story.append(("open", severity[number]))
    top = severity[-1]
    return story + [("resolved", top)] if story else []


def alerts_heard(folder):
    """Opened, raised and ended, with a stop in the middle of every alert."""
    keys = {f"k{n}": (101 + n % 400, 200 + n) for n in range(0, 900, 7)}
    write_rows(folder, [(second, key, values[second]) for second in (0, 1) for key, values in keys.items()])
    app = ALERT.format(mode="read", wait="0s")
    finish(folder, app)
    write_rows(folder, [(second, key, 0) for second in (2, 3, 4, 5) for key in keys])
    finish(folder, app)
    for name, condition in (("all", lambda v, k: True), ("high", lambda v, k: v > 900), ("low", lambda v, k: v > 500),
                            ("named", lambda v, k: k == "k7")):
        got = told(folder, name + ".jsonl")
        for key, values in keys.items():
            want = expected(values, lambda v, k=key, c=condition: c(v, k))
            check(got.get(key, []) == want, f"sink {name} of {key} {values}: {got.get(key)}, not {want}")
        check(set(got) <= set(keys), f"sink {name} heard of {set(got) - set(keys)}")


def clock_fires(folder):
    """An alert that the clock fires is judged by the decision whose word stood, also after a restart."""
    write_rows(folder, [(0, "k1", 950), (0, "k2", 600), (0, "k3", 400), (0, "k7", 150)])
    app = ALERT.format(mode="tail", wait="2s")
    with Program(BINARY, folder, app) as program:
        program.start()
        wait_for("the alerts fire and end", lambda: len(lines(folder, "all.jsonl")) == 4, program)
        program.stop()
    with Program(BINARY, folder) as program:
        write_rows(folder, [(second, key, 0) for second in (10, 11, 12, 13) for key in ("k1", "k2", "k3", "k7")])
        program.start()
        wait_for("the alerts end", lambda: len(lines(folder, "all.jsonl")) == 8, program)
        program.stop()
    heard = {name: {key: len(story) for key, story in told(folder, name + ".jsonl").items()}
             for name in ("all", "high", "low", "named")}
    check(heard == {"all": {"k1": 2, "k2": 2, "k3": 2, "k7": 2}, "high": {"k1": 2}, "low": {"k1": 2, "k2": 2},
                    "named": {"k7": 2}}, f"heard: {heard}")


def heals_judged_apart(folder):
    """Two remedies of one alert, each by its own condition; some alerts fire by the clock alone."""
    rows = [(0, f"k{n}", n) for n in range(600, 1000, 50)]
    write_rows(folder, rows)
    remedies = "".join(f"      - {{ name: heal{least}, when: v > {least}, recover_within: 1h, limit: 1000/1h, "
                       f"command: {{ run: note{least} }} }}\n" for least in (900, 700))
    commands = "".join(f"    note{least}: [/bin/sh, -c, 'echo $0 >> {folder}/heal{least}.txt', '{{key}}']\n"
                       for least in (900, 700))
    app = ALERT.format(mode="tail", wait="1s") + "    heal:\n" + remedies + \
        "healing:\n  enabled: true\n  commands:\n" + commands

    def healed(least):
        path = folder / f"heal{least}.txt"
        return sorted(path.read_text().split()) if path.exists() else []
    wanted = {least: sorted(key for _, key, value in rows if value > least) for least in (900, 700)}
    with Program(BINARY, folder, app) as program:
        program.start()
        wait_for(lambda: f"{wanted}, not {[healed(900), healed(700)]}",
                 lambda: all(set(healed(least)) >= set(wanted[least]) for least in wanted), program)
        program.stop()
    check(all(healed(least) == wanted[least] for least in wanted), f"healed {healed(900)} and {healed(700)}")


def in_folder(case):
    def run():
        with tempfile.TemporaryDirectory(prefix="qw_conditions_") as folder:
            case(pathlib.Path(folder))
    run.__name__ = case.__name__
    return run


if __name__ == "__main__":
    run_cases(*map(in_folder, (expressions_apart, alerts_heard, clock_fires, heals_judged_apart)))
