"""Aim: a stop ends in the time that `stop_timeout` gives, whatever hangs, with 0 when all is durable and 7 when a part
had to be cut off; what was not delivered goes out at the next start. Streams that nobody reads stop nothing.

Method: the real program is stopped while receivers, commands, clients and its own standard error hang. That a stop is
in time is seen by its exit code: the program itself ends with 7 when it is not.

  stop_test.py PROGRAM
"""
import argparse
import functools
import json
import os
import pathlib
import signal
import socket
import tempfile
import time

from bounded import Program, Receiver
from program import check, run_cases, wait_for

WEBHOOK = "    sinks:\n      - {{ name: hook, send: decisions, webhook: {{ url: \"{url}\", timeout: 60s }} }}"
HEAL = """    output: {{ sev: "case when v > 4 then 'critical' end" }}
    alert: {{ severity: sev, for: 0s, resolve_after: 30s }}
    heal:
      - {{ name: nap, command: {{ run: nap, timeout: 60s }}, limit: 100/10m, stop_after: 100 }}"""
COMMANDS = "healing:\n  enabled: true\n  commands: { nap: [/bin/sleep, \"50\"] }\n"


def whole(app):
    app.start()
    app.wait_whole()
    app.stop()
    check(app.decided() == app.rows, f"{app.decided()} of {app.rows}")


def a_webhook_hangs(binary, root):
    receiver = Receiver(lambda this: this.let_go.wait())
    with Program(binary, root / "webhook", more=WEBHOOK.format(url=receiver.url), stop_timeout="3s").feed(100) as app:
        app.start()
        for turn in range(5):
            check(app.push(f"k{turn}", 1) == 200, "a push")
        wait_for("the receiver is asked", lambda: receiver.got, app)
        app.stop()
        check("5 deliveries wait for the next start" in app.output(), app.output()[-1500:])
        receiver.let_go.set()
        app.start()
        wait_for("all are delivered", lambda: len(set(receiver.got)) == 5, app)
        app.stop()


def a_handshake_hangs(binary, root):
    """TCP is there, TLS never answers; and a host that takes no connection at all."""
    quiet = socket.create_server(("127.0.0.1", 0), backlog=1)
    for url in (f"https://127.0.0.1:{quiet.getsockname()[1]}/", "http://192.0.2.1:9/"):
        with Program(binary, root / f"tls-{len(url)}", more=WEBHOOK.format(url=url), stop_timeout="3s") as app:
            app.feed(10).start()
            check(app.push("a", 1) == 200, "a push")
            wait_for("it is tried", lambda: app.metric("quickwater_outbox_waiting_rows") == 1, app)
            app.stop()


def a_command_runs(binary, root):
    with Program(binary, root / "command", more=HEAL.replace("{{", "{").replace("}}", "}"), stop_timeout="3s",
                 tail=COMMANDS).feed(10) as app:
        app.start()
        for turn in range(20):
            check(app.push(f"k{turn}", 5) == 200, "a push")
        wait_for("it started", lambda: app.metric("quickwater_heal_steps_total", step="started") >= 20, app)
        app.stop()
        check("did not end before the program" in app.output(), app.output()[-1500:])
        app.start()
        app.port()
        app.stop()
        journal = app.log("journal")
        unknown = [one["body"]["action_id"] for one in journal if one["kind"] == "action_unknown"]
        finished = [one for one in journal if one["kind"] == "action_finished"]
        check(len(unknown) == 1 and not finished, f"what ran is not known, the others wait: {unknown} {finished}")


def clients_hold_on(binary, root):
    with Program(binary, root / "clients", stop_timeout="3s").feed(10) as app:
        app.start()
        half = socket.create_connection(("127.0.0.1", app.port()))
        half.sendall(b"POST /v1/events/pushed HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        stream = socket.create_connection(("127.0.0.1", app.port()))
        stream.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % app.port())
        check(stream.recv(1000).startswith(b"HTTP/1.1 200"), "the stream begins")
        app.stop()
        half.close()
        stream.close()


