"""The process that talks to Ray, so that the command does not: reads an order, hands out its jobs.

Run as ``python -m hartley.engine.run.ray_bridge JOBS RESULTS``, with two descriptors. Ray ends the
program that uses it where its head is gone, starts threads in it and takes its signals: here that
costs the bridge, and the command says in one line what was lost.

Jobs go to seats (``ray_seat``), one processor of the cluster each. A job whose seat is lost is
played again elsewhere. Only this process and the command know each other; only the command writes.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from hartley.core import Experiment
from hartley.core.errors import RunError
from hartley.engine.run import processes
from hartley.engine.run.executor import foreign_last, next_place
from hartley.engine.run.frames import pack, receive

LOSSES = 3
"""Seats that one job may lose; then it fails, for it may be what ends them."""
_TICK = 0.2
"""Seconds between two looks."""
_PATIENCE = 300.0
"""Seconds that may pass without a seat that plays, and that a result may take to arrive."""
_LOOK = 2.0
"""Seconds between two looks at the machines of the cluster."""
_FAREWELL = 5.0
"""Seconds after which this process ends by force, once the command wants no more."""
_STARTS = 3
"""Times that a cluster of this machine alone is started."""
_REASON = re.compile(r"[A-Za-z_.]*(Error|Exception|Exit|Interrupt)\b")
_LIGHT = {
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_raylet_start_wait_time_s": "90",
}
"""Settings of Ray: start no worker before one is asked for, and wait on a busy machine."""
_TOKEN = " (a cluster that asks for a token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN set here)"
_UNUSED = "rfc3987_syntax"
"""A module that jsonschema, which Ray imports, imports where it is there (Jupyter brings it): it
builds a grammar of addresses, which takes 1.5 s of processor time, and Ray has no use for it."""
_LOOPBACK = "127.0.0.2"
"""Ray puts the machine's outer address in the place of 127.0.0.1."""
_OBJECTS = 256 << 20
"""Bytes of shared memory for results in a cluster of this machine alone."""


@dataclass(slots=True, eq=False)
class _Seated:
    """A seat, what is awaited of it, and what it plays."""

    actor: Any
    awaited: Any
    experiment: Experiment | None = None
    host: str = ""


class Bridge:
    """Hands jobs to seats until all are played."""

    def __init__(self, token: bytes, order: Mapping[str, Any], results: int) -> None:
        """Take the order; see ``ray_executor``."""
        self._token, self._order, self._results = token, order, results
        self._todo = foreign_last([Experiment.load(one) for one in order["experiments"]])
        self._seats: list[_Seated] = []
        self._losses: dict[str, int] = {}
        self._size = 1
        self._next_look = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        """Connect, play, and disconnect.

        Raises:
            RunError: there is no cluster, or it is lost; or a machine has other code or files.
        """
        sys.modules.setdefault(_UNUSED, None)  # type: ignore[arg-type]  # None: not to be imported
        import ray

        _connect(ray, self._order)
        try:
            self._say({"ready": True})
            self._play(ray)
        finally:
            ray.shutdown()

    def _play(self, ray: Any) -> None:
        size = self._order["workers"] or int(ray.cluster_resources().get("CPU", 1))
        self._size = max(1, min(size, len(self._todo)))
        playing = time.monotonic()
        while (self._todo or self._busy()) and not self.stop.is_set():
            free = [seat for seat in self._seats if seat.experiment is None]
            while len(self._seats) < self._size and len(free) < len(self._todo):
                self._seats.append(self._hire(ray))
                free.append(self._seats[-1])
            awaited = {seat.awaited: seat for seat in self._seats if seat.awaited is not None}
            ready, _ = ray.wait(list(awaited), num_returns=1, timeout=_TICK)
            for reference in ready:
                self._answered(ray, awaited[reference])
            self._say({"alive": True})
            if self._busy():
                playing = time.monotonic()
            elif time.monotonic() - playing > _PATIENCE:
                raise RunError(_no_room(ray))
            if time.monotonic() > self._next_look:
                self._next_look = time.monotonic() + _LOOK
                if not any(node["Alive"] for node in ray.nodes()):
                    raise RunError("no machine of the cluster is left")

    def _busy(self) -> bool:
        return any(seat.experiment is not None for seat in self._seats)

    def _hire(self, ray: Any) -> _Seated:
        from hartley.engine.run.ray_seat import Seat

        shared = {name: value for name, value in self._order.items() if name != "experiments"}
        remote = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(Seat)
        actor = remote.remote(shared)
        return _Seated(actor, actor.begin.remote())

    def _answered(self, ray: Any, seat: _Seated) -> None:
        try:
            answer = ray.get(seat.awaited, timeout=_PATIENCE)
        except ray.exceptions.RayTaskError as error:  # what the seat itself raised
            raise RunError(_one_line(error.cause or error)) from error
        except ray.exceptions.RuntimeEnvSetupError as error:
            raise RunError(f"executor.code cannot be sent: {_one_line(error)}") from error
        except ray.exceptions.RayError as error:
            self._lost(ray, seat, _one_line(error))
            return
        if seat.experiment is None:  # it has begun
            self._losses.pop("", None)
            seat.host = answer["host"]
        else:
            self._ended(seat, *answer)
        self._assign(ray, seat)

    def _ended(self, seat: _Seated, note: Mapping[str, Any], content: bytes, prints: bytes) -> None:
        if "unlike" in note:
            raise RunError(note["unlike"])
        experiment, seat.experiment = seat.experiment, None
        assert experiment is not None
        if prints:
            self._say({"prints": seat.host}, prints)
        if note["killed"] and self._again(experiment, note["result"]["note"]["reason"]):
            return
        self._say({"key": experiment.key, "result": note["result"]}, content)

    def _assign(self, ray: Any, seat: _Seated) -> None:
        """Give a seat the next job, or let it go where there is none."""
        if not self._todo:
            ray.kill(seat.actor)
            self._seats.remove(seat)
            return
        busy = {s.experiment.group for s in self._seats if s.experiment is not None}
        seat.experiment = self._todo.pop(next_place(self._todo, busy))
        self._say({"started": seat.experiment.key})
        seat.awaited = seat.actor.play.remote(seat.experiment.dump())

    def _lost(self, ray: Any, seat: _Seated, why: str) -> None:
        """Let a seat go that is lost; its job is played again, or fails after many losses."""
        self._seats.remove(seat)
        ray.kill(seat.actor)
        experiment = seat.experiment
        if experiment is None:
            losses = self._losses[""] = self._losses.get("", 0) + 1
            if losses >= LOSSES and not self._busy():
                raise RunError(f"no worker can be started there: {why}")
            if losses >= LOSSES:  # go on with those that play
                self._size = max(1, len(self._seats))
        elif not self._again(experiment, why):
            reason = f"its worker was lost {LOSSES} times while it was played: {why}"
            failed = {"status": "failed", "note": {"reason": reason, "seconds": 0.0}}
            self._say({"key": experiment.key, "result": failed})

    def _again(self, experiment: Experiment, why: str) -> bool:
        """Put a job back, first in line; False where it was lost too often."""
        losses = self._losses[experiment.key] = self._losses.get(experiment.key, 0) + 1
        if losses >= LOSSES:
            return False
        sys.stderr.write(f"{experiment.words()} is played again: {why}\n")
        self._todo.insert(0, experiment)
        return True

    def _say(self, note: Mapping[str, Any], content: bytes = b"") -> None:
        view = memoryview(pack(self._token, note, content))
        while view:
            view = view[os.write(self._results, view) :]


