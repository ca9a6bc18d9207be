#!/usr/bin/env python3
"""Fetches the native libraries of tools/native.json into .deps/, through the package clients of this machine.

Every archive is checked against its sha256 before anything is taken out of it. A library whose entry has not
changed since it was installed is left alone, so a second run does nothing.

Usage: fetch_native.py [FOLDER]       FOLDER defaults to .deps beside tools/
"""
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class FetchError(Exception):
    """What could not be fetched or checked, in one line for the person at the terminal."""


def run(command, cwd, env=None):
    done = subprocess.run(command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise FetchError(f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}")


def fetch_wheel(entry, folder):
    # The platform is named, so that the same file (and hash) is chosen whatever Python this machine has.
    run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
         "--implementation", "cp", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64",
         "--platform", "manylinux_2_27_x86_64", entry["package"]], folder)


def fetch_sdist(entry, folder):
    name = entry["package"].split("==")[0]
    # --no-binary for this one name: ":all:" would also compile the build tools it wants.
    run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--pre", "--no-binary", name,
         entry["package"]], folder)


def fetch_npm(entry, folder):
    run(["npm", "pack", "--silent", entry["package"]], folder)


def debian_uri():
    for path in [pathlib.Path("/etc/apt/sources.list.d/debian.sources"), pathlib.Path("/etc/apt/sources.list")]:
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            words = [word for word in line.split() if not word.startswith("[")]
            if len(words) > 1 and words[0] in ("URIs:", "deb"):
                return words[1]
    raise FetchError("no Debian package source in /etc/apt: add the distribution's own sources.list")


def fetch_deb(entry, folder):
    """Takes one package of another Debian release through an apt configuration of its own.

    The machine's own sources, lists and installed packages are not touched.
    """
    apt = folder / "apt"
    for sub in ("lists/partial", "cache/archives/partial", "parts"):
        (apt / sub).mkdir(parents=True)
    (apt / "debian.sources").write_text(
        f"Types: deb\nURIs: {debian_uri()}\nSuites: {entry['suite']}\nComponents: main\nSigned-By: {KEYRING}\n")
    settings = {"Dir::Etc::sourcelist": apt / "debian.sources", "Dir::Etc::sourceparts": apt / "parts",
                "Dir::State::lists": apt / "lists", "Dir::State::status": "/dev/null",
                "Dir::Cache": apt / "cache", "Acquire::Languages": "none", "APT::Sandbox::User": "root",
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false"}
    (apt / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    env = {"APT_CONFIG": str(apt / "apt.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    run(["apt-get", "update", "-q"], folder, env)
    run(["apt-get", "download", "-q", entry["package"]], folder, env)


ROUTES = {"wheel": fetch_wheel, "sdist": fetch_sdist, "npm": fetch_npm, "deb": fetch_deb}


def unpack(archive, folder):
    if archive.suffix == ".deb":
        run(["dpkg-deb", "-x", str(archive), str(folder)], folder)
    elif archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
    else:
        with tarfile.open(archive) as opened:
            opened.extractall(folder)


def check_hash(entry, archive):
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise FetchError(f"{archive.name} has sha256 {found}, but tools/native.json expects {entry['sha256']}: "
                         "nothing of it was installed. If the package was republished on purpose, check it and "
                         "change the hash in a commit of its own")


def install(entry, unpacked, deps):
    for source, target in entry["take"].items():
        origin, destination = unpacked / source, deps / target
        if not origin.exists():
            raise FetchError(f"{entry['package']} holds no {source}")
        destination.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, destination, dirs_exist_ok=True)
        else:
            # Replaced by rename: a running program keeps the file it has mapped.
            shutil.copy2(origin, destination.with_name(destination.name + ".new"))
            destination.with_name(destination.name + ".new").rename(destination)


def is_installed(entry, deps, stamp):
    if not stamp.exists() or stamp.read_text() != json.dumps(entry, sort_keys=True):
        return False
    return all((deps / target).exists() for target in entry["take"].values())


def fetch(entry, deps):
    stamp = deps / "stamps" / entry["name"]
    if is_installed(entry, deps, stamp):
        return False
    with tempfile.TemporaryDirectory(prefix="quickwater-fetch-") as scratch:
        folder = pathlib.Path(scratch)
        ROUTES[entry["route"]](entry, folder)
        archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".tgz", ".deb")]
        if len(archives) != 1:
            raise FetchError(f"{entry['package']} came as {len(archives)} files instead of one")
        check_hash(entry, archives[0])
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        unpack(archives[0], unpacked)
        install(entry, unpacked, deps)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(json.dumps(entry, sort_keys=True))
    return True


def main(arguments):
    deps = pathlib.Path(arguments[0]) if arguments else ROOT / ".deps"
    deps.mkdir(parents=True, exist_ok=True)
    for entry in json.loads((ROOT / "tools/native.json").read_text()):
        began = time.monotonic()
        try:
            fetched = fetch(entry, deps)
        except FetchError as error:
            print(f"{entry['name']} ({entry['why']}): {error}", file=sys.stderr)
            return 1
        if fetched:
            print(f"{entry['name']}: fetched {entry['package']} and checked its hash, {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
