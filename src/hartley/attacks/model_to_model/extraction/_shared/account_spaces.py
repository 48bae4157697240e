"""Embeddings that several accounts of an attacker received, brought into the space of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
    budgets = [d.params["queries"] for d in view.defenses if d.name == "query_budget"]
    each = min([brief.each, *budgets])
    size = max(1, min([*allowed, each * brief.accounts]))
    order = rng.permutation(len(brief.public))
    known = PER_ACCOUNT & {d.name for d in view.defenses}
    if brief.accounts == 1 or not known:
        x = brief.public.x[order[:size]]
        return x, np.asarray(model.query(x), dtype=np.float64)
    width = brief.width // 2 if brief.split else brief.width
    # A rotation of d numbers takes d records; a noisy one some more.
    first = int(min(max(common * each, 1.5 * width), 0.8 * each))
    shared, rest = order[:first], order[first:]
    equal = -(-len(rest) // brief.accounts)
    per_account = min(each - first, size // brief.accounts - first, equal)
    if per_account < 1:
        x = brief.public.x[order[: min(each, size)]]
        return x, np.asarray(model.query(x), dtype=np.float64)
    chosen, answers, base = [], [], None
    for account in range(brief.accounts):
        new = rest[account * per_account : (account + 1) * per_account]
        if not len(new):
            break  # the attacker has no more records
        rows = np.concatenate([shared, new])
        got = np.asarray(model.query(brief.public.x[rows]), dtype=np.float64)
        # An account has to ask for its whole share before the next one's turn: the same again.
        if spare := brief.each - len(rows):
            model.query(brief.public.x[np.resize(rows, spare)])
        if base is None:
            base = got[:first]
            chosen.append(rows)
            answers.append(got)
        else:
            turned = _turned(got, got[:first], base, brief.split > 0)
            chosen.append(new)
            answers.append(turned[first:])
    return brief.public.x[np.concatenate(chosen)], np.concatenate(answers)


def _turned(
    x: NDArray[Any], source: NDArray[Any], goal: NDArray[Any], pairs: bool
) -> NDArray[np.float64]:
    """Rotate embeddings ``x`` by what brings ``source`` (m, d) nearest to ``goal`` (m, d)."""

    def stacked(rows: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate(np.split(rows, 2, axis=1)) if pairs else rows

    left, _, right = np.linalg.svd(stacked(source).T @ stacked(goal))
    turned = stacked(x) @ left @ right
    return np.concatenate(np.split(turned, 2), axis=1) if pairs else turned
