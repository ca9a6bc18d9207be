"""Test suites as CTest lists them (cmake/tests.cmake), how one is run, and what came of it."""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree

SKIPPED = 77  # the exit code by which a script suite says that it could not run
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
NODE_COUNT = re.compile(r"^(?:#|\u2139) (pass|fail|cancelled|skipped) (\d+)$", re.M)  # as TAP or for people
NODE_SKIP = re.compile(r"# SKIP (.+)$", re.M)


@dataclasses.dataclass
class Suite:
    name: str
    label: str
    kind: str  # gtest or script
    command: list
    needs: list   # engines
    builds: list  # targets
    environment: dict
    folder: str
    timeout_s: float
    serial: bool


@dataclasses.dataclass
class Outcome:
    suite: Suite
    passed: int = 0
    failures: list = dataclasses.field(default_factory=list)  # names of cases
    skips: list = dataclasses.field(default_factory=list)     # (name of case, reason)
    seconds: float = 0.0
    log: str = ""

    @property
    def empty(self):
        return not (self.passed or self.failures or self.skips)


def list_suites(build, prefix=""):
    """The suites of a configured build folder. `prefix` marks those of a sanitizer's build."""
    listing = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True,
                             text=True, stdout=subprocess.PIPE).stdout
    return [parse_suite(test, prefix) for test in json.loads(listing)["tests"]]


def parse_suite(test, prefix):
    properties = {each["name"]: each["value"] for each in test.get("properties", [])}
    plain = []
    marks = {"kind": [], "needs": [], "builds": []}
    for label in properties.get("LABELS", []):
        key, colon, value = label.partition(":")
        if colon and key in marks:
            marks[key].append(value)
        else:
            plain.append(label)
    return Suite(
        name=prefix + test["name"], label=(plain or ["unlabelled"])[0],
        kind=(marks["kind"] or ["script"])[0], command=test.get("command", []),
        needs=marks["needs"], builds=marks["builds"],
        environment=dict(line.split("=", 1) for line in properties.get("ENVIRONMENT", [])),
        folder=properties.get("WORKING_DIRECTORY", "."),
        timeout_s=float(properties.get("TIMEOUT", 300)), serial=bool(properties.get("RUN_SERIAL")))


class Runner:
    """Runs suites, each in a process group of its own; `stop` ends those that are still running."""

    def __init__(self, results, scratch, environment, gtest_filter=None):
        self.results = pathlib.Path(results)
        self.scratch = pathlib.Path(scratch)
        self.environment = environment
        self.gtest_filter = gtest_filter
        self.running = set()
        self.stopped = False
        self.results.mkdir(parents=True, exist_ok=True)

    def run(self, suite):
        stem = self.results / re.sub(r"[^\w.-]", "_", suite.name)
        outcome = Outcome(suite, log=f"{stem}.log")
        if self.stopped:
            return outcome
        report = pathlib.Path(f"{stem}.xml")
        report.unlink(missing_ok=True)
        command = list(suite.command)
        if suite.kind == "gtest":
            command.append(f"--gtest_output=xml:{report}")
            if self.gtest_filter:
                command.append(f"--gtest_filter={self.gtest_filter}")
        began = time.monotonic()
        code, trouble = self._run_command(suite, command, outcome.log)
        outcome.seconds = time.monotonic() - began
        text = pathlib.Path(outcome.log).read_text(errors="replace")
        read = read_gtest if suite.kind == "gtest" else read_script
        read(outcome, code, text, report)
        if trouble:
            outcome.failures.append(trouble)
        return outcome

    def _run_command(self, suite, command, log):
        scratch = self.scratch / re.sub(r"[^\w.-]", "_", suite.name)
        scratch.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **suite.environment, "TMPDIR": str(scratch), "TEST_TMPDIR": f"{scratch}/"}
        for name in suite.needs:
            environment.update(self.environment.get(name, {}))
        with open(log, "wb") as sink:
            try:
                process = subprocess.Popen(command, cwd=suite.folder, env=environment, stdout=sink,
                                           stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                                           start_new_session=True)
            except OSError as error:
                return 1, f"cannot be started: {error}"
            self.running.add(process.pid)
            try:
                code, trouble = process.wait(timeout=suite.timeout_s), ""
            except subprocess.TimeoutExpired:
                code, trouble = 1, f"ended after its limit of {suite.timeout_s:.0f} s"
            finally:
                # What a suite has started ends with it.
                end_group(process.pid)
                process.wait()
                self.running.discard(process.pid)
        shutil.rmtree(scratch, ignore_errors=True)
        return code, trouble

    def stop(self):
        self.stopped = True
        for pid in list(self.running):
            end_group(pid)


def end_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def read_gtest(outcome, code, text, report):
    if report.exists():
        for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            skip = case.find("skipped")
            if case.find("failure") is not None:
                outcome.failures.append(name)
            elif skip is not None:
                outcome.skips.append((name, skip_reason(skip)))
            elif case.get("status") == "run":
                outcome.passed += 1
        if code != 0 and not outcome.failures:
            outcome.failures.append(f"ended with {describe(code)} after its cases")
        return
    # No report: the program ended inside a case. Count what it had finished.
    outcome.passed = len(re.findall(r"^\[       OK \] ", text, re.M))
    outcome.failures += re.findall(r"^\[  FAILED  \] (\S+) \(", text, re.M)
    begun = re.findall(r"^\[ RUN      \] (\S+)", text, re.M)
    outcome.failures.append(f"{begun[-1] if begun else 'start'}: ended with {describe(code)}")


def skip_reason(element):
    message = element.get("message") or element.text or ""
    lines = [line for line in message.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def describe(code):
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def read_script(outcome, code, text, _report):
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    name = outcome.suite.name
    counts = script_counts(lines, text)
    if code == SKIPPED:
        outcome.skips.append((name, lines[-1] or "no reason given"))
    elif counts:
        passed, failed, skipped, reasons = counts
        outcome.passed = passed
        outcome.failures += [f"{name}, case {number + 1}" for number in range(failed)]
        for number in range(skipped):
            outcome.skips.append((name, reasons[number] if number < len(reasons) else "see its log"))
        if code != 0 and not failed:
            outcome.failures.append(f"ended with {describe(code)}")
    elif code == 0:
        outcome.passed = 1
    else:
        outcome.failures.append(f"ended with {describe(code)}")


def script_counts(lines, text):
    """(passed, failed, skipped, reasons of the skips) as a script tells them; None where it tells nothing."""
    counts = COUNTS.match(lines[-1])
    if counts:
        return *map(int, counts.groups()), [line[6:] for line in lines if line.startswith("SKIP: ")]
    node = dict(NODE_COUNT.findall(text))
    if node:
        failed = int(node.get("fail", 0)) + int(node.get("cancelled", 0))
        return int(node.get("pass", 0)), failed, int(node.get("skipped", 0)), NODE_SKIP.findall(text)
    return None
