"""Aim: whatever the machine refuses (descriptors, memory, threads, room in files), the process works on, waits, or ends
with an exit code that says so; it never ends by a signal of its own, and what it took in is decided once.

Method: the real program under limits of the system and with exceptions thrown where a library may throw; afterwards a
start without them has everything.

  limits_test.py PROGRAM
"""
import argparse
import functools
import http.client
import pathlib
import resource
import socket
import tempfile

from bounded import Program, Receiver
from program import check, run_cases, wait_for

MACHINE = 5
WEBHOOK = "    sinks:\n      - {{ name: hook, send: decisions, webhook: {{ url: \"{url}\" }} }}"


def limited(**limits):
    def lower():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))
    return lower


def whole(app):
    """A start without limits has every row once."""
    app.start()
    app.wait_whole()
    app.stop()
    check(app.decided() == app.rows, f"{app.decided()} of {app.rows}")


def connections_beyond_the_limit(binary, root):
    receiver = Receiver()
    with Program(binary, root / "connections", more=WEBHOOK.format(url=receiver.url)).feed(500) as app:
        app.launch(preexec_fn=limited(RLIMIT_NOFILE=128))
        kept = http.client.HTTPConnection("127.0.0.1", app.port(), timeout=60)
        check(app.push("a", 1, kept) == 200, "the first push")
        held = [socket.create_connection(("127.0.0.1", app.port())) for _ in range(300)]
        for turn in range(20):
            check(app.push(f"b{turn}", 1, kept) == 200, "a push on an open connection")
        wait_for("the webhook has all", lambda: len(set(receiver.got)) == 21, app)
        app.feed(500)
        for link in held:
            link.close()
        wait_for("refused ones are counted", lambda: app.metric("quickwater_http_refused_connections_total") > 0, app)
        app.wait_whole()
        app.stop()
        check("refused" in app.output() and "ulimit -n" in app.output(), app.output()[-2000:])
        whole(app)
        check(app.decided("told") == 21, "each push once")


def idle_connections_make_room(binary, root):
    with Program(binary, root / "idle").feed(10) as app:
        app.launch(preexec_fn=limited(RLIMIT_NOFILE=128))
        held = [socket.create_connection(("127.0.0.1", app.port())) for _ in range(100)]
        wait_for("the page is served beside idle connections",
                 lambda: app.metric("quickwater_http_given_up_connections_total") > 0, app)
        app.stop()
        for link in held:
            link.close()


def few_means(binary, root):
    """Each limit at several heights: the program runs, or says what it lacks."""
    cases = [("RLIMIT_NOFILE", number) for number in (12, 24, 40, 64)]
    cases += [("RLIMIT_AS", megabytes << 20) for megabytes in (400, 600, 800, 1200)]  # the libraries alone take 200
    cases += [("RLIMIT_FSIZE", kilobytes << 10) for kilobytes in (4, 200, 1000)]
    for name, value in cases:
        with Program(binary, root / f"{name}-{value}").feed(5000) as app:
            app.launch(preexec_fn=limited(**{name: value}))
            wait_for("it works or ends", lambda: app.process.poll() is not None or app.port_now() and
                     app.metric("quickwater_decisions_total") >= app.rows or "cannot commit" in app.output())
            if app.process.poll() is None:
                app.process.terminate()
            code = app.wait()
            said = app.output()
            check(code in (0, MACHINE), f"{name} {value}: {code}: {said[-1500:]}")
            check(code == 0 or any(word in said for word in ("refused", "no more memory", "cannot", "full", "allowed")),
                  f"{name} {value}: {said[-1500:]}")
            whole(app)


def exceptions(binary, root):
    """A library that throws, or a disk that cannot be read, at moments where something is half done. The process goes
    on, or ends with 5 and goes on at the next start; nothing is lost or repeated."""
    receiver = Receiver()
    for point, ends in (("pipeline.half_done:700", True), ("pipeline.half_done:700:error", True),
                        ("commit.before:3", True), ("commit.after:3", True),
                        ("segment.written:1", False), ("segment.before_manifest:1", False),
                        ("outbox.before_send:2", False), ("outbox.before_erase:2", False)):
        # More than one batch, so that others wait behind the one that breaks off.
        rows = 20000 if point.endswith(":error") else 1500
        with Program(binary, root / point.replace(":", "-"), more=WEBHOOK.format(url=receiver.url)).feed(rows) as app:
            app.launch(fail_point=point if point.endswith(":error") else f"{point}:throw")
            if ends:
                code = app.wait()
                said = ("no more memory", "broke off in the middle", "a fail point")
                told = any(words in app.output() for words in said)
                check(code == MACHINE and told, f"{point}: {code} {app.output()[-1500:]}")
            else:
                for turn in range(3):
                    check(app.push(f"{point} {turn}", 1) == 200, "a push")
                app.wait_whole()
                wait_for("it was thrown", lambda: "no more memory" in app.output() or
                         app.metric("quickwater_outbox_waiting_rows") == 0, app)
                app.stop()
            whole(app)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_limits_") as place:
        run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, pathlib.Path(place)))
                    for case in (connections_beyond_the_limit, idle_connections_make_room, few_means, exceptions)
                    if not arguments.cases or case.__name__ in arguments.cases))


if __name__ == "__main__":
    main()
