"""Shared work is on the ledger of all who use it, and on the own clock of none."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hartley.kit import cache
from hartley.kit.shared_work import SECONDS, Ledger, Work

NAP = 0.05
SLACK = 0.03


def _made(work: Work, nap: float = NAP) -> None:
    with work.use():
        time.sleep(nap)


def test_the_maker_and_whoever_comes_later_have_the_same_on_their_ledgers() -> None:
    work, first, later, stranger = Work("models"), Ledger(), Ledger(), Ledger()
    with first.opened():
        _made(work)
    with later.opened():
        work.used()
        work.used()
    with stranger.opened():
        pass
    assert first.shared() == later.shared() == {"models": work.spent}
    assert work.spent[SECONDS] == pytest.approx(NAP, abs=SLACK)
    assert first.inside[SECONDS] == pytest.approx(NAP, abs=SLACK) and not later.inside
    assert stranger.shared() == {}


def test_parts_belong_to_what_was_made_of_them_and_count_once() -> None:
    part, other = Work("weights", "file 1"), Work("weights", "file 1")
    models, answers = Work("models"), Work("answers")
    maker, user = Ledger(), Ledger()
    with maker.opened():
        with models.use():
            _made(part)
            time.sleep(NAP)
        with answers.use():
            other.used()
            time.sleep(NAP)
    assert models.spent[SECONDS] == pytest.approx(NAP, abs=SLACK), "without its part"
    assert maker.inside[SECONDS] == pytest.approx(3 * NAP, abs=2 * SLACK)
    with user.opened():
        models.used()
        answers.used()
    assert user.shared() == maker.shared()
    assert list(user.shared()) == ["models", "answers"]
    assert user.shared()["models"][SECONDS] == pytest.approx(2 * NAP, abs=SLACK)
    assert user.shared()["answers"][SECONDS] == pytest.approx(NAP, abs=SLACK)


def test_other_units_are_read_off_the_meter_of_who_makes_it() -> None:
    counted = {"models": 3.0}
    maker, user, work = Ledger(lambda: counted), Ledger(), Work("models")
    with maker.opened(), work.use():
        counted["models"] = 11.0
    with user.opened():
        work.used()
    assert user.shared()["models"]["models"] == 8.0 == maker.inside["models"]


def test_a_failure_is_paid_for_and_leaves_no_block_open() -> None:
    work, ledger = Work("models"), Ledger()
    with ledger.opened(), pytest.raises(ValueError, match="no"), work.use():
        raise ValueError("no")
    with ledger.opened():
        _made(after := Work("after"))
    assert after.identity in ledger.works


def test_what_is_kept_on_disk_says_what_it_took_when_it_was_made(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))

    def build() -> dict[str, np.ndarray]:
        time.sleep(NAP)
        return {"a": np.arange(3)}

    ledgers = [Ledger(), Ledger()]
    for ledger in ledgers:
        with ledger.opened():
            for _ in range(2):
                assert cache.cached("thing", ["recipe"], build)["a"].tolist() == [0, 1, 2]
    first, second = (ledger.shared()["thing"][SECONDS] for ledger in ledgers)
    assert first == pytest.approx(second, abs=SLACK) and second > NAP
    assert ledgers[1].inside[SECONDS] < NAP
