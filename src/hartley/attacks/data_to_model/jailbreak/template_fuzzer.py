"""Template fuzzer: templates are mutated and chosen by a bandit, on questions with public answers.

The role of GPTFuzzer (arXiv:2309.10253) without a second language model: its mutations (generate,
cross over, expand, shorten, rephrase) act on sentences, and its choice of seeds is the same
upper-confidence tree search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.jailbreak._shared.template_mutations import (
    Seed,
    around,
    confidence,
    mutated,
)
from hartley.attacks.data_to_model.jailbreak._shared.trials_of_prompts import Tried, fitting, rate
from hartley.attacks.data_to_model.jailbreak._shared.wordings import FORMS, FRAMES, drawn
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.jailbreak.conversations import talk
from hartley.games.jailbreak.jailbreak import JailbreakBrief, jailbreak

if TYPE_CHECKING:
    from hartley.core.parts import Rng

PUBLIC = 4
"""Questions with public answers on which a template is tried."""


@attack(
    game=jailbreak,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2309.10253",
    loot=Loot.TEXTS,
    sweep={"mutations": (20, 60), "reworded": (False, True)},
    light={"mutations": 12},
)
def template_fuzzer(
    view: View[JailbreakBrief],
    rng: Rng,
    *,
    mutations: Annotated[int, Range(1, 10_000), Stronger.MORE] = 40,
    reworded: bool = True,
) -> Outcome:
    """Mutate templates on public questions, then put each question into the best ones.

    Args:
        mutations: templates that are made and tried.
        reworded: whether questions are worded otherwise as well; else they stay as they are.

    Raises:
        UsageError: there are no questions with public answers.
    """
    brief = view.brief
    if not brief.public_pairs:
        raise UsageError("template_fuzzer needs questions with public answers, got none")
    rows = rng.permutation(len(brief.public_pairs))[:PUBLIC]
    public = [brief.public_pairs[k] for k in rows]
    pool = [Seed(*around(frame, form)) for frame in FRAMES for form in (FORMS[0], FORMS[1])]
    for step in range(mutations):
        parent = max(pool, key=lambda seed: confidence(seed, step + 1))
        child = mutated(parent, pool, rng)
        texts = [child.of(question) for question, _ in public]
        if not all(fitting(view, texts)):
            parent.chosen += 1
            continue
        talked = talk(
            view.model, brief.template, [[t] for t in texts], brief.length, system=brief.system
        )
        ratings = [
            rate(replies[-1], brief, answer)
            for replies, (_, answer) in zip(talked, public, strict=True)
        ]
        child.reward = sum(ratings) / (2 * len(ratings))
        parent.chosen += 1
        parent.rewarded += child.reward
        if child.reward > 0:
            pool.append(child)
    tried = Tried(view)
    best = sorted(pool, key=lambda seed: -seed.reward)[: brief.tries]
    for seed in best:
        for again in range(1 + reworded):
            open_rows = tried.open()
            wording = drawn(rng) if again else None
            texts = [
                seed.of(
                    str(brief.question.x[i])
                    if wording is None
                    else wording.of(str(brief.question.x[i]), brief.openings[i])
                )
                for i in open_rows
            ]
            if open_rows and all(fitting(view, texts)):
                tried.hold(open_rows, [[text] for text in texts])
    return Outcome(asset=tried.loot())
