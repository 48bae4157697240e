"""Ledgers on both databases: budgets, states, keys, and two that must agree."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.databases import new_database

from hartley.guard.ledger import BatchedLedger, LedgerError, open_ledger
from hartley.guard.ledger.book import Begin, Finish, Look, Operation, Reserve, Reset, Stop
from hartley.guard.ledger.commands import audit, reset, status
from hartley.guard.protocols import Account, Charge, Event, Refused, Reservation

from .conftest import Make


def asked(bits: float, who: str = "alice", key: str = "", body: str = "a", **more: Any) -> Reserve:
    group = "umbra" if who == "carol" else "acme"
    charge = Charge(bits, True, "test", more.pop("secrets", ()))
    return Reserve(key, who, group, charge, body * 64, "{}")


def granted(ledger: BatchedLedger, *args: Any, **options: Any) -> Reservation:
    result = ledger.ask_now(asked(*args, **options))
    assert isinstance(result, Reservation), result
    return result


def refused(ledger: BatchedLedger, *args: Any, **options: Any) -> int:
    result = ledger.ask_now(asked(*args, **options))
    assert isinstance(result, Refused), result
    return result.status


def test_a_budget_is_shared_latched_and_reset_by_a_human(make: Make, place: str) -> None:
    config = make(place, acme=10.0)
    ledger = open_ledger(config)
    assert granted(ledger, 6.0).bits == 6.0
    assert granted(ledger, 4.0, "bob").state == "open"
    assert refused(ledger, 0.000001, "bob") == 429
    assert refused(ledger, 0.0) == 429  # latched: even what would fit
    assert granted(ledger, 9.0, "carol").state == "open"  # another group
    ledger.close_now()
    ledger = open_ledger(config)
    assert refused(ledger, 0.0) == 429
    account: Account = ledger.ask_now(Look("acme"))
    assert (account.charged_bits, account.state, account.rule) == (10.0, "refuse", "T1")
    assert "acme: open" in reset(config, "acme", "ann", "checked")  # while the guard runs
    assert granted(ledger, 0.0).bits == 0.0
    assert refused(ledger, 1.0) == 429  # charges are kept
    reset(config, "acme", "ann", "the password was changed", renewed=True)
    assert granted(ledger, 10.0).state == "open"
    ledger.close_now()
    lines = "\n".join(status(config))
    assert "acme: open, charged 10 of 10 bits, 0 left; 4 answers, 4 not ended" in lines
    assert "verify" in audit(config)


def test_an_account_with_a_budget_stops_alone(make: Make, place: str) -> None:
    ledger = open_ledger(make(place, alice=3.0))
    assert granted(ledger, 3.0).state == "open"
    assert refused(ledger, 1.0) == 429
    assert granted(ledger, 1.0, "bob").state == "open"
    ledger.close_now()


def test_a_repeated_key_is_charged_once_and_answered_once(make: Make, place: str) -> None:
    ledger = open_ledger(make(place))
    first = granted(ledger, 5.0, key="k")
    again = granted(ledger, 5.0, key="k")
    assert (first.bits, again.bits) == (5.0, 0.0)
    assert refused(ledger, 5.0, key="k", body="b") == 422
    assert granted(ledger, 5.0, "bob", key="k").bits == 5.0  # another account's key
    assert ledger.ask_now(Begin(again.id)) is True
    assert ledger.ask_now(Begin(again.id)) is True
    assert ledger.ask_now(Begin(first.id)) is False  # the other attempt may not answer
    assert refused(ledger, 5.0, key="k") == 409
    ledger.ask_now(Finish(again.id, "{}", (), ()))
    assert refused(ledger, 5.0, key="k") == 409
    assert ledger.ask_now(Look("acme")).charged_bits == 10.0
    for id in ("77.1", "1.9", "x", ""):
        with pytest.raises(LedgerError, match="does not have a request"):
            ledger.ask_now(Begin(id))
    ledger.close_now()


def test_what_was_charged_before_a_renewal_pays_for_no_answer_after_it(
    make: Make, place: str
) -> None:
    """Else a client could charge keys, hang up, and ask about the new secret without a charge."""
    config = make(place, acme=3.0)
    ledger = open_ledger(config)
    for key in ("k1", "k2", "k3"):
        assert granted(ledger, 1.0, key=key).bits == 1.0
    assert ledger.ask_now(Begin("3.1")) is True
    reset(config, "acme", "ann", "not the secrets")
    assert granted(ledger, 1.0, key="k1").bits == 0.0
    reset(config, "acme", "ann", "the password was changed", renewed=True)
    again = granted(ledger, 1.0, key="k1")
    assert again.bits == 1.0
    assert granted(ledger, 1.0, key="k1").bits == 0.0
    assert granted(ledger, 1.0, key="k2").bits == 1.0
    assert refused(ledger, 1.0, key="k3") == 409
    ledger.close_now()
    ledger = open_ledger(config)
    assert granted(ledger, 1.0, key="k1").id == again.id.partition(".")[0] + ".3"
    assert ledger.ask_now(Look("acme")).charged_bits == 2.0
    ledger.close_now()
    audit(config)


def test_charges_are_rounded_up_and_never_drift(make: Make) -> None:
    ledger = open_ledger(make(acme=0.3))
    for _ in range(3):
        granted(ledger, 0.1)
    assert refused(ledger, 1e-9) == 429
    for bits in (-1.0, float("nan"), float("inf"), 1e300):
        with pytest.raises(LedgerError, match="a charge must be"):
            ledger.ask_now(asked(bits, "carol"))
    ledger.close_now()


def test_free_text_is_capped_by_the_entropy_of_each_set_of_secrets(
    make: Make, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"secret {name} of the owner")
    secrets = "".join(
        f'[[secret]]\nname = "{name}"\nfile = "{name}"\nentropy_bits = 64.0\n'
        for name in ("a", "b")
    )
    config = make(acme=1000.0, extra=secrets)
    ledger = open_ledger(config)
    assert granted(ledger, 50.0, secrets=("a",)).bits == 50.0
    assert granted(ledger, 50.0, "bob", secrets=("a",)).bits == 14.0
    assert granted(ledger, 50.0, secrets=("a",)).bits == 0.0
    assert granted(ledger, 999.0, secrets=("b", "a")).bits == 128.0  # what of it is b's is unknown
    assert granted(ledger, 50.0).bits == 50.0  # an alphabet is not capped
    reset(config, "acme", "ann", "new secrets", renewed=True)
    assert granted(ledger, 50.0, secrets=("a",)).bits == 50.0
    ledger.close_now()


def test_dry_run_counts_on_and_refuses_nothing(make: Make) -> None:
    config = make(mode="dry-run", acme=1.0)
    ledger = open_ledger(config)
    assert granted(ledger, 5.0, key="k").state == "refuse"
    assert granted(ledger, 5.0, key="k", body="b").bits == 5.0
    assert ledger.ask_now(Look("acme")).charged_bits == 10.0
    ledger.close_now()
    assert "T1 tripped" in "\n".join(status(config))
    audit(config)


@pytest.mark.parametrize("action", ["log", "slow", "coarsen"])
def test_milder_actions_let_requests_pass(make: Make, action: str) -> None:
    config = make(acme=1.0, extra=f'[rules]\nbudget = "{action}"')
    ledger = open_ledger(config)
    expected = "open" if action == "log" else action
    assert granted(ledger, 5.0).state == expected
    assert ledger.ask_now(Look("umbra")).state == "open"
    assert ledger.ask_now(Stop("acme", "ann", "an incident")) == "refuse"
    assert refused(ledger, 0.0) == 429
    ledger.close_now()
    audit(config)


def _random_operations(n: int, seed: int) -> list[Operation | int]:
    """Return operations; a number stands for the request granted as this one, from the last."""
    rng = random.Random(seed)
    steps: list[Operation | int] = []
    for _ in range(n):
        who = rng.choice(["alice", "bob", "carol"])
        key, body = rng.choice(["", "k1", "k2", "k3"]), rng.choice(["a", "a", "b"])
        step: list[Operation | int] = [
            asked(rng.choice([0.5, 1.0, 1.584962500721156, 2.0]), who, key, body),
            rng.randrange(8),
            Look("acme"),
            Reset(rng.choice(["acme", "umbra"]), "ann", "test", rng.random() < 0.5),
        ]
        steps.append(rng.choices(step, (8, 8, 1, 0.6))[0])
    return steps


def test_both_databases_give_the_same_answers(make: Make, server: str, tmp_path: Path) -> None:
    steps, logs = _random_operations(250, 5), []
    for place in ("guard.sqlite", new_database(server)):
        ledger = open_ledger(make(place, acme=12.0, umbra=6.0))
        results: list[Any] = []
        ids = ["0.0"]
        for i, step in enumerate(steps):
            operation: Operation
            if isinstance(step, int):
                id = ids[-1 - step % len(ids)]
                event = (Event("none", True),)
                operation = Begin(id) if i % 2 else Finish(id, "{}", (), event)
            else:
                operation = step
            try:
                results.append(ledger.ask_now(operation))
            except LedgerError as error:
                results.append(str(error))
            if isinstance(results[-1], Reservation):
                ids.append(results[-1].id)
        ledger.close_now()
        logs.append(results)
    assert logs[0] == logs[1]
    kinds = {type(result) for result in logs[0]}
    assert {Reservation, Refused, bool, str, Account} <= kinds


CLIENT = """
import sys, threading
from pathlib import Path
from hartley.guard.config import read_config
from hartley.guard.ledger import open_ledger
from hartley.guard.ledger.book import Reserve
from hartley.guard.protocols import Charge, Reservation
ledger = open_ledger(read_config(Path(sys.argv[1])))
got = []
def spend(who):
    while True:
        one = ledger.ask_now(Reserve("", who, "acme", Charge(0.7, True, "t"), "a" * 64, "{}"))
        if not isinstance(one, Reservation):
            return
        got.append(one.id)
