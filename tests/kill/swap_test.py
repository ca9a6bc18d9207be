"""Aim: kill -9 at any moment around the swap of a model's version leaves one version or the other serving, with
exactly its state, and neither loses nor repeats an event.

Two undisturbed runs give the expected scores: one by version 0 alone, one by version 1 alone. Then version 1 is
published while the program is down, in the middle of the input; the next start warms it up from the decision log
and swaps, and is killed at named fail points on the way, again and again. Afterwards every event has one decision,
its score is that of the version it names, no partition goes back to version 0 once version 1 served it, and the
alerts are those of an undisturbed run. The same for the way back: version 1 serves from the beginning, is rolled back
while the program is down, and version 0 takes over with the state it would have had.

  swap_test.py PROGRAM [--rounds N] [--seed S]
"""
import argparse
import functools
import json
import math
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import program

SERIES = 4
ROWS = 4000
LIMIT_S = 240
FAIL_POINTS = ["swap.warming", "swap.tapped", "swap.warmed", "swap.done", "swap.durable"]
APP = """
app: swapped
data: data
server: { port: 0 }
durability: { commit_interval: 5ms, replay_max: 1s }
sources:
  - name: metrics
    file: { path: input, mode: replay, speed: 500, series_column: series }
    format: csv
    event_time: ts
    schema: { series: string, value: double, ts: timestamp }
models:
  - { name: anomaly, detector: ensemble, settings: { threshold: 80 }, key: series, inputs: [value] }
decisions:
  - name: unusual
    on: metrics
    model: anomaly
    output: { severity: "case when warm and value > 400 then 'critical' end" }
    alert: { severity: severity, for: 2s, cooldown: 1s, resolve_after: 3s }
"""


def write_input(folder):
    folder.mkdir(parents=True)
    for series in range(SERIES):
        noise = random.Random(series)
        with open(folder / f"s{series}.csv", "w") as out:
            out.write("ts,value\n")
            for row in range(ROWS):
                value = 50 + 10 * math.sin(row / 30) + noise.random() + (500 if row % 400 >= 300 else 0)
                out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(1_700_000_000 + row))},{value!r}\n")


def write_labels(folder):
    """Twelve short series in NAB's layout, each with one labelled jump."""
    windows = {}
    for number in range(12):
        rows = random.Random(number)
        name = f"made/s{number}.csv"
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        at = [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(1_700_000_000 + 60 * row)) for row in range(600)]
        with open(path, "w") as out:
            out.write("timestamp,value\n")
            for row in range(600):
                out.write(f"{at[row]},{rows.random() + (30 if 400 <= row < 406 else 0)}\n")
        windows[name] = [[at[390], at[420]]]
    for name, content in [("labels/combined_windows.json", windows),
                          ("config/profiles.json", {"standard": {"CostMatrix": {}}})]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))


def prepare(binary, folder):
    write_input(folder / "input")
    return program.Program(binary, folder, APP)


def publish(trained, folder):
    (folder / "data").mkdir(exist_ok=True)
    for old in (folder / "data").glob("registry.sqlite*"):
        old.unlink()
    for new in (trained / "data").glob("registry.sqlite*"):
        shutil.copy(new, folder / "data" / new.name)
    shutil.copytree(trained / "data" / "models", folder / "data" / "models")


def ask_registry(folder, question):
    registry = sqlite3.connect(folder / "data" / "registry.sqlite")
    try:
        with registry:
            return registry.execute(question).fetchone()
    finally:
        registry.close()


def run_to_end(app):
    code = app.start(None, "--until-finished").wait(LIMIT_S)
    assert code == 0, f"the program ended with {code}: {app.output()[-2000:]}"


def outcome(app, back=False):
    """Decisions and the version of each by (key, seq), and the alerts; asserts that versions change one way only."""
    decisions, versions, newest = {}, {}, {}
    for line in app.log("decisions"):
        place = (line["key"], line["event_seq"])
        assert place not in decisions, f"decided twice: {place}"
        decisions[place] = (line["event_time_us"], line["score"], line["warm"], line["inputs"], line["outputs"])
        versions[place] = int(line["served_by"].split("@")[1])
        before = newest.get(line["key"], versions[place])
        assert versions[place] == before or (versions[place] < before) == back, \
            f"version {versions[place]} decided {place} after version {before} served"
        newest[line["key"]] = versions[place]
    journal = app.log("journal")
    # Durable with the record which version serves: a start that does not find that record swaps again.
    swaps = [line["body"]["version"] for line in journal if line["body"].get("phase") in ("swapped", "rolled_back")]
    assert len(swaps) <= 1, f"swapped {len(swaps)} times: what was durable did not say who serves"
    alerts = sorted((line["kind"], line["body"]["id"]) for line in journal if line["kind"].startswith("alert_"))
    return decisions, versions, alerts


