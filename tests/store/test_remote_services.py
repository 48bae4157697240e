"""Runs in stores of real servers: one that answers like S3, and one of SFTP; writers are killed.

The servers are those of the group ``services`` of pyproject.toml; what is not installed is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hartley.store import read_trials

pytestmark = pytest.mark.slow

PLAN = """
scene = "live:membership"
only = ["*threshold*", "entropy_metrics"]
replicates = 12
[executor]
workers = 1
[limits]
membership = 0.1
"""
SFTP = """
import asyncio, sys, asyncssh
class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True
    def validate_password(self, username, password):
        return password == "word"
async def main():
    key = asyncssh.generate_private_key("ssh-ed25519")
    await asyncssh.listen("127.0.0.1", int(sys.argv[1]), server_factory=Server,
                          server_host_keys=[key], sftp_factory=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    limit = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < limit, "the server does not answer"
            time.sleep(0.2)


@pytest.fixture(params=["s3", "sftp"])
def url(request, tmp_path, monkeypatch) -> Iterator[str]:
    """A place for a store on a server of its own."""
    port = free_port()
    if request.param == "s3":
        pytest.importorskip("s3fs")
        command = shutil.which("moto_server")
        if command is None and importlib.util.find_spec("moto") is None:
            pytest.skip("needs moto[server]")
        words = [command] if command else [sys.executable, "-m", "moto.server"]
        words += ["-p", str(port)]
        place = "s3://audits/team"
        for name, value in {
            "FSSPEC_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "thing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
    else:
        pytest.importorskip("paramiko")
        pytest.importorskip("asyncssh")
        words = [sys.executable, "-c", SFTP, str(port)]
        place = f"sftp://me@127.0.0.1:{port}{tmp_path}/served"
        monkeypatch.setenv("FSSPEC_SFTP_PASSWORD", "word")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, **quiet) as server:
        wait_for(port)
        if request.param == "s3":
            import s3fs

            s3fs.S3FileSystem(endpoint_url=f"http://127.0.0.1:{port}").mkdir("audits")
        yield place
        server.terminate()


class Machine:
    """A spool, and the command with it."""

    def __init__(self, place: Path, url: str) -> None:
        self.place, self.url = place, url

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "hartley", *words, "--store", self.url],
            env={**os.environ, "HARTLEY_SPOOL": str(self.place / "spool")},
            cwd=self.place,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        command = self.start(*words)
        out, _ = command.communicate(timeout=300)
        return command.returncode, out

    @property
    def folder(self) -> Path:
        return next(iter(self.place.glob("spool/*/*/journal.jsonl")), self.place).parent

    def rows(self) -> dict[str, bytes]:
        files = [*self.folder.glob("rows/*.json"), *self.folder.glob("trials/*.parquet")]
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


@pytest.fixture
def machines(url, tmp_path):
    places = [tmp_path / name for name in ("one", "two", "alone")]
    for place in places:
        place.mkdir()
        (place / "plan.toml").write_text(PLAN)
    return Machine(places[0], url), Machine(places[1], url), Machine(places[2], str(places[2]))


def test_a_run_goes_on_on_another_machine_after_its_writer_was_killed(machines):
    one, two, alone = machines
    command = one.start("assess", "plan.toml", "--run", "shared")
    limit = time.monotonic() + 120
    while sum(name.startswith("rows") for name in one.rows()) < 4:
        assert time.monotonic() < limit and command.poll() is None
        time.sleep(0.1)
    code, out = two.run("assess", "plan.toml", "--run", "shared")
    assert code == 2 and "is written by process" in out, "the first one plays"
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate(timeout=30)
    played = {name for name in one.rows() if name.startswith("rows")}
    # The process beside the command, in a session of its own, sends the rest and gives the lease.
    while True:
        code, out = two.run("assess", "plan.toml", "--run", "shared")
        if "is written by process" not in out:
            break
        assert time.monotonic() < limit + 90
    assert code == 1, out
    assert f"{len(played)} of them already done" in out, "no row is played twice"
    # Whatever was played where, the rows are those of one machine alone.
    assert alone.run("assess", "plan.toml", "--run", "shared")[0] == 1
    names = {name for name in two.rows() if name.startswith("trials")}
    assert len(names) == 12 * 2
    for name in names:
        here, there = read_trials(alone.place / "shared" / name), read_trials(two.folder / name)
        for column in ("truth", "guess", "cluster"):  # times are of the machine
            assert np.array_equal(getattr(here, column), getattr(there, column)), (name, column)
    for machine in (one, two):
        assert machine.run("gate", "shared", "--limits", "plan.toml")[0] == 1
        code, out = machine.run("list", "runs")
        assert code == 0 and "shared" in out and "over" in out
    assert one.rows() == two.rows()
    assert one.run("report", "latest", "--format", "junit")[0] == 0
