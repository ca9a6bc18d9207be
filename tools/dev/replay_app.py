"""replay_app.py FOLDER OUT: writes OUT/app.yaml, an application that replays FOLDER's series (NAB layout).

FOLDER holds CSV files with the columns timestamp and value. The labelled windows come from labels/combined_windows.json
beside it or above it, by "folder/file.csv". The pace is such that the whole story takes about a minute and a half.
"""
import datetime
import json
import os
import pathlib
import sys

STORY_S = 90
GAP_MAX_S = 3600  # the file source shortens longer pauses to this

APP = """\
# Written by ./dev demo --data {folder}
app: replay
data: data

sources:
  - name: recorded
    file: {{ path: {files}, mode: replay, speed: {speed}, series_column: series }}
    format: csv
    event_time: timestamp
    event_time_zone: UTC
    schema: {{ series: string, timestamp: timestamp, value: double }}

features:
  - view: recent
    from: recorded
    key: series
    windows: [6h, 7d]
    aggregates: {{ n: count(), mean: mean(value), max: max(value) }}

models:
  - {{ name: unusual, detector: ensemble, key: series, inputs: [value] }}

decisions:
  - name: watch
    on: recorded
    model: unusual
    output:
      severity: "case when warm and score >= threshold then 'warning' end"
    alert: {{ severity: severity, for: 0s, cooldown: 1d, resolve_after: 30s, summary: "{{series}}: {{value}}" }}
"""


def fail(message):
    sys.exit(f"replay_app.py: {message}")


def times_of(path):
    with open(path) as lines:
        if next(lines, "").strip() != "timestamp,value":
            fail(f"{path} does not begin with the line timestamp,value")
        return [datetime.datetime.fromisoformat(line.split(",", 1)[0]).timestamp() for line in lines if line.strip()]


def speed_of(paths):
    times = sorted({time for path in paths for time in times_of(path)})
    return max(1, round(sum(min(b - a, GAP_MAX_S) for a, b in zip(times, times[1:])) / STORY_S))


def labels_of(folder):
    for above in (folder, *folder.parents[:2]):
        path = above / "labels" / "combined_windows.json"
        if path.is_file():
            return path
    return None


def main():
    if len(sys.argv) != 3:
        fail("wants a folder and where to write")
    folder, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        inside = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if any(path.glob("*.csv")))
        fail(f"{folder} holds no .csv file" + (f"; these folders in it do: {', '.join(inside)}" if inside else ""))
    text = APP.format(folder=folder, files=json.dumps(str(folder / "*.csv")), speed=speed_of(paths))
    labels = labels_of(folder)
    if labels:
        windows = json.loads(labels.read_text())
        known = [path.name for path in paths if f"{folder.name}/{path.name}" in windows]
        print(f"{len(paths)} series, {sum(len(windows[f'{folder.name}/{name}']) for name in known)} labelled windows")
        text += f"\ndemo:\n  labels: {json.dumps(str(labels))}\n"
    else:
        print(f"{len(paths)} series; no labels/combined_windows.json beside or above {folder}")
    os.makedirs(out, exist_ok=True)
    (out / "app.yaml").write_text(text)


if __name__ == "__main__":
    main()
