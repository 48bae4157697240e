"""A seat on a machine of a Ray cluster: an actor that keeps one worker process and hands it jobs.

The worker process is the one of the local executor, started by the actor on its machine, so that
limits, deaths, prints and results are the same wherever a job is played. The machine shares no
folder with the command: what was played and printed goes back through Ray.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hartley import __version__
from hartley.core import Experiment
from hartley.core.errors import HartleyError, RunError
from hartley.engine.completed import files_of_scene
from hartley.engine.plan.worklist import code_of
from hartley.engine.run.executor import Limits, Staff
from hartley.engine.run.player import Result

Played = tuple[dict[str, Any], bytes, bytes]
"""What is said of a job, its trials, and what its worker printed."""


def unlike(experiment: Experiment, files: Sequence[str], version: str, *, here: str = "") -> str:
    """Say what is other on this machine than where the command runs; empty where nothing is.

    Args:
        experiment: that is to be played; it names the code that plays it.
        files: digests of the files of its scene (``completed.files_of_scene``).
        version: of Hartley.
        here: the name of this machine; by default its host name.
    """
    here = here or socket.gethostname()
    if other := _other_version(version, here):
        return other
    try:
        code = code_of(experiment)
        digests = files_of_scene(experiment.scene, experiment.scene_params)
    except HartleyError as error:
        return f"{here} cannot play {experiment.words()}: {error}"
    if experiment.code and code != experiment.code:
        return (
            f"{here} would play {experiment.words()} with other code: it has {code!r}, and the "
            f"command {experiment.code!r}; install the same there"
        )
    if digests != list(files):
        named = sorted({line.split()[0] for line in {*digests} ^ {*files} if line})
        return (
            f"{here} has other files for the scene {experiment.scene} ({', '.join(named)}); put "
            "the same files at the same paths there"
        )
    return ""


def _other_version(version: str, here: str = "") -> str:
    if version == __version__:
        return ""
    here = here or socket.gethostname()
    return f"{here} has Hartley {__version__}, and the command is {version}; install the same"


class Seat:
    """Plays one job after another on its machine."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        """Take what holds for all jobs; see ``ray_bridge``."""
        self._order = order
        self._folder = tempfile.TemporaryDirectory(prefix="hartley-seat-")
        folder = Path(self._folder.name)
        self._logs = folder / "logs"
        limits = Limits(order["seconds"], order["memory"])
        self._staff = Staff(1, (self._logs, folder / "loot", order["isolate"], None), limits)
        self._read: dict[str, int] = {}
        if Path(order["folder"]).is_dir():
            os.chdir(order["folder"])  # relative paths mean the same
        sys.path[:0] = [name for name in order["path"] if name not in sys.path]

    def begin(self) -> dict[str, Any]:
        """Start its worker, and say where it is.

        Raises:
            RunError: no worker process can be started, or another Hartley has sent the order.
        """
        if other := _other_version(self._order["version"]):
            raise RunError(other)
        self._staff.warm_up()
        return {"host": socket.gethostname(), "pid": os.getpid()}

    def play(self, dumped: Mapping[str, Any]) -> Played:
        """Play an experiment.

        Raises:
            RunError: no worker process can be started.
        """
        experiment = Experiment.load(dumped)
        if other := unlike(experiment, self._order["files"], self._order["version"]):
            return {"unlike": other}, b"", b""
        results: list[Result] = []
        self._staff.play(
            [experiment],
            lambda _experiment: None,
            lambda _experiment, result: results.append(result),
            lambda _experiment, _news: None,
        )
        (result,) = results
        names = ("status", "note", "mistake", "row")
        note = {
            "result": {name: getattr(result, name) for name in names},
            "killed": experiment.key in self._staff.killed,
        }
        self._staff.killed.clear()
        return note, result.content, self._prints()

    def _prints(self) -> bytes:
        """Return what its workers have printed since the last time."""
        pieces = []
        for path in sorted(self._logs.glob("*.txt")):
            content = path.read_bytes()[self._read.get(path.name, 0) :]
            self._read[path.name] = self._read.get(path.name, 0) + len(content)
            pieces.append(content)
        return b"".join(pieces)
