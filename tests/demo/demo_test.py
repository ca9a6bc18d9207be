"""Aim: `./dev demo` tells its whole story, and Ctrl-C leaves nothing behind.

It is started as a person starts it, in a folder of its own. It gets ready; an incident is started by the command; an
alert opens, its healing webhook ends the incident; Ctrl-C. Then no process of it runs, and outside the data folder no
file is left. On a machine that is busy otherwise an incident of one kind may drown in what else happens, so all three
kinds are tried, one after another, until one was healed.

  demo_test.py [--limit SECONDS]     exit code 77: it cannot run here (the reason on the last line)
"""
import argparse
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from program import wait_for

ROOT = pathlib.Path(os.environ.get("QUICKWATER_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = ROOT / "build" / "quickwater"
PR_SET_CHILD_SUBREAPER = 36
INCIDENT_S = 60


def get(url, path):
    with urllib.request.urlopen(url + path, timeout=60) as answer:
        return json.load(answer)


class Demo:
    def __init__(self, folder, *more, data="data"):
        self.folder, self.data = folder, folder / data
        self.output = open(folder.parent / "output.txt", "w+")
        self.process = subprocess.Popen(["./dev", "demo", "--port", "0", "--folder", str(folder), *more], cwd=ROOT,
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
                                        start_new_session=True, env={**os.environ, "QW_SKIP_PACKAGES": "1"})

    def said(self):
        return pathlib.Path(self.output.name).read_text()

    def url(self):
        assert self.process.poll() is None, "it ended by itself"
        try:
            return (self.data / "control.url").read_text().strip()
        except FileNotFoundError:
            return None

    def interrupt(self, limit_s):
        """Ctrl-C: the whole foreground group gets it."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(limit_s)

    def end(self, limit_s, kept):
        """Ctrl-C: a clean end, after which nothing runs and only `kept` lies in its folder."""
        assert self.interrupt(limit_s) == 0, "a clean end is exit code 0"
        left = children()
        assert not left, f"processes left behind: {left}"
        files = sorted(path.name for path in self.folder.iterdir())
        assert files == [kept], f"files left behind: {files}"

    def __enter__(self):
        return self

    def __exit__(self, problem, *_):
        if problem:
            print(self.said()[-6000:])
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()


def warm(url):
    series = get(url, "/v1/series?spark=0&limit=2000")["series"]
    machine = [one["warm"] for one in series if not one["metric"].startswith("process.")]
    return bool(machine) and min(machine) >= 1


def healed_kind(demo, url, limit_s):
    """Starts incidents until one is ended by the webhook; its kind."""
    for kind in ("cpu", "memory", "disk"):
        begun = subprocess.run([PROGRAM, "incident", kind, "--seconds", str(INCIDENT_S), "--data", demo.data],
                               capture_output=True, text=True, timeout=120)
        assert begun.returncode == 0 and begun.stdout.startswith("asked "), begun
        wait_for(f"the end of the {kind} incident",
                 lambda: not get(url, "/v1/status")["demo"]["incident_running"], limit_s=limit_s)
        listed = get(url, "/v1/series?spark=0&filter=process%20exe")["series"]
        assert not [one["id"] for one in listed if one["entity"] == "exe"], "the load is listed without its name"
        if last_end(url) == "ended by the healing action":
            return kind
        print(f"the {kind} incident ended by itself; trying the next kind")
    raise AssertionError("no incident was found and healed")


def last_end(url):
    """How the last incident ended, as the timeline tells it."""
    entries = wait_for("the end to be told", lambda: [
        entry for entry in get(url, "/v1/timeline?limit=1&kinds=incident")["entries"] if entry["phase"] != "started"])
    return entries[0]["detail"]


def journal(demo):
    text = subprocess.run([PROGRAM, "log", "journal", "examples/anomaly/app.yaml", "--data", demo.data], cwd=ROOT,
                          check=True, capture_output=True, text=True, timeout=120).stdout
    return [json.loads(line) for line in text.splitlines()]


def check_journal(records, kind):
    """The incident, then an alert, the action about it, the end by healing: in this order."""
    def place(wanted, after=-1):
        for index, record in enumerate(records):
            if index > after and wanted(record["kind"], record["body"]):
                return index
        raise AssertionError(f"the journal lacks a step of the story: {[record['kind'] for record in records]}")
    begun = place(lambda k, body: k == "incident_started" and body["kind"] == kind)
    alert = place(lambda k, _: k == "alert_fired", begun)
    action = place(lambda k, _: k == "action_started", alert)
    place(lambda k, body: k == "incident_ended" and body["state"] == "healed", action)
    place(lambda k, _: k == "action_finished", action)


def children():
    """The processes that were left to this one and still run."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return []
    mine = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == os.getpid():
                mine.append((entry.name, (entry / "comm").read_text().strip()))
    return mine


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--limit", type=float, default=600, help="for each wait, in seconds")
    limit_s = arguments.parse_args().limit
    # Whatever it leaves running becomes a child of this process, and is seen at the end.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(prefix="quickwater-demo-") as root:
        (pathlib.Path(root) / "demo").mkdir()
        with Demo(pathlib.Path(root) / "demo") as demo:
            url = wait_for("the server", demo.url, limit_s=limit_s)
            wait_for("every series of the machine to be learned", lambda: warm(url), limit_s=limit_s)
            kind = healed_kind(demo, url, limit_s)
            # One more runs while Ctrl-C comes: it must not outlive the program.
            wait_for("another incident", lambda: subprocess.run(
                [PROGRAM, "incident", "cpu", "--seconds", "120", "--data", demo.data],
                capture_output=True, timeout=120).returncode == 0, limit_s=limit_s)
            demo.end(limit_s, "data")
            assert not (demo.data / "control.url").exists(), "its address is still written down"
            check_journal(journal(demo), kind)
    print(f"./dev demo: the {kind} incident was found and healed; nothing was left behind")


if __name__ == "__main__":
    sys.exit(main())
