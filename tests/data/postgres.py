"""A real PostgreSQL server for the tests: installed if need be, in a folder of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "tester"


@contextmanager
def running_server() -> Iterator[dict[str, str | int]]:
    """Start a server; give host, port, user and dbname, and end it with all its data."""
    programs = _programs()
    as_other = _as_someone_else()
    with tempfile.TemporaryDirectory() as folder:
        if as_other:
            shutil.chown(folder, "postgres")
        data, port = f"{folder}/data", _free_port()
        _run([*as_other, programs / "initdb", "-D", data, "-A", "trust", "-U", USER, "-N"])
        control = [*as_other, programs / "pg_ctl", "-D", data, "-w"]
        options = f"-k '{folder}' -h 127.0.0.1 -p {port} -F"  # -F: no fsync
        _run([*control, "-o", options, "-l", f"{folder}/log", "start"])
        try:
            yield {"host": "127.0.0.1", "port": port, "user": USER, "dbname": "postgres"}
        finally:
            _run([*control, "-m", "immediate", "stop"])


def _programs() -> Path:
    """Find initdb and pg_ctl; install them where that may be done."""
    found = _found()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        silent = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "postgresql"]):
            subprocess.run(["apt-get", "-q", *command], check=False, env=silent, timeout=240)
        found = _found()
    if found is None:
        pytest.skip("there is no PostgreSQL (initdb), and apt-get as root cannot install it")
    return found


def _found() -> Path | None:
    """Look for the programs of the server."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


def _as_someone_else() -> list[str]:
    """Say how to run a program as another user: the server refuses to be run by root."""
    if getpass.getuser() != "root" and os.geteuid() != 0:
        return []
    if not shutil.which("runuser"):
        pytest.skip("PostgreSQL refuses to be run by root, and there is no runuser")
    return ["runuser", "-u", "postgres", "--"]


def _free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _run(command: list[object]) -> None:
    """Run a program; what it says is in the error."""
    # Not captured: the server would keep the pipe open.
    subprocess.run(
        list(map(str, command)), check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60
    )
