"""What a test run prints: a line per suite as it ends, and the summary whose last line is the count."""


def print_outcome(outcome):
    mark = "FAIL" if outcome.failures else "skip" if not outcome.passed else "ok"
    parts = [f"{outcome.passed} passed"]
    if outcome.failures:
        parts.append(f"{len(outcome.failures)} failed")
    if outcome.skips:
        parts.append(f"{len(outcome.skips)} skipped")
    print(f"    {mark:4} {outcome.suite.name:28} {', '.join(parts):36} {outcome.seconds:7.1f} s", flush=True)
    if outcome.failures:
        print_tail(outcome.log)


def print_tail(log, lines=40):
    with open(log, errors="replace") as opened:
        tail = opened.read().splitlines()[-lines:]
    print("\n".join(f"         | {line}" for line in tail))
    print(f"         whole output: {log}", flush=True)


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
