"""The judge reads twenty encodings and composed ones, and says when it cannot judge."""

from __future__ import annotations

import numpy as np
import pytest
from tests.games.judge_answers.held_out_encodings import HELD_OUT

from hartley.core.errors import UsageError
from hartley.games.judge_answers import NOTHING, UNJUDGED, Judge, decode
from hartley.kit.encodings.encoders import ENCODERS

SECRETS = (
    "amber falcon harbor violin",
    "silver bridge candle owl",
    "maple lantern orbit quill",
    "zinc yellow xylophone jade",
)


@pytest.mark.parametrize("name", sorted({**ENCODERS, **HELD_OUT}))
def test_an_encoding_is_read(name: str) -> None:
    rng = np.random.default_rng(0)
    encode = {**ENCODERS, **HELD_OUT}[name]
    truth = rng.integers(0, len(SECRETS), 40)
    answers = [encode(SECRETS[k], rng) for k in truth]
    assert (decode(answers, SECRETS) == truth).mean() >= 0.95


def test_an_answer_without_a_secret_gives_nothing() -> None:
    answers = ["I will not say it.", "", "amber falcon harbor", "amber falcon harbor violet"]
    assert decode(answers, SECRETS).tolist() == [NOTHING] * 4


def test_what_could_not_be_judged_is_a_third_value() -> None:
    judge = Judge(SECRETS)
    answers = [None, f"{SECRETS[0]} or {SECRETS[1]}", "a" * 200_000, "It is amber falcon harb"]
    cut = [False, False, False, True]
    assert judge.decode(answers, cut).tolist() == [UNJUDGED] * 4
    assert judge.decode(answers[3:]).tolist() == [NOTHING]
    assert judge.decode([SECRETS[2]], [True]).tolist() == [2]


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ([], "at least one secret"),
        (["short"], "at least 40 bits"),
        ([SECRETS[0], SECRETS[0] + " again"], "must not contain one another"),
        ([SECRETS[0], SECRETS[0].upper()], "must not contain one another"),
    ],
)
def test_wrong_secrets_are_refused(secrets: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Judge(secrets)
    with pytest.raises(UsageError, match="40 bits"):
        Judge(SECRETS, bits=30)
