"""What a test run prints: a line per suite as it ends, and the summary whose last line is the count."""
import re

# A failed assertion of GoogleTest, of Python's unittest and tracebacks, of node's runner, or of a sanitizer.
FAILURE = re.compile(r"\bFailure$|^(FAIL|ERROR)\b|^Traceback|AssertionError|^\s*not ok\b|ERROR: \w+Sanitizer"
                     r"|runtime error:|WARNING: ThreadSanitizer|C\+\+ exception")
TAIL_LINES = 40
MOST_FAILURES = 5
LINES_BEFORE = 3
LINES_AFTER = 16
LINE_CHARACTERS = 400


def print_outcome(outcome):
    mark = "FAIL" if outcome.failures else "skip" if not outcome.passed else "ok"
    parts = [f"{outcome.passed} passed"]
    if outcome.failures:
        parts.append(f"{len(outcome.failures)} failed")
    if outcome.skips:
        parts.append(f"{len(outcome.skips)} skipped")
    print(f"    {mark:4} {outcome.suite.name:28} {', '.join(parts):36} {outcome.seconds:7.1f} s", flush=True)
    if outcome.failures:
        print_excerpt(outcome.log)


def print_excerpt(log):
    """What a reader of a CI log needs: the failures wherever they are, and the end."""
    with open(log, errors="replace") as opened:
        lines = opened.read().splitlines()
    for line in excerpt(lines):
        print(f"         | {line}")
    print(f"         whole output: {log}", flush=True)


def excerpt(lines):
    """The neighbourhood of each of the first failures, then the tail; `...` where something was left out."""
    first_of_tail = max(0, len(lines) - TAIL_LINES)
    wanted = set(range(first_of_tail, len(lines)))
    failures = [number for number, line in enumerate(lines) if FAILURE.search(line[:LINE_CHARACTERS])]
    for number in failures[:MOST_FAILURES]:
        wanted.update(range(max(0, number - LINES_BEFORE), min(len(lines), number + LINES_AFTER)))
    last = -1
    for number in sorted(wanted):
        if number != last + 1:
            yield "..."
        line = lines[number]
        yield line if len(line) <= LINE_CHARACTERS else line[:LINE_CHARACTERS] + " ..."
        last = number


def print_summary(outcomes, steps, interrupted):
    """Prints the table, the skips with their reasons, the failures, and last the line that counts every case."""
    print("\nsteps")
    for name, seconds in steps:
        print(f"    {name:40} {seconds:8.1f} s")
    print(f"\n{'suite':32} {'label':10} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for outcome in sorted(outcomes, key=lambda each: (each.suite.label, each.suite.name)):
        print(f"{outcome.suite.name:32} {outcome.suite.label:10} {outcome.passed:7} {len(outcome.failures):7}"
              f" {len(outcome.skips):8} {outcome.seconds:8.1f}")
    print_reasons(outcomes)
    if interrupted:
        print("\ninterrupted: the suites above are those that had ended")
    passed = sum(each.passed for each in outcomes)
    failed = sum(len(each.failures) for each in outcomes)
    skipped = sum(len(each.skips) for each in outcomes)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return failed


def print_reasons(outcomes):
    skips = [(each.suite.name, case, reason) for each in outcomes for case, reason in each.skips]
    if skips:
        print("\nskipped")
        for suite, case, reason in skips:
            print(f"    {suite}: {case}: {reason}" if case != suite else f"    {suite}: {reason}")
    failures = [(each, case) for each in outcomes for case in each.failures]
    if failures:
        print("\nfailed")
        for outcome, case in failures:
            print(f"    {outcome.suite.name}: {case} (output: {outcome.log})")