def _connect(ray: Any, order: Mapping[str, Any]) -> None:
    """Connect to a cluster, or start one on this machine.

    Raises:
        RunError: that cannot be.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if order["code"]:
        settings["runtime_env"] = {"working_dir": order["code"]}
    if order["address"] == "local":
        settings |= {
            "num_cpus": order["workers"] or os.cpu_count() or 1,
            "include_dashboard": False,
            "object_store_memory": _OBJECTS,
            "_temp_dir": order["scratch"],
        }
        if sys.platform == "linux":
            settings["_node_ip_address"] = _LOOPBACK
        os.environ.update(_LIGHT)
    tries = _STARTS if order["address"] == "local" else 1
    for left in reversed(range(tries)):
        try:
            ray.init(address=order["address"], **settings)
            return
        except Exception as error:  # Ray raises its own, those of Python and of its libraries
            if not left:
                hint = "" if order["address"] == "local" else _TOKEN
                raise RunError(_one_line(error) + hint) from error
        ray.shutdown()


def _no_room(ray: Any) -> str:
    total, free = ray.cluster_resources(), ray.available_resources()
    return (
        f"no worker began within {_PATIENCE:.0f} s: each needs a processor, and of "
        f"{total.get('CPU', 0):g} in the cluster {free.get('CPU', 0):g} are free"
    )


def _one_line(error: BaseException) -> str:
    """Return what an error of Ray says: its first line, or all where that only announces the rest.

    Where an actor could not be made, the reason is the last line of the traceback that follows.
    """
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if lines[0].endswith(":") and "Version mismatch" in lines[0]:
        return " ".join(lines)[:300]
    if "creation task" in lines[0]:
        reasons = [line for line in lines if _REASON.match(line)]
        return (reasons or lines)[-1][:300]
    return lines[0][:300]


def _follow(inbox: IO[bytes], bridge: Bridge) -> None:
    """End this process once the command has closed its end, by force where Ray does not answer."""
    inbox.read()
    bridge.stop.set()
    time.sleep(_FAREWELL)
    processes.end(os.getpid(), os.environ.get(processes.MARK, ""))


def main() -> None:
    """Play one order."""
    jobs, results = (int(word) for word in sys.argv[1:3])
    for descriptor in (jobs, results):
        os.set_inheritable(descriptor, False)
    inbox = os.fdopen(jobs, "rb")
    token, order = receive(inbox)
    bridge = Bridge(token, order, results)
    threading.Thread(target=_follow, args=(inbox, bridge), daemon=True).start()
    try:
        bridge.run()
    except BrokenPipeError:  # the command is gone
        os._exit(0)
    except RunError as error:
        os.write(results, pack(token, {"error": str(error)}))
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
