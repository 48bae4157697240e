"""What an attacker of text linkage has of each person, as one text."""

from __future__ import annotations

import numpy as np

from hartley.core import View
from hartley.games.decryption.text_linkage import TextLinkageBrief


def known_texts(view: View[TextLinkageBrief]) -> list[str]:
    """Return the known texts of each person, joined; rewritten as the owner does, if that is known.

    Args:
        view: of an attacker; an adaptive one knows how texts were rewritten.
    """
    brief = view.brief
    out = []
    for person in range(brief.people):
        texts = [str(brief.question.x[k]) for k in np.flatnonzero(brief.question.labels == person)]
        if brief.rewrite is not None:
            texts = [brief.rewrite(text) for text in texts]
        out.append("\n".join(texts))
    return out