def serve_from_the_beginning(trained, folder):
    publish(trained, folder)
    ask_registry(folder, "UPDATE versions SET state = 'champion' WHERE version = 1")
    # Its seal is over what the program wrote: made a registry of before there were any, which is sealed when opened.
    ask_registry(folder, "ALTER TABLE aliases DROP COLUMN role")
    ask_registry(folder, "INSERT INTO aliases VALUES ('anomaly', 'champion', 1)")
    ask_registry(folder, "DROP TABLE seal")
    ask_registry(folder, "PRAGMA user_version = 1")


def roll_back(app):
    code, text, errors = app.call("models", "rollback", app.file)
    assert code == 0, f"{text}{errors}"


def disturb(app, change, dice, number):
    """Stops in the middle, asks for a change of version, and kills around the swap. Returns how many kills hit."""
    app.start(f"commit.after:{dice.randint(100, 250)}", "--until-finished").wait(LIMIT_S)
    change()
    hit = 0
    # In the order in which they are reached; a kill before the swap is durable begins it anew. Every other round gets
    # to the one right behind it soon, before the input ends: what follows depends on what the swap's commit holds.
    points = [f"{FAIL_POINTS[at]}:1" for at in sorted(dice.sample(range(len(FAIL_POINTS)), 3))]
    points.insert(dice.randrange(len(points)), f"commit.{dice.choice(['before', 'after'])}:{dice.randint(1, 40)}")
    if number % 2:
        points = [f"{FAIL_POINTS[dice.randrange(3)]}:1", "swap.durable:1"]
    for point in points:
        code = app.start(point, "--until-finished").wait(LIMIT_S)
        assert code in (0, -signal.SIGKILL), f"ended with {code}: {app.output()[-2000:]}"
        hit += code == -signal.SIGKILL
    run_to_end(app)
    return hit


def check(expected, got):
    decisions, versions, alerts = got
    assert set(decisions) == set(expected[0][0]), "events were lost or decided anew"
    for place, decision in decisions.items():
        right = expected[versions[place]][0][place]
        assert decision == right, f"{place}: {decision} by version {versions[place]}, not {right}"
    assert alerts == expected[0][2], f"alerts differ: {set(alerts) ^ set(expected[0][2])}"


def expectations(binary, root, trained):
    expected = []
    for version in (0, 1):
        app = prepare(binary, root / f"version{version}")
        if version == 1:
            serve_from_the_beginning(trained, app.folder)
        run_to_end(app)
        expected.append(outcome(app))
        assert set(expected[-1][1].values()) == {version}, f"version {version} did not serve alone"
    assert len(expected[0][0]) == SERIES * ROWS
    differ = sum(expected[1][0][place] != decision for place, decision in expected[0][0].items())
    assert differ > ROWS, f"the versions differ in {differ} decisions only"
    assert expected[0][2] == expected[1][2] and expected[0][2], "alerts must not depend on the version"
    return expected


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_swap_") as place:
        root = pathlib.Path(place)
        write_labels(root / "nab")
        trained = prepare(arguments.program, root / "trained").folder
        # The search begins at other settings than version 0 has, so that the scores differ, too.
        (trained / "app.yaml").write_text(APP.replace("80", "80, activity.rate: 0.05, seasonal.weight: 0.9"))
        subprocess.run([arguments.program, "train", str(trained / "app.yaml"), "--nab", str(root / "nab"),
                        "--trials", "3", "--seconds", "600"], check=True, capture_output=True)
        expected = expectations(arguments.program, root, trained)
        for back in (False, True):
            hit = both = changed = 0
            for number in range(arguments.rounds):
                app = prepare(arguments.program, root / f"round{number}{'back' if back else ''}")
                if back:
                    serve_from_the_beginning(trained, app.folder)
                change = functools.partial(*(roll_back, app) if back else (publish, trained, app.folder))
                hit += disturb(app, change, random.Random(1000 * arguments.seed + 100 * back + number), number)
                got = outcome(app, back)
                check(expected, got)
                both += len(set(got[1].values())) == 2
                state = ask_registry(app.folder, "SELECT state FROM versions WHERE version = 1")[0]
                changed += state == ("previous" if back else "champion")
            way = "back to version 0" if back else "to version 1"
            assert both and changed and hit >= arguments.rounds, f"{way}: {hit} kills, {both} with both, {changed}"
            print(f"seed {arguments.seed}: {hit} kills in {arguments.rounds} rounds {way}, both versions served in "
                  f"{both}, the registry says so in {changed}; {len(expected[0][0])} decisions exact each time")


if __name__ == "__main__":
    program.run_cases(main)
