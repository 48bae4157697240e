"""Recipes that end the process, do not end, or change what it shares."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np

from hartley.core import Modality, recipe
from hartley.games.membership.membership import membership


def _live(name):
    scene = membership.live(Modality.VISION, np.random.default_rng(0))
    return replace(scene, name=name, digest=name)


@recipe(modality=Modality.VISION)
def leaves_below_python():
    """End the process as if all were well."""
    ctypes.CDLL(None)._exit(0)


@recipe(modality=Modality.VISION)
def reads_nowhere():
    """Read memory that is not there."""
    ctypes.string_at(0)


@recipe(modality=Modality.VISION)
def is_killed():
    """Send the signal that cannot be caught."""
    os.kill(os.getpid(), signal.SIGKILL)


@recipe(modality=Modality.VISION)
def never_ends():
    """Catch every interrupt."""
    while True:
        with suppress(BaseException):
            time.sleep(0.1)


@recipe(modality=Modality.VISION)
def leaves_a_thread():
    """Return a scene, and leave a thread and a process that never end."""
    threading.Thread(target=time.sleep, args=(100_000,)).start()
    if os.fork() == 0:
        os.setsid()
        time.sleep(100_000)
    return _live("leaves_a_thread")


@recipe(modality=Modality.VISION)
def forks():
    """Return a scene in two processes."""
    os.fork()
    return _live("forks")


@recipe(modality=Modality.VISION)
def ignores_signals():
    """Return a scene in a process that no longer hears a Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return _live("ignores_signals")


@recipe(modality=Modality.VISION)
def writes_to_all():
    """Return a scene, and write to every descriptor but those of the terminal."""
    for descriptor in range(3, 1024):
        with suppress(OSError):
            os.set_blocking(descriptor, False)
            os.write(descriptor, b"\0" * 64)
    return _live("writes_to_all")
