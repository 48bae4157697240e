"""The checks themselves: each kind of bad attack is stopped by the check that is meant for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold as good
from hartley.core import ALL, Access, Attack, Data, Modality, Outcome, Term, View, attack
from hartley.core.errors import RunError
from hartley.games.membership.membership import membership
from hartley.testing import ATTACK_CHECKS, CheckFailed, check_attack

CHECKS = {check.name: check for check in ATTACK_CHECKS}


def _declare(
    run: Callable[..., Outcome],
    *,
    access: Access = Access.SCORES,
    modalities: tuple[Modality, ...] = (Modality.VISION,),
) -> Attack:
    return attack(
        game=membership,
        access=access,
        term=Term.NOISE,
        modalities=modalities,
        paper="arXiv:1709.01604",
    )(run)


def _answer(view: View, guess: Any) -> Outcome:
    return Outcome(guess=guess, asset=Data("loot", view.model.modality, np.zeros((1, 1))))


def _loss(view: View) -> Any:
    asked = view.brief.question
    assert asked is not None and asked.y is not None
    return np.log(np.maximum(view.model.query(asked.x)[np.arange(len(asked)), asked.y], 1e-6))


def tosses_a_coin(view: View, rng: np.random.Generator) -> Outcome:
    """Guess at random."""
    return _answer(view, rng.random(len(view.brief.question)))


def wrong_unit(view: View, rng: np.random.Generator) -> Outcome:
    """Answer with the record's mean, not the model's answer."""
    return _answer(view, view.brief.question.x.reshape(len(view.brief.question), -1).mean(1))  # type: ignore


def unseeded(view: View, rng: np.random.Generator) -> Outcome:
    """Break ties with a generator of its own."""
    noise = np.random.default_rng().random(len(view.brief.question))
    return _answer(view, _loss(view) + noise)


def leans_on_the_global_generator(view: View, rng: np.random.Generator) -> Outcome:
    """Break ties with numpy's global generator."""
    return _answer(view, _loss(view) + np.random.random(len(view.brief.question)))  # type: ignore # noqa: NPY002


def one_short(view: View, rng: np.random.Generator) -> Outcome:
    """Forget the last question."""
    return _answer(view, _loss(view)[:-1])


def says_nan(view: View, rng: np.random.Generator) -> Outcome:
    """Answer one question with NaN."""
    guess = _loss(view)
    guess[0] = np.nan
    return _answer(view, guess)


def takes_any_number(view: View, rng: np.random.Generator, *, times: int = 1) -> Outcome:
    """Look at the record so many times.

    Args:
        times: looks.
    """
    return _answer(view, times * _loss(view))


def cannot_shrink(view: View, rng: np.random.Generator, *, times: int = 1) -> Outcome:
    """Fail at the setting that it would sweep.

    Args:
        times: must not be 2.
    """
    if times == 2:
        raise RunError("two is too many")
    return _answer(view, _loss(view))


def returns_no_loot(view: View, rng: np.random.Generator) -> Outcome:
    """Keep the loot."""
    return Outcome(guess=_loss(view))


def returns_the_wrong_loot(view: View, rng: np.random.Generator) -> Outcome:
    """Return a model where data is due."""
    return Outcome(guess=_loss(view), asset=view.model)


def trains_undeclared(view: View, rng: np.random.Generator) -> Outcome:
    """Train references without having declared it."""
    view.model.fit(view.brief.public, np.ones((1, len(view.brief.public)), bool), 0)  # type: ignore[misc]
    return _answer(view, _loss(view))


def asks_undeclared(view: View, rng: np.random.Generator) -> Outcome:
    """Query a model that it declared it would only train."""
    return _answer(view, _loss(view))


def writes_into_the_question(view: View, rng: np.random.Generator) -> Outcome:
    """Scale the records in place."""
    view.brief.question.x[...] = 0
    return _answer(view, _loss(view))


def unfreezes_the_question(view: View, rng: np.random.Generator) -> Outcome:
    """Make a frozen array writable again and spoil it."""
    guess = _loss(view)
    owner = view.brief.question.x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    owner.flags.writeable = True
    owner[...] = 0
    return _answer(view, guess)