threads = [threading.Thread(target=spend, args=(who,)) for who in ("alice", "bob") * 3]
[t.start() for t in threads]
[t.join() for t in threads]
ledger.close_now()
print(" ".join(got))
"""


def test_accounts_of_one_group_at_the_same_time_in_several_processes_get_one_budget(
    make: Make, place: str, tmp_path: Path
) -> None:
    config = make(place, acme=150.0)
    open_ledger(config).close_now()
    run = [sys.executable, "-c", CLIENT, str(config.path)]
    clients = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ids = [id for client in clients for id in client.communicate(timeout=60)[0].split()]
    assert all(client.returncode == 0 for client in clients)
    assert len(ids) == len(set(ids)) == 214  # 214 · 0.7 = 149.8
    assert "acme: refuse, charged 149.8 of 150 bits" in "\n".join(status(config))
    audit(config)


def test_threads_share_a_batch_and_each_gets_its_result(make: Make) -> None:
    ledger = open_ledger(make(acme=1e6))
    bits: dict[int, list[float]] = {i: [] for i in range(8)}

    def spend(i: int) -> None:
        for _ in range(20):
            bits[i].append(granted(ledger, float(i)).bits)

    threads = [threading.Thread(target=spend, args=(i,)) for i in bits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bits == {i: [float(i)] * 20 for i in range(8)}
    assert ledger.ask_now(Look("acme")).charged_bits == 20.0 * sum(range(8))
    ledger.close_now()