def what_hangs_is_cut_off(binary, root):
    with Program(binary, root / "cut", stop_timeout="1s").feed(100) as app:
        app.launch(fail_point="apply/k7:stall")
        app.port()
        wait_for("it hangs", lambda: app.metric("quickwater_decisions_total") == 7, app)  # in the eighth row
        app.begin_stop(signal.SIGTERM)
        check(app.wait() == 7, f"{app.process.returncode}")
        check("is cut off at: " in app.output(), app.output()[-1500:])
        whole(app)


def a_second_signal(binary, root):
    receiver = Receiver(lambda this: this.let_go.wait())
    with Program(binary, root / "second", more=WEBHOOK.format(url=receiver.url), stop_timeout="5m").feed(10) as app:
        app.start()
        check(app.push("a", 1) == 200, "a push")
        wait_for("the receiver is asked", lambda: receiver.got, app)
        app.begin_stop(signal.SIGTERM)
        # The first is taken before the second comes: until then they are one.
        pending = pathlib.Path(f"/proc/{app.process.pid}/status")
        wait_for("it is taken", lambda: "ShdPnd:\t0000000000000000" in pending.read_text())
        wait_for("it ends at once", lambda: app.begin_stop(signal.SIGTERM) or app.process.poll() is not None)
        check(app.wait() == -signal.SIGTERM, f"{app.process.returncode}")
        receiver.let_go.set()
        whole(app)


def signals(binary, root):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
        with Program(binary, root / number.name).feed(10) as app:
            # Whoever runs this may have been told to live on without a terminal.
            app.launch(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
            app.port()
            app.begin_stop(number)
            check(app.wait() == 0, f"{number.name}: {app.process.returncode}")
    with Program(binary, root / "ignored").feed(10) as app:
        app.launch(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # nohup
        app.port()
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            app.begin_stop(number)
        check(app.push("a", 1) == 200, "it runs on")
        app.stop()


def a_stop_while_it_starts(binary, root):
    with Program(binary, root / "starting").feed(20_000) as app:
        for step in range(25):
            app.start()
            time.sleep(step * 0.01)
            app.begin_stop(signal.SIGTERM)
            code = app.wait()
            check(code in (0, -signal.SIGTERM), f"step {step}: {code}: {app.output()[-1500:]}")
        whole(app)


def streams(binary, root):
    """Nobody reads standard error; its reader goes; the disk under it is full; nothing is open at all."""
    lines = "    sinks: [ { name: out, send: decisions, log: {} } ]"
    for name in ("full", "broken", "full device", "closed"):
        with Program(binary, root / name.replace(" ", "-"), sinks=lines).feed(6000) as app:
            reading, writing = os.pipe()
            options = {"stderr": writing}
            if name == "full device":
                options["stderr"] = open("/dev/full", "wb")
            if name == "closed":
                options = {"preexec_fn": lambda: [os.close(number) for number in (0, 1, 2)]}
            app.launch(**options)
            os.close(writing)
            if name == "broken":
                os.close(reading)
            address = app.folder / "data" / "control.url"
            wait_for("it runs", address.exists, app)
            port = int(address.read_text().rsplit(":", 1)[1])
            app.port = lambda: port
            app.wait_decided()
            app.begin_stop(signal.SIGTERM)
            check(app.wait() == 0, f"{name}: {app.process.returncode}")
            if name == "full":
                said = b""
                while piece := os.read(reading, 65536):
                    said += piece
                whole_lines = [json.loads(line) for line in said.decode().splitlines() if line.startswith("{")]
                check(len(whole_lines) == len({one["action_id"] for one in whole_lines}), "each at most once")
                os.close(reading)
            check(app.decided() == 6000, f"{name}: {app.decided()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw_stop_") as place:
        run_cases(*(functools.wraps(case)(functools.partial(case, arguments.program, pathlib.Path(place)))
                    for case in (a_webhook_hangs, a_handshake_hangs, a_command_runs, clients_hold_on,
                                 what_hangs_is_cut_off, a_second_signal, signals, a_stop_while_it_starts, streams)
                    if not arguments.cases or case.__name__ in arguments.cases))


if __name__ == "__main__":
    main()
