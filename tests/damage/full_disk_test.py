"""Aim: a full disk ends no start by a signal, loses nothing and is never called durable: exit 5 with words, or it waits
and goes on by itself. So for bytes, for inodes and for a folder that may not be written.

The real program on a small tmpfs; without the right to mount one, every case is skipped.

  full_disk_test.py PROGRAM [CASE ...]
"""
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import Program, Skip, check, run_cases, wait_for

APP = """app: full
server: { port: 0 }
data: DATA
sources:
  - name: events
    file: { path: events.jsonl, mode: tail }
    event_time: ts
    event_time_format: epoch_ms
    schema: { id: string, amount: double, ts: timestamp }
models:
  - { name: plain, rules: { score: "coalesce(amount, -1.0)" } }
decisions:
  - { name: each, on: events, model: plain, output: { who: id } }
"""
BEGIN_MS = 1_700_000_000_000


class Disk:
    """A mounted tmpfs, as a context."""

    def __init__(self, place, size_mb=160, inodes=5000):
        self.place = place
        self.options = f"size={size_mb}m,nr_inodes={inodes}"

    def __enter__(self):
        self.place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.place],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"no tmpfs can be mounted: {done.stderr.strip()}")
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.place], check=False, capture_output=True)

    def fill(self, leave_kb=0):
        with open(self.place / "filler", "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"1" * size)
                except OSError:
                    pass
        if leave_kb:
            os.truncate(self.place / "filler", (self.place / "filler").stat().st_size - (leave_kb << 10))

    def use_inodes(self):
        folder = self.place / "many"
        folder.mkdir()
        try:
            for number in range(100_000):
                (folder / str(number)).touch()
        except OSError:
            pass

    def free(self):
        (self.place / "filler").unlink(missing_ok=True)
        shutil.rmtree(self.place / "many", ignore_errors=True)


def feed(folder, begin, end):
    with open(folder / "events.jsonl", "a") as out:
        for number in range(begin, end):
            out.write(json.dumps({"id": f"e{number}", "amount": 1.0, "ts": BEGIN_MS + number * 1000}) + "\n")


def made(binary, folder, disk, rows):
    program = Program(binary, folder / "app", APP.replace("DATA", str(disk.place / "data")))
    feed(program.folder, 0, rows)
    return program


def durable(program):
    return program.metric("quickwater_stage_latency_seconds_count", stage="durable")


def ends_with_words(program, *words):
    program.start()
    if program.port() is not None:
        program.kill()
        raise AssertionError(f"it runs on a full disk: {program.output()}")
    code, said = program.wait(), program.output()
    check(code == 5, f"exit {code}: {said}")
    check("how to mend" in said and all(word in said for word in words), said)


def goes_on(program, rows):
    """Reads what there is to its end and stops by itself."""
    tail = program.file.read_text()
    program.file.write_text(tail.replace("mode: tail", "mode: read"))
    code, _, said = program.call("run", program.file, "--until-finished")
    check(code == 0, f"exit {code}: {said}")
    found = len(program.log("decisions"))
    check(found == rows, f"{found} decisions of {rows}")
    program.file.write_text(tail)


def is_whole(program):
    code, said, _ = program.call("doctor", program.file)
    check(code == 0, f"doctor exits {code}: {said}")


def a_first_start_on_a_full_disk(binary, folder):
    for leave_kb in (0, 4, 64, 1000):
        with Disk(folder / f"disk{leave_kb}") as disk, made(binary, folder / str(leave_kb), disk, 20) as program:
            disk.fill(leave_kb)
            ends_with_words(program)
            disk.free()
            goes_on(program, 20)


def a_later_start_on_a_full_disk(binary, folder):
    for leave_kb in (0, 16, 30_000):
        with Disk(folder / f"disk{leave_kb}") as disk, made(binary, folder / str(leave_kb), disk, 200) as program:
            program.start()
            wait_for("all", lambda: durable(program) >= 200, program)
            program.kill() if leave_kb == 16 else program.stop()
            disk.fill(leave_kb)
            ends_with_words(program, "full")
            check(len(program.log("decisions")) == 200, "the log cannot be read on a full disk")
            is_whole(program)
            disk.free()
            goes_on(program, 200)


def a_stop_on_a_full_disk_is_honest(binary, folder):
    with Disk(folder / "disk") as disk, made(binary, folder, disk, 100) as program:
        program.start()
        wait_for("all", lambda: durable(program) >= 100, program)
        disk.fill()
        feed(program.folder, 100, 300)
        wait_for("it notices", lambda: "cannot commit" in program.output(), program)
        program.process.terminate()
        code, said = program.wait(), program.output()
        check(code == 5 and "everything is durable" not in said, f"exit {code}: {said}")
        check("not durable" in said and "how to mend" in said, said)
        disk.free()
        goes_on(program, 300)


def it_waits_and_goes_on(binary, folder):
    with Disk(folder / "disk") as disk, made(binary, folder, disk, 100) as program:
        program.start()
        wait_for("all", lambda: durable(program) >= 100, program)
        for times, rows in enumerate((300, 500), 1):
            disk.fill()
            feed(program.folder, rows - 200, rows)
            wait_for("it notices", lambda: program.output().count("cannot commit") == times, program)
            disk.free()
            wait_for("it goes on", lambda: durable(program) >= rows, program)
        program.stop()
        feed(program.folder, 500, 510)
        goes_on(program, 510)


def without_inodes(binary, folder):
    with Disk(folder / "disk", inodes=300) as disk, made(binary, folder / "app", disk, 20) as program:
        disk.use_inodes()
        ends_with_words(program)
        disk.free()
        goes_on(program, 20)
        disk.use_inodes()
        ends_with_words(program)
        disk.free()
        feed(program.folder, 20, 30)
        goes_on(program, 30)


def a_mount_that_may_not_be_written(binary, folder):
    with Disk(folder / "disk") as disk, made(binary, folder / "app", disk, 20) as program:
        goes_on(program, 20)
        subprocess.run(["mount", "-o", "remount,ro", disk.place], check=True)
        ends_with_words(program, "data")
        check(len(program.log("decisions")) == 20, "the log cannot be read")
        is_whole(program)


def an_answer_that_nothing_takes(binary, folder):
    with open("/dev/full", "w") as full:
        for command in (["help"], ["version"], ["completion", "bash"]):
            done = subprocess.run([binary, *command], stdout=full, stderr=subprocess.PIPE, text=True)
            check(done.returncode == 5 and "not whole" in done.stderr, f"{command}: {done.returncode} {done.stderr}")
    with Disk(folder / "disk") as disk:
        disk.fill()
        code, _, said = Program(binary, folder / "any").call("new", disk.place / "app")
        check(code == 5 and "free some" in said, f"exit {code}: {said}")
        disk.free()
        code, _, said = Program(binary, folder / "any").call("new", disk.place / "app")
        check(code == 0, f"what was left is in the way: exit {code}: {said}")


if __name__ == "__main__":
    names = sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="qw-full-") as root:
        cases = []
        for case in (a_first_start_on_a_full_disk, a_later_start_on_a_full_disk, a_stop_on_a_full_disk_is_honest,
                     it_waits_and_goes_on, without_inodes, a_mount_that_may_not_be_written,
                     an_answer_that_nothing_takes):
            if not names or case.__name__ in names:
                place = pathlib.Path(root) / case.__name__
                place.mkdir()
                run = functools.partial(case, pathlib.Path(sys.argv[1]).resolve(), place)
                cases.append(functools.update_wrapper(run, case))
        run_cases(*cases)
