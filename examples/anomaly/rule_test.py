"""Aim: the rules of this app.yaml find what a load does to a machine, again when it comes back, and nothing else.

A made-up half hour of a quiet machine (seeded: ordinary noise, short bursts, a command that wakes once a minute, a busy
one that is always busy) runs through the app's own features, model and decision from a file. Loads of three seconds,
as long as one lives that is healed, stand in it at known moments.

  rule_test.py PROGRAM
"""
import datetime
import json
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BEGIN = 1_795_430_000
LOAD_S, FIRST, AGAIN = 3, 200, (260, 1100, 1500)
FOUND_WITHIN_S = 10
LOADED = {"cpu.total_percent", "process.cpu_percent/hog", "memory.used_percent", "disk.write_bytes_per_s/vda"}

SOURCE = """\
  - name: machine
    file: { path: in.csv }
    format: csv
    event_time: ts
    schema: { series: string, metric: string, value: double, ts: timestamp }
"""


def app_text():
    """The example with a file in place of the machine, and nobody to call."""
    text = (HERE / "app.yaml").read_text()
    source, features = text.index("  - name: machine\n"), text.index("features:\n")
    heal = text.index("    heal:\n")
    return text[:source] + SOURCE + text[features:heal] + "server: { port: 0 }\n"


def rows(seed):
    noise = random.Random(seed)
    for half in range(3600):
        at_s = half / 2
        load = any(begin <= at_s < begin + LOAD_S for begin in (FIRST, *AGAIN))
        cpu = min(55, max(0, noise.gauss(2.5, 1) + (noise.random() < 0.03) * noise.uniform(3, 50)))
        yield at_s, "cpu.total_percent", 100 - abs(noise.gauss(0, 0.5)) if load else cpu
        yield at_s, "process.cpu_percent/hog", 200 - abs(noise.gauss(0, 4)) if load else noise.choice([0, 2, 2, 4])
        yield at_s, "process.cpu_percent/cron", noise.uniform(20, 90) if 2 * at_s % 120 < 2 else 0
        yield at_s, "process.cpu_percent/always", 95 + noise.gauss(0, 2)
        yield at_s, "memory.used_percent", 8 + noise.gauss(0, 0.05) + 17 * load
        quiet = noise.choice([0, 0, 8e3, 2e4, 1e5, 3e5]) + (noise.random() < 0.02) * 3e7
        yield at_s, "disk.write_bytes_per_s/vda", noise.choice([5e7, 9e7, 1e8, 1.5e8]) if load else quiet
        yield at_s, "net.rx_bytes_per_s/eth0", noise.choice([0, 0, 400, 2e4, 3e5])


def write_input(path, seed):
    with open(path, "w") as out:
        out.write("series,metric,value,ts\n")
        for at_s, series, value in rows(seed):
            moment = datetime.datetime.fromtimestamp(BEGIN + at_s, datetime.timezone.utc)
            out.write(f"{series},{series.split('/')[0]},{value:.4g},{moment:%Y-%m-%dT%H:%M:%S.%fZ}\n")


def alerts(program, seed):
    """(series, when it opened in seconds of the half hour)"""
    with tempfile.TemporaryDirectory(prefix="quickwater-rule-") as folder:
        folder = pathlib.Path(folder)
        (folder / "app.yaml").write_text(app_text())
        write_input(folder / "in.csv", seed)
        for words in (["run", "app.yaml", "--until-finished"], ["log", "journal", "app.yaml"]):
            done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [(record["body"]["key"], record["body"]["opened_us"] / 1e6 - BEGIN) for record in records
            if record["kind"] == "alert_fired"]


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    for seed in (1, 2, 3):
        found = alerts(program, seed)
        for begin in (FIRST, *AGAIN):
            soon = {series for series, at_s in found if begin <= at_s <= begin + FOUND_WITHIN_S}
            lacking = LOADED - soon if begin == FIRST else set() if soon else LOADED
            assert not lacking, f"seed {seed}: the load at {begin} s was not found on {sorted(lacking)}"
        other = [(series, at_s) for series, at_s in found
                 if not any(begin <= at_s <= begin + FOUND_WITHIN_S for begin in (FIRST, *AGAIN))]
        assert not other, f"seed {seed}: alerts about nothing: {other}"
    print("every load found, nothing else")


if __name__ == "__main__":
    main()
