"""Play experiments on a Ray cluster: same jobs, same seeds, same rows as on this machine.

The command starts a process that talks to Ray (``ray_bridge``) and takes what was played from it.
The machines of the cluster and the command share nothing but what Ray carries, and the command
alone writes the run, so whatever is lost there costs no row that has arrived.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hartley import __version__
from hartley.core import Experiment
from hartley.core.errors import MissingExtra, RunError, UsageError
from hartley.engine.completed import files_of_scene
from hartley.engine.run import processes
from hartley.engine.run.executor import Finished, Limits, Started
from hartley.engine.run.frames import Frames, GarbledFrame, new_token, pack
from hartley.engine.run.interrupts import deferred
from hartley.engine.run.player import Result
from hartley.engine.run.threads import THREADS

_SILENCE = 60.0
"""Seconds without a word of the bridge, once it is connected, after which Ray counts as lost."""
_CONNECTING = 180.0
"""Seconds that connecting, or starting a cluster on this machine, may take."""
_REACH = 5.0
"""Seconds that a machine may take to accept a connection."""
_SETTINGS = 4
"""The kind of a frame of settings in HTTP/2."""
_TICK = 0.5
"""Seconds of one wait for the bridge."""
_FAREWELL = 4.0
"""Seconds that the bridge may take to disconnect."""
_DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where to play.

    Attributes:
        address: ``local`` starts a cluster of this machine alone, for the run; ``auto`` is the one
            that runs on this machine, or that of ``$RAY_ADDRESS``; else ``HOST:PORT`` of the head.
        code: a folder that is sent to all machines and imported from, for plugins; or empty.
    """

    address: str = "local"
    code: str = ""


def check(cluster: Cluster) -> None:
    """Check what can be known before a scene is built.

    Raises:
        MissingExtra: Ray is not installed.
        UsageError: an address that cannot be, or that nobody answers; no such folder of code.
    """
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    if cluster.code and not Path(cluster.code).is_dir():
        raise UsageError(f"executor.code must be a folder, got {cluster.code!r}")
    if cluster.address in ("local", "auto"):
        return
    host, colon, port = cluster.address.rpartition(":")
    if not colon or not host or not port.isdigit() or "/" in host or not 0 < int(port) < 1 << 16:
        raise UsageError(
            "executor.address must be local, auto or HOST:PORT of the cluster's head, got "
            f"{cluster.address!r}"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH) as probe:
            speaks = os.environ.get("RAY_USE_TLS", "0") == "1" or _speaks(probe)
    except OSError as error:
        raise UsageError(
            f"no Ray cluster answers at {cluster.address}: {error.strerror or error}"
        ) from error
    if not speaks:
        raise UsageError(
            f"no Ray cluster answers at {cluster.address}: what listens there is another program; "
            "the port is that of ray start --head --port, 6379 by default"
        )


def _speaks(probe: socket.socket) -> bool:
    """Whether what is connected speaks Ray's protocol, gRPC: Ray itself would wait for minutes.

    Each side of HTTP/2 begins with a frame of its settings (RFC 9113, section 3.4).
    """
    probe.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0)))
    answer = b""
    try:
        while len(answer) < 4 and (piece := probe.recv(9)):
            answer += piece
    except OSError:  # it has closed, or says nothing
        return False
    return len(answer) >= 4 and answer[3] == _SETTINGS


