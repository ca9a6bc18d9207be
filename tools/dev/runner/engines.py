"""Real engines for a test run: started once, on free ports, and stopped whatever happens."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

# Engine -> (environment variable that names it, ports it needs).
SERVERS = {
    "kafka": ("QUICKWATER_KAFKA", 2),
    "redis": ("QUICKWATER_REDIS", 1),
    "prometheus": ("QUICKWATER_PROMETHEUS", 1),
    "alertmanager": ("QUICKWATER_ALERTMANAGER", 1),
}
PROGRAMS = {"chromium": ("QUICKWATER_CHROMIUM", ["chromium", "chromium-browser", "google-chrome"])}
KNOWN = sorted([*SERVERS, *PROGRAMS])


def free_ports(count):
    """Ports that the kernel has just called free; held together, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class Engines:
    """Owns the engines of one run. `environment` is what a suite that needs them gets."""

    def __init__(self, root):
        self.scripts = pathlib.Path(root) / "tools/engines"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quickwater-engines-"))
        self.environment = {}
        self.missing = {}  # engine -> why it is not there
        self.started = []

    def start(self, names):
        for name in names:
            began = time.monotonic()
            problem = self._start_one(name)
            if problem:
                self.missing[name] = problem
            print(f"    {name}: {problem or 'ready'}, {time.monotonic() - began:.1f} s", flush=True)

    def _start_one(self, name):
        if name in PROGRAMS:
            variable, commands = PROGRAMS[name]
            found = next(filter(None, map(shutil.which, commands)), None)
            if not found:
                return f"no program {' or '.join(commands)}"
            self.environment[variable] = found
            return ""
        variable, count = SERVERS[name]
        ports = [str(port) for port in free_ports(count)]
        self.started.append(name)
        run = str(self.folder / name)
        for arguments in (["install"], ["start", run, *ports]):
            done = self._call(name, arguments)
            if done.returncode != 0:
                return (done.stdout.strip().splitlines() or ["failed without a word"])[-1]
        self.environment[variable] = f"127.0.0.1:{ports[0]}"
        return ""

    def _call(self, name, arguments):
        # In a session of its own: a Ctrl-C must not end an engine before the suites that use it.
        return subprocess.run(
            ["bash", str(self.scripts / f"{name}.sh"), *arguments],
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, env={**os.environ})

    def stop(self):
        for name in reversed(self.started):
            self._call(name, ["stop", str(self.folder / name)])
        self.started = []
        shutil.rmtree(self.folder, ignore_errors=True)
