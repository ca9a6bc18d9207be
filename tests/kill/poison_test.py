"""Aim: a record that crashes the process at two starts is put away at the third, with its reason, and costs nobody
else anything; so is one in which the process is killed from outside three times after it had been in work for long, as
the kernel does when memory ends. A record that merely was in work at a crash, or at kill -9, is not.

The real program; a fail point that aborts on each record that holds a text, while it is decoded or while it is applied.
The program is started again and again with the fail point still there, until it runs to the end.

  poison_test.py PROGRAM
"""
import argparse
import functools
import http.client
import json
import pathlib
import signal
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, run_cases, wait_for

ROWS, BAD = 300, 137

APP = """
app: poisoned
data: data
server: {{ port: 0 }}
sources:
  - name: rows
    {connector}
    event_time: ts
    event_id: id
    schema: {{ id: string, v: int64, ts: timestamp }}
models:
  - {{ name: plain, key: id, rules: {{ score: "v * 1.0" }} }}
decisions:
  - {{ name: seen, on: rows, model: plain, output: {{ double: "v * 2" }} }}
"""


def row(number):
    name = "poison" if number == BAD else f"e{number}"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + number))
    return json.dumps({"id": name, "v": number, "ts": stamp})


def check_aftermath(program, expected):
    decided = sorted(one["key"] for one in program.log("decisions"))
    assert decided == sorted(expected), f"differs: {sorted(set(decided) ^ set(expected))[:5]}, {len(decided)} decided"
    letters = program.log("dead-letters")
    assert len(letters) == 1 and "crashed" in letters[0]["reason"] and "poison" in letters[0]["raw"], letters
    put_away = [one["body"] for one in program.log("journal") if one["kind"] == "record_quarantined"]
    assert len(put_away) == 1 and put_away[0]["source"] == "rows" and put_away[0]["position"], put_away


def file_source(binary, root, stage):
    program = Program(binary, root / stage, APP.format(connector="file: { path: rows.jsonl }"))
    (program.folder / "rows.jsonl").write_text("\n".join(row(n) for n in range(ROWS)) + "\n")
    codes = []
    for _ in range(3):
        program.start(f"{stage}/poison:1", "--until-finished")
        codes.append(program.wait())
    # In the end one record could not be used, and the exit code says so.
    assert codes == [-signal.SIGABRT, -signal.SIGABRT, 7], f"{codes}: {program.output()[-2000:]}"
    assert "1 records that were in work again and again" in program.output(), program.output()
    check_aftermath(program, [f"e{n}" for n in range(ROWS) if n != BAD])


def once_is_not_enough(binary, root):
    program = Program(binary, root / "once", APP.format(connector="file: { path: rows.jsonl }"))
    (program.folder / "rows.jsonl").write_text("\n".join(row(n) for n in range(ROWS)) + "\n")
    for stage in ("decode", "apply"):  # two crashes, but of two kinds of work
        program.start(f"{stage}/poison:1", "--until-finished")
        assert program.wait() == -signal.SIGABRT
    program.start(None, "--until-finished")
    assert program.wait() == 0, program.output()[-2000:]
    assert len(program.log("decisions")) == ROWS and not program.log("dead-letters")


def killed(binary, root, stage):
    """Nobody tells a process that the memory is used up: it is killed, in the middle of the record that takes it."""
    program = Program(binary, root / f"killed-{stage}", APP.format(connector="file: { path: rows.jsonl }"))
    (program.folder / "rows.jsonl").write_text("\n".join(row(n) for n in range(ROWS)) + "\n")
    work = program.folder / "data" / "in_work"

    def in_work_for_long():  # each slot: the record's fingerprint, marks, the fingerprint once it stays
        words = struct.unpack_from("<512Q", work.read_bytes()) if work.exists() else ()
        return any(words[at] and words[at] == words[at + 2] for at in range(0, len(words), 8))
    for _ in range(3):
        program.start(f"{stage}/poison:stall", "--until-finished")
        program.port()  # from here on the slots are those of this start
        wait_for("the record is seen to stay", in_work_for_long, program)
        program.kill()
    program.start(f"{stage}/poison:stall", "--until-finished")
    assert program.wait() == 7, program.output()[-2000:]
    assert "killed 3 times" in program.output(), program.output()
    check_aftermath(program, [f"e{n}" for n in range(ROWS) if n != BAD])


def killed_at_once(binary, root):
    """Kills that find a record in work by chance: however many, it is nobody's fault."""
    program = Program(binary, root / "chance", APP.format(connector="file: { path: rows.jsonl }"))
    (program.folder / "rows.jsonl").write_text("\n".join(row(n) for n in range(ROWS)) + "\n")
    for _ in range(4):
        program.start("apply/poison:kill", "--until-finished")
        assert program.wait() == -signal.SIGKILL
    program.start(None, "--until-finished")
    assert program.wait() == 0, program.output()[-2000:]
    assert len(program.log("decisions")) == ROWS and not program.log("dead-letters")


def push(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/events/rows", body, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def pushed(binary, root, stage):
    program = Program(binary, root / f"http-{stage}", APP.format(connector="http: {}"))
    body = "\n".join(row(n) for n in range(BAD - 3, BAD + 4))
    for _ in range(2):
        program.start(f"{stage}/poison:1")
        assert push(program.port(), body) is None
        assert program.wait() == -signal.SIGABRT
    program.start(f"{stage}/poison:1")
    status, answer = push(program.port(), body)
    assert status == 200 and answer["accepted"] + answer["duplicates"] == 6 and answer["dead_letters"] == 1, answer
    bad = [one for one in answer["results"] if one["status"] == "dead_letter"]
    assert bad[0]["record"] == 3 and "crashed" in bad[0]["reason"], answer
    program.stop()
    check_aftermath(program, [f"e{n}" for n in range(BAD - 3, BAD + 4) if n != BAD])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_poison_") as place:
        root = pathlib.Path(place)
        run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, root, *more))
                    for case, *more in ((file_source, "decode"), (file_source, "apply"), (once_is_not_enough,),
                                        (killed, "decode"), (killed, "apply"), (killed_at_once,),
                                        (pushed, "decode"), (pushed, "apply"))))


if __name__ == "__main__":
    main()
