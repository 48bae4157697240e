"""Real texts of ten tenants: novels (pack ``austen``), mails in four lots (``spam-assassin``)."""

from __future__ import annotations

from zlib import crc32

from hartley.core.errors import UsageError
from hartley.data import language, mails
from hartley.data.packs import locate

NOVELS = (
    *("persuasion", "emma", "mansfield-park", "northanger-abbey", "pride-and-prejudice"),
    "sense-and-sensibility",
)
LOTS = 4
WORDS = 40
"""Words of a chunk."""


def texts_of_tenants(chunks: int) -> dict[str, list[str]]:
    """Return texts of each tenant, cut into chunks of 40 words.

    Mails are in four lots by their authors' addresses, so that nobody is in two of them.

    Args:
        chunks: of each tenant.

    Raises:
        MissingPack: a pack was not fetched.
        UsageError: a tenant has fewer.
    """
    locate("austen")
    running = {name: language.novel(name).split() for name in NOVELS}
    for mail in mails.authored():
        lot = f"mails-{1 + crc32(mail.author.encode()) % LOTS}"
        running.setdefault(lot, []).extend(mail.text.split())
    out = {}
    for name, words in running.items():
        most = len(words) // WORDS
        if chunks > most:
            raise UsageError(f"chunks must be at most {most} of {name}, got {chunks}")
        out[name] = [" ".join(words[i * WORDS : (i + 1) * WORDS]) for i in range(chunks)]
    return out


def spare_texts(novel: str, chunks: int) -> tuple[str, ...]:
    """Return chunks of a novel after the first ``chunks`` of them, of the same size."""
    words = language.novel(novel).split()[chunks * WORDS :]
    return tuple(" ".join(words[i : i + WORDS]) for i in range(0, len(words) - WORDS + 1, WORDS))
