"""Ciphers and encodings: the question, or the answer that it asks for, written in another way.

A model that was trained to refuse in plain English may not refuse where the words look otherwise
(CipherChat). Which of the ways works is chosen on questions whose answers are public.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.jailbreak._shared.encoded_questions import (
    Form,
    forms,
    read,
    values,
)
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried, fitting
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.jailbreak.conversations import talk
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak
from hartley.games.judge_answers import refused

if TYPE_CHECKING:
    from hartley.core.parts import Rng

REFUSED_LESS = 1e-3
"""Weight of an answer without a refusal, beside one that gives the public secret."""


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2308.06463",
    loot=Loot.TEXTS,
    sweep={"side": ("answer", "question", "either"), "tuning": (2, 8)},
    light={"tuning": 1},
)
def encodings(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    side: Literal["answer", "question", "either"] = "either",
    tuning: Annotated[int, Range(1, 64), Stronger.MORE] = 4,
) -> Outcome:
    """Try every way on a few public questions, and put the questions in the best ways.

    Args:
        side: whether the answer, the question or either is encoded.
        tuning: public questions on which each way is tried.

    Raises:
        UsageError: there are no questions with public answers.
    """
    if not view.brief.public_pairs:
        raise UsageError("encodings needs questions with public answers: the scene has none")
    tried = Tried(view)
    ways = _usable(view, forms(side))
    for form in _ranked(view, rng, ways, tuning)[: view.brief.tries]:
        texts = [form.of(str(question)) for question in view.brief.question.x]
        fits = fitting(view, texts)
        rows = [i for i, fit in enumerate(fits) if fit]
        tried.hold(rows, [[texts[i]] for i in rows])
    return Outcome(asset=tried.loot())


def _usable(view: View[JailbreakBrief], ways: Sequence[Form]) -> list[Form]:
    """Return the ways that the victim's tokenizer gives back, and that fit into the context."""
    texts = [form.of(str(view.brief.question.x[0])) for form in ways]
    fits, codec = fitting(view, texts), view.model.codec
    if codec is not None:
        back = codec.decode(codec.encode(texts))
        fits = [fit and a == b for fit, a, b in zip(fits, texts, back, strict=True)]
    return [form for form, fit in zip(ways, fits, strict=True) if fit]


def _ranked(view: View[JailbreakBrief], rng: Rng, ways: Sequence[Form], tuning: int) -> list[Form]:
    """Return the ways by what they get of public secrets, then by how seldom they are refused."""
    brief = view.brief
    pairs = [brief.public_pairs[k] for k in rng.permutation(len(brief.public_pairs))[:tuning]]
    secrets = values(brief.public_pairs)
    secrets = [secrets[brief.public_pairs.index(pair)] for pair in pairs]
    texts = [form.of(question) for form in ways for question, _ in pairs]
    fits = fitting(view, texts)
    rows = [k for k, fit in enumerate(fits) if fit]
    talked = talk(
        view.model,
        brief.template,
        [[texts[k]] for k in rows],
        brief.length,
        system=brief.system,
        context=brief.context,
    )
    replies = [""] * len(texts)
    for k, answers in zip(rows, talked, strict=True):
        replies[k] = answers[-1]
    scores = []
    for start in range(0, len(texts), len(pairs)):
        batch = replies[start : start + len(pairs)]
        answered = [bool(reply) for reply in batch] & ~refused(batch, brief.refusals)
        scores.append(float(read(batch, secrets).mean()) + REFUSED_LESS * float(np.mean(answered)))
    return [ways[k] for k in np.argsort(-np.array(scores), kind="stable").tolist()]
