"""The real program as a test drives it: in a folder of its own, waited for by what it says, never by time alone."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

DEADLINE_S = 120


class Failure(Exception):
    pass


def check(holds, message):
    if not holds:
        raise Failure(message)


def wait_for(what, condition, process=None):
    """Until `condition` gives something true (`what` names it); fails at the deadline, or when the process ends."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        if process is not None and process.poll() is not None:
            found = condition()
            check(found, f"the program ended with {process.returncode} before {what()}")
            return found
        time.sleep(0.05)
    raise Failure(f"not within {DEADLINE_S} s: {what()}")


class Program:
    """One application folder and the processes on it. Use as a context: what still runs is ended."""

    def __init__(self, program, folder, app):
        self.program, self.folder = str(program), pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "app.yaml").write_text(app)
        self.stderr = self.folder / "stderr.txt"
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def call(self, *arguments):
        """Runs a command to its end: (exit code, standard output, standard error)."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=DEADLINE_S,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def run_to_end(self, *arguments):
        code, _, text = self.call("run", str(self.folder / "app.yaml"), "--until-finished", *arguments)
        return code, text

    def start(self, *arguments):
        with open(self.stderr, "ab") as errors:
            self.process = subprocess.Popen([self.program, "run", str(self.folder / "app.yaml"), *arguments],
                                            stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.DEVNULL)
        self.url = self.said(r"metrics at (http://127\.0\.0\.1:\d+)/metrics").group(1)
        return self

    def said(self, pattern):
        """Waits until standard error has the pattern."""
        return wait_for(lambda: f"'{pattern}' on standard error; it says:\n{self.words()}",
                        lambda: re.search(pattern, self.words()), self.process)

    def words(self):
        return self.stderr.read_text(errors="replace") if self.stderr.exists() else ""

    def metric(self, name, **labels):
        """The sum of the samples of that name with these labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=DEADLINE_S) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if re.match(rf"{name}(\{{|\s)", line) and all(each in line for each in wanted))

    def decided(self):
        """The lines of the log sink so far."""
        path = self.folder / "decisions.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def wait_decided(self, count):
        wait_for(lambda: f"{count} decisions; there are {len(self.decided())}; it says:\n{self.words()}",
                 lambda: len(self.decided()) >= count, self.process)
        return self.decided()

    def wait_dead_letters(self, count):
        """The counter follows the source about once a second; it never passes the number."""
        total = lambda: self.metric("quickwater_dead_letters_total", source="events")
        wait_for(lambda: f"{count} dead letters; the counter says {total()}",
                 lambda: total() >= count, self.process)
        check(total() == count, f"{count} dead letters, and the counter says {total()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=DEADLINE_S)
        check(code == 0, f"stopped with {code}:\n{self.words()}")

    def log(self, what):
        """`quickwater log`, of the stopped program."""
        code, text, errors = self.call("log", what, str(self.folder / "app.yaml"))
        check(code == 0, f"log {what}: {errors}")
        return [json.loads(line) for line in text.splitlines()]


def app(sources, on="events", when=""):
    """An application that decides on each event of `on`, and tells it to decisions.jsonl."""
    condition = f"when: {when}, " if when else ""
    return f"""app: bad
server: {{ port: 0 }}
sources:
{sources}
models:
  - {{ name: plain, rules: {{ score: "coalesce(amount, -1.0)" }} }}
decisions:
  - {{ name: each, on: {on}, model: plain, {condition}output: {{ who: id, much: amount }},
      sinks: [ {{ log: {{ path: decisions.jsonl }} }} ] }}
"""


def file_source(name="events", mode="tail", more=""):
    return f"""  - name: {name}
    file: {{ path: {name}.jsonl, mode: {mode} }}
    event_time: ts
    event_time_format: epoch_ms
    schema: {{ id: string, amount: double, ts: timestamp }}
{more}"""


def ids(decisions):
    return [one["outputs"]["who"] for one in decisions]


def write_lines(path, lines):
    with open(path, "a") as out:
        for line in lines:
            out.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        out.flush()
        os.fsync(out.fileno())
