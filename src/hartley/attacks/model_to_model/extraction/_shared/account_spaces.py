"""Copies of an encoder from what several accounts received, brought into the space of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Outcome
from hartley.models.encoder_copy import copy_encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import View
    from hartley.core.parts import Rng
    from hartley.games.extraction.encoder_extraction import EncoderBrief

PER_ACCOUNT = frozenset({"b4b"})
"""Defenses that give each account a space of its own."""


def answered(
    view: View[EncoderBrief], rng: Rng, *, queries: int = 0, common: float = 0.2
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Ask the victim about the attacker's records, in random order, account after account.

    An attacker who knows that each account has a space of its own asks the same first records by
    every account. They show the rotation between the spaces (Procrustes), and it is undone. One who
    does not know asks every record once, and takes all answers as they are. One who knows of a
    query budget stays within it.

    Args:
        view: of the attacker.
        rng: the order.
        queries: records to ask for; 0 means as many as the rules allow.
        common: share of an account's records that all accounts ask for.

    Returns:
        Records (n, …) and embeddings (n, d).
    """
    brief, model = view.brief, view.model
    allowed = [brief.queries, *([queries] if queries else [])]
    for defense in view.defenses:
        if defense.name == "query_budget":
            shared_budget = defense.params.get("shared", False)
            allowed.append(defense.params["queries"] * (1 if shared_budget else brief.accounts))
    size, count = max(1, min(allowed)), brief.accounts
    order = rng.permutation(len(brief.public))
    spaces = [
        d
        for d in view.defenses
        if d.name in PER_ACCOUNT
        and d.params.get("spaces", True)
        and not d.params.get("shared", False)
    ]
    width = brief.width // 2 if brief.split else brief.width
    each = min(size // count, len(order))
    # A rotation of d numbers takes d records; a noisy one some more.
    first = int(min(max(common * each, 1.5 * width), 0.8 * each))
    if count == 1 or not spaces or first < 1:
        x = brief.public.x[order[:size]]
        return x, np.asarray(model.query(x), dtype=np.float64)
    common_rows, new_rows = order[:first], order[first:][: size - first * count]
    # Accounts take turns record by record: each common record comes once for every account.
    rows = np.concatenate([np.repeat(common_rows, count), new_rows])
    answers = np.array(model.query(brief.public.x[rows]), dtype=np.float64)
    account = np.arange(len(rows)) % count
    base = answers[: first * count : count]
    for k in range(1, count):
        source = answers[k : first * count : count]
        turn = account == k
        answers[turn] = _turned(answers[turn], source, base, brief.split > 0)
    # Of a common record, the mean over the accounts has less noise.
    means = answers[: first * count].reshape(first, count, -1).mean(1)
    chosen = np.concatenate([common_rows, new_rows])
    return brief.public.x[chosen], np.concatenate([means, answers[first * count :]])


def _turned(
    x: NDArray[Any], source: NDArray[Any], goal: NDArray[Any], pairs: bool
) -> NDArray[np.float64]:
    """Rotate embeddings ``x`` by what brings ``source`` (m, d) nearest to ``goal`` (m, d)."""

    def stacked(rows: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate(np.split(rows, 2, axis=1)) if pairs else rows

    left, _, right = np.linalg.svd(stacked(source).T @ stacked(goal))
    turned = stacked(x) @ left @ right
    return np.concatenate(np.split(turned, 2), axis=1) if pairs else turned


def copied(
    view: View[EncoderBrief], rng: Rng, *, queries: int, common: float, **how: Any
) -> Outcome:
    """Return a copy of the victim's encoder, trained on its answers.

    Args:
        view, rng, queries, common: as of ``answered``.
        how: of ``models.encoder_copy.copy_encoder``.
    """
    x, answers = answered(view, rng, queries=queries, common=common)
    queried = Data("queried", view.brief.public.modality, x)
    return Outcome(asset=copy_encoder(queried, answers, int(rng.integers(2**31)), **how))
