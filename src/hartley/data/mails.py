"""Sentences that people wrote in ordinary mail, from the pack ``spam-assassin`` (its ham)."""

from __future__ import annotations

import re
from functools import cache

from hartley.data.packs import locate

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,'\"-]*[.!?]")
"""A sentence of plain prose, without addresses or links."""

SHORTEST, LONGEST = 5, 14
"""Words of a sentence that is used."""


@cache
def sentences() -> tuple[str, ...]:
    """Return about 9,000 distinct sentences of 5 to 14 words, in the order of the files.

    Quoted lines are left out, so that few sentences are in two mails.

    Raises:
        MissingPack: the pack was not fetched.
    """
    unique: dict[str, None] = {}
    for path in sorted(locate("spam-assassin").glob("*ham*/*.txt")):
        body = path.read_text(encoding="latin-1").partition("\n\n")[2]
        lines = [line for line in body.splitlines() if not line.startswith((">", "|", "--"))]
        for block in re.split(r"\n\s*\n", "\n".join(lines)):
            for sentence in re.split(r"(?<=[.!?])\s+", " ".join(block.split())):
                if SHORTEST <= len(sentence.split()) <= LONGEST and PLAIN.fullmatch(sentence):
                    unique.setdefault(sentence)
    return tuple(unique)
