"""What the scripts of this folder share: one running Quickwater of a temporary folder."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

LIMIT_S = 180


class Program:
    """`quickwater run` of one folder. Its output is appended to stderr.txt there."""

    def __init__(self, binary, folder, app):
        self.binary, self.folder = binary, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "app.yaml").write_text(app)
        self.process = None
        self.begin = 0

    def start(self, fail_point=None, *arguments):
        env = dict(os.environ)
        env.pop("QUICKWATER_FAIL_POINT", None)
        if fail_point:
            env["QUICKWATER_FAIL_POINT"] = fail_point
        path = self.folder / "stderr.txt"
        self.begin = path.stat().st_size if path.exists() else 0
        with open(path, "ab") as out:
            self.process = subprocess.Popen([self.binary, "run", str(self.folder / "app.yaml"), *arguments], env=env,
                                            stdout=subprocess.DEVNULL, stderr=out)
        return self

    def output(self):
        """What this start has said so far."""
        path = self.folder / "stderr.txt"
        if not path.exists():
            return ""
        with open(path, "rb") as file:
            file.seek(self.begin)
            return file.read().decode(errors="replace")

    def port(self):
        """The port of its HTTP server once it runs; None when it ended before."""
        def found():
            return re.search(r"metrics at http://127\.0\.0\.1:(\d+)/", self.output())
        if not eventually(lambda: found() or self.process.poll() is not None):
            raise AssertionError(f"it does not start: {self.output()[-2000:]}")
        return int(found().group(1)) if found() else None

    def wait(self, limit_s=LIMIT_S):
        return self.process.wait(limit_s)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait()

    def stop(self):
        """Ends it in order."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LIMIT_S)
        assert code == 0, f"it ended with {code}: {self.output()[-2000:]}"

    def log(self, what):
        text = subprocess.run([self.binary, "log", what, str(self.folder / "app.yaml")], check=True,
                              capture_output=True, text=True).stdout
        return [json.loads(line) for line in text.splitlines()]


def eventually(condition, limit_s=LIMIT_S):
    """Waits until it holds; False when it never does."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def run_cases(*cases):
    """Runs each, prints what failed, and ends the script with the count."""
    failed = 0
    for case in cases:
        try:
            case()
        except AssertionError as problem:
            failed += 1
            print(f"{case.__name__}: {problem}")
    print(f"{len(cases) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)