def perform_on_ray(
    experiments: Sequence[Experiment],
    *,
    cluster: Cluster,
    workers: int | None,
    logs: Path | None = None,
    limits: Limits = _DEFAULT,
    isolate: bool | None = None,
    started: Started,
    finished: Finished,
) -> None:
    """Play experiments on a cluster and hand over each result as it arrives.

    Args:
        experiments: what to play; those of one group are next to each other.
        cluster: where.
        workers: jobs at a time; None for one on each processor of the cluster.
        logs: folder for what the workers and Ray print.
        limits: what one experiment may take, on the machine that plays it.
        isolate: which attacks play in a process of their own (see ``Player``).
        started: called when an experiment begins, once more where it is played again.
        finished: called once an experiment; what it raises stops everything.

    Raises:
        RunError: the cluster cannot be used, or was lost; what was handed over stays.
    """
    if not experiments:
        return
    scratch = tempfile.mkdtemp(prefix="hry-")  # a short name: sockets are in it
    order = {
        "experiments": [experiment.dump() for experiment in experiments],
        "address": cluster.address,
        "code": str(Path(cluster.code).absolute()) if cluster.code else "",
        "workers": workers if workers is None else max(1, workers),
        "scratch": scratch,
        "seconds": limits.seconds,
        "memory": limits.memory,
        "isolate": isolate,
        "folder": str(Path.cwd()),
        "path": sys.path if cluster.address == "local" else [],
        "files": files_of_scene(experiments[0].scene, experiments[0].scene_params),
        "version": __version__,
    }
    by_key = {experiment.key: experiment for experiment in experiments}
    bridge = None
    try:
        with deferred():
            bridge = _Bridge(order, logs)
        for note, content in bridge.notes():
            if "started" in note:
                started(by_key[note["started"]])
            elif "prints" in note:
                _keep(logs, note["prints"], content)
            elif "key" in note:
                finished(by_key.pop(note["key"]), Result(**note["result"], content=content))
            elif "error" in note:
                raise RunError(_lost(cluster, note["error"]))
        if by_key:
            raise RunError(_lost(cluster, bridge.cause()))
    finally:
        with deferred():
            if bridge is not None:
                bridge.end()
            shutil.rmtree(scratch, ignore_errors=True)


class _Bridge:
    """The process that talks to Ray, as the command sees it."""

    def __init__(self, order: Mapping[str, Any], logs: Path | None) -> None:
        self._mark, token = secrets.token_hex(16), new_token()
        self._frames = Frames(token)
        self._log = None if logs is None else logs / "ray.txt"
        self._silent = self._connected = False
        jobs_end, self._jobs = os.pipe()
        self._results, results_end = os.pipe()
        environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONUNBUFFERED": "1"}
        environment |= {processes.MARK: self._mark, "RAY_USAGE_STATS_ENABLED": "0"}
        if order["address"] == "local":  # else Ray writes a token into the user's home
            environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        with contextlib.ExitStack() as opened:
            prints: Any = subprocess.DEVNULL
            if self._log is not None:
                self._log.parent.mkdir(parents=True, exist_ok=True)
                prints = opened.enter_context(self._log.open("ab"))
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "hartley.engine.run.ray_bridge"),
                    *(str(jobs_end), str(results_end)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=prints,
                stderr=prints,
                pass_fds=(jobs_end, results_end),
                env=environment,
                start_new_session=True,
            )
        os.close(jobs_end)
        os.close(results_end)
        with contextlib.suppress(BrokenPipeError):  # it is gone: ``notes`` ends
            view = memoryview(pack(token, order))
            while view:
                view = view[os.write(self._jobs, view) :]

    def notes(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield what it says, until it ends or says nothing for too long."""
        # Waits in vain are counted, not seconds: a command that was stopped for a while (Ctrl-Z)
        # must read first what has arrived meanwhile.
        in_vain, patience = 0, _CONNECTING
        while in_vain * _TICK < patience:
            if not select.select([self._results], [], [], _TICK)[0]:
                in_vain += 1
                continue
            piece = os.read(self._results, 1 << 20)
            if not piece:
                return
            in_vain = 0
            try:
                for note, content in self._frames.add(piece):
                    self._connected, patience = True, _SILENCE
                    yield note, content
            except GarbledFrame:
                return
        self._silent = True

    def cause(self) -> str:
        """Say why it has ended before all was played."""
        if self._silent and not self._connected:
            return f"it did not answer within {_CONNECTING:.0f} s"
        if self._silent:
            return "it does not answer any more"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        where = f" (see {self._log})" if self._log is not None else ""
        return f"Ray ended the process that talks to it{where}"

    def end(self) -> None:
        """Let it disconnect, and end whatever it has started on this machine."""
        os.close(self._jobs)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        processes.end(self._process.pid, self._mark)
        self._process.wait()
        os.close(self._results)


def _lost(cluster: Cluster, why: str) -> str:
    return (
        f"the Ray cluster at {cluster.address} cannot be used: {why}; rows that were played are "
        "kept, and the same command goes on from there, with --executor local too"
    )


def _keep(logs: Path | None, host: str, content: bytes) -> None:
    """Write what workers of a machine printed; a log that cannot be written costs no row."""
    if logs is None:
        return
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in host)
    with contextlib.suppress(OSError):
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"ray-{name}.txt").open("ab") as file:
            file.write(content)
