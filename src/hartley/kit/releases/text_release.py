"""How an owner publishes texts of people without saying whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rewrite = Callable[[str], str]


@dataclass(frozen=True, slots=True, eq=False)
class TextRelease:
    """Texts of people, and how one of each is published.

    Attributes:
        texts: of everybody.
        authors: (n,) whose each text is, from 0.
        names: words, in lower case, that the owner knows as names of these people.
        known: texts of each person that the attacker has with the name, besides the published one.
        rewrite: what the owner does to a text before it is published.
        related: False where the published texts are other people's.
    """

    texts: tuple[str, ...]
    authors: NDArray[np.int64]
    names: frozenset[str]
    known: int
    rewrite: Rewrite | None = None
    related: bool = True

    def released(self, text: str) -> str:
        """Return what is published of a text."""
        return text if self.rewrite is None else self.rewrite(text)
