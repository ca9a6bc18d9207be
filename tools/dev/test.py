#!/usr/bin/env python3
"""Everything a change must pass: `./dev test [--asan|--tsan|--long|--mutants|--fuzz SECONDS] [--filter X]`.

Builds, starts the engines that the chosen suites need, runs the suites, then the unit programs again under
AddressSanitizer and UndefinedBehaviorSanitizer, and prints one summary. Exit code 0: nothing failed; 1: something
did; 2: wrong usage; 130: interrupted. With CI=true an engine that cannot start is a failure; elsewhere its tests
skip.

  --asan, --tsan   only the unit programs, under that sanitizer
  --long           only the long kill tests: more than 200 kills, from files and from Kafka; not part of the rest
  --mutants        only the proof that the kill test sees each step of a commit that is taken out; not part of the rest
  --fuzz SECONDS   only the fuzzers, each decoder for that long and with a seed of its own
  --filter X       only the suite or label X; where there is none of that name, the GoogleTest cases *X*
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import signal
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from runner import engines as engine_module  # noqa: E402
from runner import suites as suite_module  # noqa: E402
from runner import summary  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER_STACK_BYTES = 64 << 20
FUZZERS_MAX = 20
BY_HAND = ("long", "mutants")  # labels that run only when they are asked for
SANITIZERS = {
    "asan": {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1"},
    "tsan": {"TSAN_OPTIONS": "halt_on_error=0 second_deadlock_stack=1 history_size=7 die_after_fork=0"
                             f" suppressions={ROOT}/tools/tsan_suppressions.txt"},
}


class StepFailed(Exception):
    """A step that prepares the tests failed; it has already said why."""


class TestRun:
    """One call of `./dev test`: what it has run so far, and what has to be put away at its end."""

    def __init__(self, options):
        self.options = options
        self.outcomes = []
        self.steps = []
        self.engines = engine_module.Engines(ROOT)
        self.scratch = tempfile.mkdtemp(prefix="quickwater-test-")
        self.runner = None

    def step(self, *words):
        """Runs a function of tools/dev/lib.sh, which prints what it does."""
        began = time.monotonic()
        done = subprocess.run(["bash", "-c", '. tools/dev/lib.sh; "$@"', "_", *words], cwd=ROOT)
        self.steps.append((" ".join(words[:2]), time.monotonic() - began))
        if done.returncode != 0:
            self.fail(" ".join(words[:2]), "the step failed, see above")
            raise StepFailed

    def run_suites(self, title, suites):
        if not suites:
            return
        print(f"==> {title}: {len(suites)} suites", flush=True)
        began = time.monotonic()
        self.start_engines(suites)
        environment = {name: dict([pair]) for name, pair in self.engine_variables()}
        self.runner = suite_module.Runner(ROOT / "build/test-results", self.scratch, environment,
                                          self.gtest_filter(suites))
        together = sorted((each for each in suites if not each.serial), key=lambda each: -each.timeout_s)
        alone = [each for each in suites if each.serial]
        for group, workers in ((together, os.cpu_count() or 1), (alone, 1)):
            with concurrent.futures.ThreadPoolExecutor(workers) as pool:
                jobs = [pool.submit(self.runner.run, suite) for suite in group]
                for job in concurrent.futures.as_completed(jobs):
                    self.keep(job.result())
        self.steps.append((title, time.monotonic() - began))

    def keep(self, outcome):
        if self.runner.stopped or (self.runner.gtest_filter and outcome.empty):
            return
        summary.print_outcome(outcome)
        self.outcomes.append(outcome)

    def start_engines(self, suites):
        known = {*self.engines.started, *self.engines.missing}
        wanted = sorted({need for suite in suites for need in suite.needs} - known)
        wanted = [name for name in wanted if not self.has_variable(name)]
        self.engines.start(wanted)
        if os.environ.get("CI") == "true":
            for name in wanted:
                if name in self.engines.missing:
                    self.fail(f"engine {name}", self.engines.missing[name])

    def has_variable(self, name):
        variable = {**engine_module.SERVERS, **engine_module.PROGRAMS}[name][0]
        return variable in self.engines.environment or variable in os.environ

    def engine_variables(self):
        for name, (variable, _) in {**engine_module.SERVERS, **engine_module.PROGRAMS}.items():
            value = self.engines.environment.get(variable) or os.environ.get(variable)
            if value:
                yield name, (variable, value)

    def fail(self, name, reason):
        log = ROOT / "build/test-results" / f"{name.replace(' ', '_')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(reason + "\n")
        suite = suite_module.Suite(name, "engine", "script", [], [], [], {}, ".", 0, True)
        self.outcomes.append(suite_module.Outcome(suite, failures=[reason], log=str(log)))

    def gtest_filter(self, suites):
        wanted = self.options.filter
        if not wanted or any(wanted in (each.name.split(":")[-1], each.label) for each in suites):
            return None
        return f"*{wanted}*"

    def choose(self, suites):
        """The suites that --filter names, or those in which it can name a case."""
        wanted = self.options.filter
        if not wanted:
            return suites
        named = [each for each in suites if wanted in (each.name.split(":")[-1], each.label)]
        return named or [each for each in suites if each.kind == "gtest"]

    def release(self):
        self.step("configure", "build")
        suites = self.list("build")
        self.run_suites("tidy", [each for each in suites if each.label == "tidy"])
        rest = [each for each in suites if each.label not in ("tidy", *BY_HAND)]
        if not rest:
            return
        wanted = targets(rest) if self.options.filter else ["all"]
        if wanted:
            self.step("compile", "build", *wanted)
        self.run_suites("suites", [each for each in self.list("build") if each.label not in ("tidy", *BY_HAND)])

    def by_hand(self, label):
        self.step("configure", "build")
        suites = [each for each in self.list("build") if each.label == label]
        wanted = targets(suites)
        if wanted:
            self.step("compile", "build", *wanted)
        suites = [each for each in self.list("build") if each.label == label]
        if label == "fuzz":
            for suite in suites:
                suite.environment["QUICKWATER_FUZZ_S"] = str(self.options.fuzz)
                suite.timeout_s += FUZZERS_MAX * self.options.fuzz
        self.run_suites(label, suites)

    def list(self, folder, prefix=""):
        return self.choose(suite_module.list_suites(ROOT / folder, prefix))

    def sanitized(self, name):
        # A sanitizer's frames are several times as large as the program's own.
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        wanted = SANITIZER_STACK_BYTES if hard == resource.RLIM_INFINITY else min(SANITIZER_STACK_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
        folder = f"build-{name}"
        self.step("configure", folder, f"-DQW_{name.upper()}=ON")
        suites = self.unit_programs(folder, name)
        if not suites:
            return
        self.step("compile", folder, *targets(suites))
        suites = self.unit_programs(folder, name)  # again: CTest knows a program's path once it is built
        for suite in suites:
            suite.environment.update(SANITIZERS[name])
            suite.timeout_s *= 4
        self.run_suites(f"unit suites under {name}", suites)

    def unit_programs(self, folder, name):
        # Decoders read past their input unseen without AddressSanitizer; the running application (tests/flow) is
        # where threads meet.
        return [each for each in self.list(folder, f"{name}:") if each.kind == "gtest"
                and (each.label == "unit" or each.name in ("tsan:flow", "asan:fuzz"))]

    def everything(self):
        if self.options.asan:
            self.sanitized("asan")
        elif self.options.tsan:
            self.sanitized("tsan")
        elif self.options.long or self.options.mutants or self.options.fuzz:
            self.by_hand("long" if self.options.long else "mutants" if self.options.mutants else "fuzz")
        else:
            self.release()
            if not self.options.filter:
                self.sanitized("asan")

    def put_away(self):
        if self.runner:
            self.runner.stop()
        self.engines.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)


def targets(suites):
    return sorted({target for each in suites for target in each.builds})


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(prog="./dev test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--asan", action="store_true")
    which.add_argument("--tsan", action="store_true")
    which.add_argument("--long", action="store_true")
    which.add_argument("--mutants", action="store_true")
    which.add_argument("--fuzz", type=int, metavar="SECONDS")
    parser.add_argument("--filter", metavar="X")
    run = TestRun(parser.parse_args())
    signal.signal(signal.SIGTERM, interrupt)
    began = time.monotonic()
    interrupted = broken = False
    try:
        run.everything()
    except KeyboardInterrupt:
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except StepFailed:
        broken = True
    finally:
        run.put_away()
    run.steps.append(("all", time.monotonic() - began))
    if run.options.filter and not run.outcomes and not broken:
        print(f"./dev test: no suite, label or case matches '{run.options.filter}'", file=sys.stderr)
        return 2
    failed = summary.print_summary(run.outcomes, run.steps, interrupted)
    return 130 if interrupted else 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
