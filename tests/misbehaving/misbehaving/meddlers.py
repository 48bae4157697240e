"""Attacks that answer honestly, and change what all code of their process shares."""

from __future__ import annotations

import gc
import locale
import os
import random
import shutil
import signal
import sys
import time
import warnings

import numpy as np

from hartley.core import ALL, Access, Term, attack
from hartley.games.membership.membership import membership
from misbehaving import honest, scratch


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def changes_numpy(view, rng):
    """Change how numpy draws, rounds, sorts and complains."""
    outcome = honest(view)
    np.seterr(all="raise")
    np.random.seed(0)  # noqa: NPY002
    np.random.default_rng = lambda *_: np.random.Generator(np.random.PCG64(0))
    np.log = lambda x, *_, **__: np.zeros_like(x)
    np.argsort = lambda x, *_, **__: np.arange(len(x))
    np.mean = lambda *_, **__: 0.0
    return outcome


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def changes_torch(view, rng):
    """Change the precision, the threads and the random state of torch."""
    import torch

    outcome = honest(view)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(7)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    return outcome


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def changes_hartley(view, rng):
    """Replace what measures and what judges with what finds nothing."""
    from hartley.channel import measure
    from hartley.engine.result import gate
    from hartley.engine.run import play, player

    outcome = honest(view)
    measure.measure = gate.judge = play.deal = player.deal = lambda *_, **__: None
    player.play_rounds = lambda *_, **__: None
    return outcome


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def changes_the_process(view, rng):
    """Change folder, environment, locale, mask, signals, warnings, paths and random state."""
    outcome = honest(view)
    os.chdir("/")
    os.umask(0o777)
    os.environ.clear()
    locale.setlocale(locale.LC_ALL, "C")
    random.seed(0)
    warnings.simplefilter("error")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.path[:] = []
    sys.setrecursionlimit(100)
    gc.disable()
    return outcome


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def changes_the_clock(view, rng):
    """Replace the clocks of Python, and what ends a process."""
    outcome = honest(view)
    time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
    os._exit = sys.exit = lambda *_: None
    return outcome


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def removes_its_folder(view, rng):
    """Go into a folder and remove it."""
    folder = scratch() / f"gone-{os.getpid()}"
    folder.mkdir()
    os.chdir(folder)
    shutil.rmtree(folder)
    return honest(view)


@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="hartley")
def forgets_modules(view, rng):
    """Remove the modules that were imported, and the builtins that code calls."""
    import builtins

    outcome = honest(view)
    for name in [name for name in sys.modules if name.startswith(("hartley", "numpy", "json"))]:
        del sys.modules[name]
    builtins.open = builtins.sorted = builtins.isinstance = None
    return outcome
