"""Generator imitation: have a model write, and train a student on what it wrote."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import (
    Access,
    Loot,
    Modality,
    Model,
    Outcome,
    Output,
    Range,
    Stronger,
    Term,
    View,
    attack,
)
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.generator_extraction import generator_extraction
from hartley.games.extraction.live_generator import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=generator_extraction,
    access=Access.LABELS,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:1606.07947",
    adapts=True,
    loot=Loot.MODEL,
    light={"student": "counts", "queries": 200},
)
def generator_imitation(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    beginning: Annotated[int, Range(1, 1000), Stronger.NEITHER] = 4,
    student: Literal["transformer", "counts"] = "transformer",
    width: Annotated[int, Range(8, 1024), Stronger.NEITHER] = 64,
    layers: Annotated[int, Range(1, 12), Stronger.NEITHER] = 2,
    epochs: Annotated[int, Range(1), Stronger.MORE] = 4,
) -> Outcome:
    """Train a student on texts that the victim wrote, from the beginnings of the attacker's own.

    Sequence-level distillation (arXiv:1606.07947) on sampled texts: what the victim writes is all
    that is seen of it, and the student is smaller. Each beginning is gone on with as often as the
    queries allow, each time by another draw.

    Args:
        queries: texts that the victim goes on with; 0 means as many as the rules allow.
        beginning: tokens of the attacker's own text that each begins with.
        student: a transformer trained from scratch, or counts of which token follows which.
        width: of the transformer, a multiple of 4.
        layers: of the transformer.
        epochs: passes over what the victim wrote.
    """
    brief, texts = view.brief, np.asarray(view.brief.public.x)
    most = min(
        [brief.queries, queries or brief.queries]
        + [int(d.params["queries"]) for d in view.defenses if d.name == "query_budget"]
    )
    begun = min(beginning, texts.shape[1] - 1)
    new, rows = texts.shape[1] - begun, []
    while most > 0:
        some = texts[rng.permutation(len(texts))[:most], :begun]
        answers = view.model.calls["generate"](some, new, int(rng.integers(2**31)))
        rows.append(np.concatenate([some, np.asarray(answers)], 1))
        most -= len(some)
    answered = np.concatenate(rows) if rows else np.zeros((0, begun + new), np.int64)
    # A row ends where the victim stopped.
    answered = np.where(np.minimum.accumulate(answered >= 0, axis=1), answered, -1)
    if student == "counts" or not len(answered):
        return Outcome(asset=counted(answered, brief.classes))
    seed = int(rng.integers(2**31))
    copy = _student(answered, brief.classes, seed, width=width, layers=layers, epochs=epochs)
    return Outcome(asset=copy)


def _student(
    rows: NDArray[np.int64], vocabulary: int, seed: int, *, width: int, layers: int, epochs: int
) -> Model:
    """Return a transformer that was trained on rows (n, t)."""
    import torch

    from hartley.kit.language import gpt
    from hartley.models.causal import causal

    shape = gpt.Shape(vocabulary, width - width % 4, layers, 4, rows.shape[1])
    state = gpt.train(rows, shape, gpt.Lesson(epochs=epochs, batch=32, rate=4e-3), seed)
    parameters = {name: torch.from_numpy(array) for name, array in state.items()}
    head = parameters["tokens"]
    return causal(
        "student",
        partial(gpt.hidden, parameters, shape),
        lambda states: states @ head.T,
        vocabulary=vocabulary,
        context=shape.context,
        output=Output.LOGITS,
    )
