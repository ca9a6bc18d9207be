"""The real program as the test scripts drive it: in a folder of its own, waited for by what it says and does, never by
time alone.

A script outside this folder begins with
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request

LIMIT_S = 180  # of any one wait: far above what is needed, only so that a broken program does not hang the test


class Skip(Exception):
    """Raised by a case that cannot run here; the reason."""


def check(holds, message):
    if not holds:
        raise AssertionError(message)


def wait_for(what, condition, program=None, limit_s=None):
    """Until `condition` gives something true, which is returned. `what`, a text or what makes one, names it when it
    never does, or when the program ends before it. A server that does not answer is one that does not answer yet."""
    def failed(why):
        said = f"; it says: {program.output()[-2000:]}" if program else ""
        raise AssertionError(f"{why} {what() if callable(what) else what}{said}")

    def found():
        try:
            return condition()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None
    until = time.monotonic() + (limit_s or LIMIT_S)
    while True:
        ended = program is not None and program.process.poll() is not None
        got = found()
        if got:
            return got
        if ended:
            failed(f"the program ended with {program.process.returncode} before:")
        if time.monotonic() > until:
            failed(f"not within {limit_s or LIMIT_S} s:")
        time.sleep(0.05)


class Program:
    """One application folder and the process on it, started again as often as wanted. As a context: what still runs at
    the end is killed. What it says is appended to stderr.txt in its folder."""

    def __init__(self, binary, folder, app=None):
        self.binary, self.folder = str(binary), pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "app.yaml"
        if app is not None:
            self.file.write_text(app)
        self.stderr = self.folder / "stderr.txt"
        self.process = None
        self.begin = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def start(self, fail_point=None, *arguments, env=None):
        env = dict(os.environ, **(env or {}))
        env.pop("QUICKWATER_FAIL_POINT", None)
        if fail_point:
            env["QUICKWATER_FAIL_POINT"] = fail_point
        self.begin = self.stderr.stat().st_size if self.stderr.exists() else 0
        with open(self.stderr, "ab") as errors:
            self.process = subprocess.Popen([self.binary, "run", str(self.file), *arguments], env=env,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        return self

    def output(self):
        """What this start has said so far."""
        if not self.stderr.exists():
            return ""
        return self.stderr.read_bytes()[self.begin:].decode(errors="replace")

    def said(self, pattern):
        """Waits until this start has said it; the match."""
        return wait_for(f"'{pattern}' on standard error", lambda: re.search(pattern, self.output()), self)

    def port_now(self):
        """The port of its server; None as long as it has not said it."""
        found = re.search(r"metrics at http://127\.0\.0\.1:(\d+)/", self.output())
        return int(found.group(1)) if found else None

    def port(self):
        """The port of its server once it runs; None when it ended before."""
        wait_for("it starts", lambda: self.port_now() or self.process.poll() is not None, self)
        return self.port_now()

    def ask(self, path):
        """What its server answers to a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port()}{path}", timeout=LIMIT_S) as answer:
            return answer.read().decode()

    def post(self, path, body):
        """(status, answer) of a POST of JSON, as its page sends it."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port()}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"null")

    def samples(self, name, **labels):
        """The values of a metric's samples with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return [float(line.rsplit(" ", 1)[1]) for line in self.ask("/metrics").splitlines()
                if re.match(rf"{name}(\{{|\s)", line) and all(each in line for each in wanted)]

    def metric(self, name, **labels):
        """Their sum."""
        return sum(self.samples(name, **labels))

    def wait(self, limit_s=LIMIT_S):
        """The exit code; None when it still runs."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait()

    def stop(self, limit_s=LIMIT_S):
        """Ends it in order."""
        self.process.send_signal(signal.SIGTERM)
        code = self.wait(limit_s)
        assert code == 0, f"it ended with {code}: {self.output()[-2000:]}"

    def call(self, *arguments):
        """Runs a command to its end: (exit code, standard output, standard error)."""
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def log(self, what):
        """`quickwater log`, of the stopped program."""
        code, text, errors = self.call("log", what, self.file)
        assert code == 0, f"log {what}: {errors}"
        return [json.loads(line) for line in text.splitlines()]


def run_cases(*cases):
    """Runs each, prints how it ended, and ends the script with the counts."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in cases:
        try:
            case()
            counts["passed"] += 1
            print(f"ok {case.__name__}", flush=True)
        except Skip as reason:
            counts["skipped"] += 1
            print(f"SKIP: {case.__name__}: {reason}", flush=True)
        except Exception as problem:
            counts["failed"] += 1
            told = problem if isinstance(problem, AssertionError) and str(problem) else traceback.format_exc()
            print(f"FAILED {case.__name__}: {told}", flush=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(1 if counts["failed"] else 0)
