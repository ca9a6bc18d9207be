"""What the kill tests feed the program, and what an independent reading of its rules expects.

Four partitions of two series each. Beside plain rows each partition has rows that need what a commit must carry:
repeats of an event id from up to 400 rows before (the gate's ids), stretches that are late behind a row that ran
ahead (its watermark), records that cannot be decoded and values that are refused (the dead letters, which no
position numbers), rows within the allowed lateness (the views' order). The last row of a partition has value -1.
"""
import collections
import json
import math
import random
import time

PARTITIONS = 4
LATENESS_S = 30
FIRST_S = 1_700_000_000
LOWEST, HIGHEST = -10, 5000  # what `expect` lets pass
END = -1.0

APP = """
app: killed
data: data
server: {{ port: 0 }}
durability: {{ commit_interval: 5ms, replay_max: 1s }}
segments: {{ size: 100KB, age: 2s, every: 200ms }}
sources:
  - name: metrics
    {source}
    event_time: ts
    event_id: id
    dedup_horizon: 1d
    allowed_lateness: 30s
    schema: {{ id: string, series: string, value: double, ts: timestamp }}
    expect:
      - {{ column: value, between: [-10, 5000] }}
features:
  - view: metric
    from: metrics
    key: series
    windows: [10s, 1m, 1h]
    aggregates: {{ n: count(), mean: mean(value), top: max(value), spread: variance(value) }}
models:
  - {{ name: anomaly, detector: ensemble, key: series, inputs: [value] }}
decisions:
  - name: unusual
    on: metrics
    model: anomaly
    output: {{ severity: "case when warm and value > 400 then 'critical' end" }}
    alert: {{ severity: severity, for: 20s, cooldown: 10s, resolve_after: 30s }}
    sinks:
      - {{ name: alerts, webhook: {{ url: "{url}/alert", timeout: 5s }} }}
      - {{ name: marked, send: decisions, when: value < 0 or value > 560.7,
           webhook: {{ url: "{url}/marked", timeout: 5s }} }}
      - {{ name: high, send: decisions, when: value > 560.5, webhook: {{ url: "{url}/high", timeout: 5s }} }}
      - {{ name: higher, send: decisions, when: value > 560.9, log: {{ path: higher.jsonl }} }}
    heal:
      - {{ name: mend, limit: 1000/10m, stop_after: 100, recover_within: 1d,
           webhook: {{ url: "{url}/mend", timeout: 5s }} }}
      - {{ name: act, limit: 1000/10m, stop_after: 100, recover_within: 1d, command: {{ run: act, timeout: 10s }} }}
healing:
  enabled: true
  commands: {{ act: [/bin/sh, "{folder}/act.sh", "{folder}/acts", "{{alert_id}}"] }}
"""
ACT = 'echo "$2" >>"$1"\n'
OUTBOXES = 5  # of the sinks and of healing webhooks
WEBHOOKS = 4
CONDITIONS = {"/marked": lambda value: value < 0 or value > 560.7, "/high": lambda value: value > 560.5,
              "higher.jsonl": lambda value: value > 560.9}


class Row:
    """A record of a partition: a row, or `text` that is none."""

    def __init__(self, event_id="", series="", value=0.0, at_s=0, text=None):
        self.event_id, self.series, self.value, self.at_s, self.text = event_id, series, value, at_s, text

    def stamp(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at_s))

    def csv(self):
        return f"{self.event_id},{self.series},{self.value!r},{self.stamp()}" if self.text is None else self.text

    def json(self):
        if self.text is not None:
            return self.text
        return json.dumps({"id": self.event_id, "series": self.series, "value": self.value, "ts": self.stamp()})


def rows_of(partition, count):
    dice = random.Random(partition)
    made = []
    for row in range(count):
        value = 50 + 10 * math.sin(row / 30) + dice.random()
        if row // 200 % 2 == 1:
            value += 500
        at_s = FIRST_S + row
        if row % 100 == 40:
            at_s += 50
        elif row % 29 == 11:
            at_s -= 10
        if row % 71 == 9:
            value = 9999.0
        made.append(Row(f"p{partition}-{row}", f"s{partition}{'ab'[row % 2]}", value, at_s))
        yield made[-1]
        if row % 37 == 5:
            before = made[max(0, row - dice.randint(1, 400))]
            yield Row(before.event_id, made[-1].series, 77.0, FIRST_S + row)
        if row % 61 == 7:
            yield Row(text=f"p{partition}-{row} is no record")
    yield Row(f"p{partition}-end", f"s{partition}a", END, FIRST_S + count + 100)


def expected_of(partition, count):
    """((series, event time in us) of every decision, number of dead letters), read off the documented rules alone."""
    decided, dead = collections.Counter(), 0
    seen, watermark_s = set(), -math.inf
    for row in rows_of(partition, count):
        if row.text is not None:
            dead += 1
            continue
        if row.event_id in seen:
            continue
        if not LOWEST <= row.value <= HIGHEST:
            dead += 1
            continue
        seen.add(row.event_id)
        if row.at_s < watermark_s - LATENESS_S:
            continue
        watermark_s = max(watermark_s, row.at_s)
        decided[(row.series, row.at_s * 1_000_000)] += 1
    return decided, dead


def expected(count):
    decided, dead = collections.Counter(), 0
    for partition in range(PARTITIONS):
        of_partition = expected_of(partition, count)
        decided += of_partition[0]
        dead += of_partition[1]
    return decided, dead


def files(count):
    """Name -> content of a CSV file for each partition."""
    return {f"p{partition}.csv": "".join(line + "\n" for line in
                                         ["id,series,value,ts", *(row.csv() for row in rows_of(partition, count))])
            .encode() for partition in range(PARTITIONS)}


def write_messages(path, count):
    """What fill_topic reads: `PARTITION TAB RECORD` lines, the partitions in turn."""
    partitions = [list(rows_of(partition, count)) for partition in range(PARTITIONS)]
    with open(path, "w") as out:
        for at in range(max(map(len, partitions))):
            for partition, rows in enumerate(partitions):
                if at < len(rows):
                    out.write(f"{partition}\t{rows[at].json()}\n")
