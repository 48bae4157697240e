"""Honest histories of a ledger verify, whatever guards, configurations and orders they have."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.databases import new_database

from hartley.core.seeds import spawn
from hartley.guard.config import GuardConfig, read_config
from hartley.guard.ledger import open_ledger
from hartley.guard.ledger.batches import BatchedLedger
from hartley.guard.ledger.book import Begin, Finish, LedgerError, Look, Reserve
from hartley.guard.ledger.commands import audit, reset, status, stop
from hartley.guard.protocols import Charge, Event, Reservation

WHO = ("alice", "bob", "carol")
ACTIONS = ("log", "slow", "coarsen", "refuse")
WORDS = ("amber", "birch", "cedar", "delta", "elm", "fir", "gum", "holly")


def drawn_config(rng: random.Random, folder: Path, ledger: str) -> GuardConfig:
    """A configuration: accounts move, groups go, budgets, caps, candidates and actions change."""
    action = rng.choice(ACTIONS)
    lines = [
        "[guard]",
        'upstream = "http://127.0.0.1:9/v1"',
        f'mode = "{rng.choice(["enforce", "enforce", "dry-run"])}"',
        f'ledger = "{ledger}"',
        'durability = "process"',
    ]
    groups = rng.sample(["acme", "umbra", "tyrell"], 2)
    for group in groups:
        lines += [f"[group.{group}]", f"budget_bits = {rng.choice([0, 3, 40, 1000])}"]
    for name in WHO:
        lines += ["[[principal]]", f'name = "{name}"', f'group = "{rng.choice(groups)}"']
        lines += [f'key_sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"']
        if rng.random() < 0.3:
            lines += [f"budget_bits = {rng.choice([0, 2, 9])}"]
    lines += ["[[secret]]", 'name = "code"', 'file = "secret.txt"']
    lines += [f"entropy_bits = {rng.choice([40, 60])}"]
    for name in rng.sample(["ward", "watch"], rng.choice([1, 2])):
        chosen = list(WORDS[: rng.choice([2, 4, 8])])
        lines += ["[[decoy]]", f'name = "{name}"', f"candidates = {chosen}", "alpha = 0.3"]
    path = folder / "guard.toml"
    lines += ["[rules]", f'budget = "{action}"', f'evidence = "{rng.choice(ACTIONS)}"']
    (folder / "secret.txt").write_text("correct horse battery staple")
    path.write_text("\n".join(lines))
    return read_config(path)


class Guards:
    """Guards on one ledger, of which each has the configuration of its start."""

    def __init__(self, rng: random.Random, folder: Path, ledger: str) -> None:
        self.rng, self.folder, self.place = rng, folder, ledger
        self.config = drawn_config(rng, folder, ledger)
        self.running: list[BatchedLedger] = []
        self.waiting: list[tuple[BatchedLedger, str]] = []

    def start(self) -> None:
        if self.rng.random() < 0.7:
            self.config = drawn_config(self.rng, self.folder, self.place)
        self.running.append(open_ledger(self.config))

    def end(self) -> None:
        """One ends: its requests do not."""
        if len(self.running) > 1:
            one = self.running.pop(self.rng.randrange(len(self.running)))
            self.waiting = [pair for pair in self.waiting if pair[0] is not one]
            one.close_now()

    def reserve(self) -> None:
        rng, ledger = self.rng, self.rng.choice(self.running)
        who = rng.choice(WHO)
        secrets = ("code",) if rng.random() < 0.4 else ()
        charge = Charge(rng.choice([0.0, 0.3, 1.0, 15.0]), rng.random() < 0.8, "test", secrets)
        group = ledger.config.principals[who].group
        key, body = rng.choice(["", "", "k", "l"]), rng.choice("aab") * 64
        result = ledger.ask_now(Reserve(key, who, group, charge, body, "{}"))
        if isinstance(result, Reservation):
            self.waiting.append((ledger, result.id))

    def begin(self) -> None:
        if self.waiting:
            ledger, id = self.rng.choice(self.waiting)
            ledger.ask_now(Begin(id))

    def finish(self) -> None:
        if not self.waiting:
            return
        ledger, id = self.waiting.pop(self.rng.randrange(len(self.waiting)))
        names = [decoy.name for decoy in ledger.config.decoys]
        planted = tuple(name for name in names if self.rng.random() < 0.6)
        events = [Event(name, self.rng.random() < 0.5) for name in names if self.rng.random() < 0.6]
        ledger.ask_now(Finish(id, "{}", planted, tuple(events)))

    def look(self) -> None:
        self.rng.choice(self.running).ask_now(Look(self.rng.choice(["acme", "umbra"])))

    def decide(self) -> None:
        """A human stops or resets a group; it may be one that the ledger does not have."""
        group = self.rng.choice(["acme", "umbra", "tyrell"])
        try:
            if self.rng.random() < 0.4:
                stop(self.config, group, "me", "a reason")
            else:
                reset(self.config, group, "me", "a reason", renewed=self.rng.random() < 0.3)
        except Exception as error:
            assert "does not have a group" in str(error) or "was stopped at" in str(error)


def play(rng: random.Random, folder: Path, ledger: str, steps: int) -> str:
    """Play a history, with audits on the way; return what the last one says."""
    guards = Guards(rng, folder, ledger)
    guards.start()
    acts: list[Any] = [guards.reserve] * 6 + [guards.begin] * 3 + [guards.finish] * 4
    acts += [guards.look, guards.decide, guards.start, guards.end]
    for _ in range(steps):
        rng.choice(acts)()
        if rng.random() < 0.05:
            audit(guards.config)
            status(guards.config)
    said = audit(guards.config)
    while guards.running:
        guards.running.pop().close_now()
    assert audit(guards.config) == said
    return said


@pytest.mark.parametrize("seed", range(12))
def test_an_honest_history_verifies(seed: int, tmp_path: Path) -> None:
    rng = random.Random(spawn(seed, "ledger histories"))
    assert "are what they add up to; head" in play(rng, tmp_path, "guard.sqlite", 120)


def test_an_honest_history_verifies_on_a_server(postgres_server: str, tmp_path: Path) -> None:
    for seed in range(2):
        rng = random.Random(spawn(seed, "ledger histories"))
        place = new_database(postgres_server)
        assert "are what they add up to; head" in play(rng, tmp_path, place, 120)


def test_a_ledger_that_is_written_is_opened_and_audited(tmp_path: Path) -> None:
    """Neither is the head taken before another guard's last entry, nor its clock after it."""
    rng = random.Random(spawn(0, "ledger written"))
    config = drawn_config(rng, tmp_path, "guard.sqlite")
    ended = threading.Event()
    faults: list[BaseException] = []

    def write(name: str) -> None:
        ledger = open_ledger(config)
        try:
            while not ended.is_set():
                group = config.principals[name].group
                ledger.ask_now(Reserve("", name, group, Charge(0.0, True, "test"), "a", "{}"))
        except LedgerError as error:
            faults.append(error)
        finally:
            ledger.close_now()

    open_ledger(config).close_now()
    writers = [threading.Thread(target=write, args=(name,)) for name in WHO[:2]]
    for thread in writers:
        thread.start()
    try:
        for _ in range(20):
            audit(config)
            status(config)
            open_ledger(config).close_now()
    finally:
        ended.set()
        for thread in writers:
            thread.join()
    assert not faults
    assert "set back" not in audit(config)