def walks_the_stack(view: View, rng: np.random.Generator) -> Outcome:
    """Read the truth out of the engine's frame."""
    frame = inspect.currentframe()
    while frame is not None:
        table = frame.f_locals.get("table")
        index = frame.f_locals.get("index")
        if table is not None and index is not None:
            return _answer(view, table.rounds[index].truth.astype(float))
        frame = frame.f_back
    return _answer(view, _loss(view))


def swallows_its_budget(view: View, rng: np.random.Generator) -> Outcome:
    """Go on as if nothing were when the budget is spent."""
    from hartley.core.errors import BudgetSpent

    try:
        return _answer(view, _loss(view))
    except BudgetSpent:
        return _answer(view, rng.random(len(view.brief.question)))


BAD = {
    tosses_a_coin: "reads_the_live_scene",
    wrong_unit: "reads_the_live_scene",
    unseeded: "repeats",
    leans_on_the_global_generator: "repeats",
    one_short: "answers_every_question",
    says_nan: "answers_every_question",
    takes_any_number: "refuses_values_outside_its_ranges",
    returns_no_loot: "answers_every_question",
    returns_the_wrong_loot: "answers_every_question",
    trains_undeclared: "keeps_to_its_access",
    writes_into_the_question: "leaves_the_view_alone",
    unfreezes_the_question: "leaves_the_view_alone",
    walks_the_stack: "reads_nothing_from_the_dead_scene",
    swallows_its_budget: "keeps_its_budget",
}


def test_a_good_attack_passes() -> None:
    check_attack(good)


@pytest.mark.parametrize(("run", "check"), BAD.items(), ids=lambda v: getattr(v, "__name__", v))
def test_a_bad_attack_is_stopped(run: Callable[..., Outcome], check: str) -> None:
    with pytest.raises(CheckFailed):
        CHECKS[check](_declare(run))


def test_a_query_without_access_is_stopped() -> None:
    with pytest.raises(CheckFailed, match="access denied"):
        CHECKS["keeps_to_its_access"](_declare(asks_undeclared, access=Access.TRAIN))


def test_a_setting_of_a_sweep_that_cannot_be_played_is_found() -> None:
    declared = _declare(cannot_shrink)
    CHECKS["plays_what_it_sweeps"](declared)
    CHECKS["plays_what_it_sweeps"](replace(declared, sweep={"times": (3, 4)}))
    with pytest.raises(CheckFailed, match=r"cannot be played with {'times': 2}.*two is too many"):
        CHECKS["plays_what_it_sweeps"](replace(declared, sweep={"times": (3, 2)}))


def test_a_stranger_in_the_wrong_file_is_found() -> None:
    with pytest.raises(CheckFailed, match="the file must be named"):
        CHECKS["is_in_its_folder"](_declare(tosses_a_coin))


def test_a_modality_that_the_game_lacks_is_found() -> None:
    game = replace(membership, modalities=(Modality.AUDIO,))
    with pytest.raises(CheckFailed, match="claims"):
        CHECKS["fits_its_game"](replace(good, game=game, modalities=ALL))


def test_an_attack_that_adds_bits_under_noise_is_found() -> None:
    def finds_noise(view: View, rng: np.random.Generator) -> Outcome:
        """Read nothing from a clear victim and the truth from a blurred one."""
        if view.model.query(view.brief.question.x[:1]).max() >= 0:  # type: ignore[union-attr]
            frame = inspect.currentframe()
            while frame is not None:
                table, index = frame.f_locals.get("table"), frame.f_locals.get("index")
                if table is not None and index is not None and _is_blurred(table):
                    return _answer(view, table.rounds[index].truth.astype(float))
                frame = frame.f_back
        return _answer(view, rng.random(len(view.brief.question)))

    with pytest.raises(CheckFailed, match="above"):
        CHECKS["narrows_under_noise"](_declare(finds_noise))


def _is_blurred(table: Any) -> bool:
    return "_blurred" in table.rounds[0].view.source.query.__qualname__
