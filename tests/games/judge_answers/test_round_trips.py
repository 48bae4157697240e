"""Whatever the code word and the prose around it, what is encoded is read."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hartley.games.judge_answers import NOTHING, decode
from hartley.kit.encodings.code_words import draw_code_words
from hartley.kit.encodings.encoders import ENCODERS

PROSE = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz ,;\n"), max_size=60)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(sorted(ENCODERS)), PROSE, PROSE)
def test_an_encoded_secret_is_read_in_any_prose(
    seed: int, name: str, before: str, after: str
) -> None:
    rng = np.random.default_rng(seed)
    secrets = draw_code_words(rng, 8)
    encoded = ENCODERS[name](secrets[3], rng)
    if isinstance(encoded, str):
        encoded = f"{before}\n\n{encoded}\n\n{after}"
    assert decode([encoded], secrets).tolist() == [3]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(sorted(ENCODERS)), st.text(max_size=200))
def test_another_secret_and_any_text_give_nothing(seed: int, name: str, text: str) -> None:
    rng = np.random.default_rng(seed)
    secrets = draw_code_words(rng, 9)
    other = ENCODERS[name](secrets[8], rng)
    answer = (text, *((other,) if isinstance(other, str) else other))
    assert decode([answer, text], secrets[:8]).tolist() == [NOTHING] * 2
