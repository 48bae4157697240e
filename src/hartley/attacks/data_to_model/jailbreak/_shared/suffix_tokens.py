"""Suffixes of tokens: which tokens may be in one, and how likely an answer begins after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import View
from hartley.core.errors import NotOffered, UsageError
from hartley.kit.language.chat_template import asked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.games.jailbreak.jailbreak import JailbreakBrief


def plain_tokens(view: View[JailbreakBrief]) -> NDArray[np.int64]:
    """Return the tokens that are printable text, come back from it, and mark no message.

    Raises:
        NotOffered: the victim has no codec.
        UsageError: no token comes back from its text.
    """
    codec, template = view.model.codec, view.brief.template
    if codec is None:
        raise NotOffered("the model does not offer a codec, which a suffix of tokens needs")
    written = (
        *(template.user_open, template.user_close),
        *(template.answer_open, template.answer_close),
        *(template.system_open, template.system_close),
    )
    marks = {mark.strip() for mark in written}
    # What a mark begins with, where that is a sign of its own and no word or letter.
    rows = np.asarray(codec.encode([mark for mark in written if mark.strip()]))
    marks |= {text for text in codec.decode(rows[:, :1]) if len(text) > 1 and not text.isalnum()}
    every = np.arange(codec.size)
    texts = [
        text if text.isprintable() and text.strip() and text.strip() not in marks else ""
        for text in codec.decode(every[:, None])
    ]
    rows = np.asarray(codec.encode(texts))
    same = ((rows >= 0).sum(1) == 1) & (rows.max(1, initial=-1) == every)
    if not same.any():
        raise UsageError(
            f"tokens of {view.model.name!r} must come back from their text, got none that does"
        )
    return np.asarray(every[same])


def likelihoods(
    view: View[JailbreakBrief], texts: Sequence[str], openings: Sequence[str]
) -> NDArray[np.float64]:
    """Return the log-probability (n,) that the answer to each text begins with its opening.

    The text is encoded anew: tokens that do not come back from it are scored as they come.
    """
    codec, brief = view.model.codec, view.brief
    assert codec is not None
    prompts = [brief.template.render(asked(text, brief.system)) for text in texts]
    rows = np.asarray(
        codec.encode([prompt + opening for prompt, opening in zip(prompts, openings, strict=True)])
    )
    before = (np.asarray(codec.encode(prompts)) >= 0).sum(1)
    if "tail_score" in view.model.calls and (before < (rows >= 0).sum(1)).all():
        # What all rows share is read once.
        return np.asarray(view.model.calls["tail_score"](rows, before, False), np.float64)
    scores = np.asarray(view.model.calls["score"](rows), np.float64)
    places = np.arange(1, rows.shape[1])
    answer = (places >= before[:, None]) & (rows[:, 1:] >= 0)
    return np.asarray(np.where(answer, scores, 0.0).sum(1))


def joined(
    view: View[JailbreakBrief], questions: Sequence[str], suffixes: NDArray[Any]
) -> list[str]:
    """Return each question with its suffix as text, which is what is submitted."""
    codec = view.model.codec
    assert codec is not None
    ends = codec.decode(np.asarray(suffixes))
    return [f"{question} {end}" for question, end in zip(questions, ends, strict=True)]


def suffix_scores(
    view: View[JailbreakBrief],
    questions: Sequence[str],
    openings: Sequence[str],
    suffixes: NDArray[Any],
    *,
    universal: bool,
) -> NDArray[np.float64]:
    """Return how likely each answer begins as it should; of one suffix for all, the mean."""
    spread = np.repeat(suffixes, len(questions), axis=0) if universal else suffixes
    values = likelihoods(view, joined(view, questions, spread), openings)
    return np.array([values.mean()]) if universal else values
