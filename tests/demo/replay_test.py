"""Aim: `./dev demo --data DIR` replays a labelled folder with its windows drawn, and leaves nothing behind.

The folder is made here, in the layout of the Numenta Anomaly Benchmark: two series, one with a labelled window. The
page's own API is asked, as the page does; Ctrl-C ends it.

  replay_test.py [--limit SECONDS]
"""
import argparse
import ctypes
import datetime
import json
import pathlib
import sys
import tempfile

import demo_test
from demo_test import Demo, get
from program import wait_for

ROWS = 600
BEGIN = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
WINDOW = (120, 140)  # rows


def time_of(row):
    return BEGIN + datetime.timedelta(minutes=5 * row)


def micros(row):
    return int(time_of(row).timestamp()) * 1_000_000


def write_folder(root):
    folder = root / "corpus" / "data" / "made"
    folder.mkdir(parents=True)
    for name in ("pump", "valve"):
        rows = [f"{time_of(row):%Y-%m-%d %H:%M:%S},{(row * 7919 + len(name)) % 10 + (80 if row == 130 else 0)}"
                for row in range(ROWS)]
        (folder / f"{name}.csv").write_text("timestamp,value\n" + "\n".join(rows) + "\n")
    labels = root / "corpus" / "labels"
    labels.mkdir()
    window = [f"{time_of(row):%Y-%m-%d %H:%M:%S.000000}" for row in WINDOW]
    (labels / "combined_windows.json").write_text(json.dumps({"made/pump.csv": [window], "made/valve.csv": []}))
    return folder


def check(url, limit_s):
    by_name = wait_for("both series", lambda: {
        name: one for one in get(url, "/v1/series?spark=0")["series"] for name in ("pump", "valve")
        if name in one["id"]} if get(url, "/v1/series?spark=0")["total"] == 2 else None, limit_s=limit_s)
    assert get(url, "/v1/status")["mode"] == "replay"

    def history(name):
        return get(url, f"/v1/series/{by_name[name]['id'].replace('/', '%2F')}/history?from_us=0")
    labels = wait_for("the labelled window to be reached", lambda: history("pump")["labels"], limit_s=limit_s)
    assert [(one["from_us"], one["to_us"], one["kind"]) for one in labels] == [
        (micros(WINDOW[0]), micros(WINDOW[1]), "dataset")], labels
    assert history("valve")["labels"] == [], "the other series has none"
    past = wait_for("what comes after it", lambda: [
        at for at in history("pump")["t_us"] if at > micros(WINDOW[1])], limit_s=limit_s)
    assert past[0] < micros(ROWS), "event times are the recorded ones"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--limit", type=float, default=300, help="for each wait, in seconds")
    limit_s = arguments.parse_args().limit
    ctypes.CDLL(None).prctl(demo_test.PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(prefix="quickwater-replay-") as root:
        corpus = write_folder(pathlib.Path(root))
        (pathlib.Path(root) / "demo").mkdir()
        with Demo(pathlib.Path(root) / "demo", "--data", str(corpus), data="replay/data") as demo:
            check(wait_for("the server", demo.url, limit_s=limit_s), limit_s)
            demo.end(limit_s, "replay")
    print("./dev demo --data: the labelled window was drawn; nothing was left behind")


if __name__ == "__main__":
    sys.exit(main())
