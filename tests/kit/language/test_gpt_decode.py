"""Tokens that are read once give what reading everything anew gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hartley.kit.language import gpt, gpt_decode, soft_prompt, text

SHAPE = gpt.Shape(vocabulary=64, width=32, layers=2, heads=2, context=24)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    weights = gpt.initial(SHAPE, torch.Generator().manual_seed(0))
    return {name: 4 * w if w.ndim > 1 else w for name, w in weights.items()}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return text.pad([rng.integers(0, 64, n) for n in (3, 1, 9, 3, 12, 5)])


@pytest.mark.parametrize("prompt", [0, 4])
@pytest.mark.parametrize("seed", [-1, 7])
def test_continues_as_if_all_were_read_anew(
    state: dict[str, torch.Tensor], rows: np.ndarray, seed: int, prompt: int
) -> None:
    before = torch.randn(prompt, SHAPE.width, generator=torch.Generator().manual_seed(1))
    whole = {**state, soft_prompt.SOFT_PROMPT: before} if prompt else state

    def logits(tokens: np.ndarray) -> np.ndarray:
        ids = torch.from_numpy(np.maximum(tokens, 0))
        places = torch.arange(ids.shape[1]).expand(*ids.shape)
        states = soft_prompt.hidden(whole, SHAPE, ids, places, None)
        last = states[torch.arange(len(ids)), torch.from_numpy(text.lengths(tokens) - 1)]
        answers: np.ndarray = (last @ state["tokens"].T).numpy()
        return answers

    got = gpt_decode.continued(state, SHAPE, rows, 6, seed, before=before if prompt else None)
    assert np.array_equal(got, text.sample(logits, rows, 6, seed))


def test_a_row_ends_at_its_stop_and_where_the_context_does(
    state: dict[str, torch.Tensor], rows: np.ndarray
) -> None:
    free = gpt_decode.continued(state, SHAPE, rows, 30, 7)
    sizes = text.lengths(rows)
    # The token that fills the context is still an answer: what comes after it cannot be read.
    assert np.array_equal(text.lengths(free), SHAPE.context - sizes)
    stop = int(free[2, 4])
    first = int(np.flatnonzero(free[2] == stop)[0])
    kept_stop = gpt_decode.continued(state, SHAPE, rows, 30, 7, stop=stop, keep_stop=True)
    assert np.array_equal(kept_stop[2, : first + 1], free[2, : first + 1])
    assert (kept_stop[2, first + 1 :] == text.PAD).all()
    dropped = gpt_decode.continued(state, SHAPE, rows, 30, 7, stop=stop)
    assert np.array_equal(dropped, np.where(kept_stop == stop, text.PAD, kept_stop))
