"""What people wrote in ordinary mail, from the pack ``spam-assassin`` (its ham)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.utils import parseaddr
from functools import cache

from hartley.data.packs import locate

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,'\"-]*[.!?]")
"""A sentence of plain prose, without addresses or links."""

SHORTEST, LONGEST = 5, 14
"""Words of a sentence that is used."""

SHORTEST_MAIL, LONGEST_MAIL = 200, 2000
"""Characters that a mail must have of its author's own, and after which it is cut."""
BOTS = ("rssfeeds@", "bugzilla", "subscriptions@", "mailer-daemon@", "listmaster")
"""Addresses that programs write from begin like this."""

_ATTRIBUTION = re.compile(r"(wrote|writes|said|schrieb)\s*:\s*$")
_FOOTER = re.compile(r"^(_{8,}|-{8,}|-----BEGIN PGP SIGNATURE)")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail without its header, quotations and the footer of its list.

    Attributes:
        author: the address that it was sent from, in lower case.
        names: words of the name that the author goes by, in lower case.
        text: what they wrote, with their signature.
        mailing_list: that it was sent to, "" where the header names none.
    """

    author: str
    names: tuple[str, ...]
    text: str
    mailing_list: str


@cache
def authored() -> tuple[Mail, ...]:
    """Return about 2,500 plain mails of people, each text once, in the order of the files.

    Raises:
        MissingPack: the pack was not fetched.
    """
    unique: dict[str, Mail] = {}
    for path in sorted(locate("spam-assassin").glob("*ham*/*.txt")):
        for mail in _authored(path.read_text(encoding="latin-1")):
            unique.setdefault(" ".join(mail.text.split()), mail)
    return tuple(unique.values())


@cache
def names() -> frozenset[str]:
    """Return the words, in lower case, that are names of the authors of these mails.

    A word that the mails mostly write in lower case ("the", of a screen name) is left out.

    Raises:
        MissingPack: the pack was not fetched.
    """
    plain: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for mail in authored():
        for word in re.findall(r"[^\W\d_]{3,}", mail.text):
            (plain if word.islower() else capital)[word.lower()] += 1
    every = {name for mail in authored() for name in mail.names}
    return frozenset(name for name in every if capital[name] >= plain[name])


def _authored(raw: str) -> Iterator[Mail]:
    head, _, body = raw.partition("\n\n")
    fields: dict[str, str] = {}
    for line in re.sub(r"\n[ \t]+", " ", head).splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    name, address = parseaddr(fields.get("from", ""))
    author = address.lower()
    kind = fields.get("content-type", "text/plain").lower()
    coded = fields.get("content-transfer-encoding", "7bit").lower()
    if not author or author.startswith(BOTS) or not kind.startswith("text/plain"):
        return
    if coded in ("base64", "quoted-printable"):
        return
    text = _unquoted(body)
    if len(text) >= SHORTEST_MAIL:
        called = re.findall(r"[^\W\d_]{3,}", f"{_decoded(name)} {author.partition('@')[0]}".lower())
        where = re.search(r"<([^.>@]+)", fields.get("list-id", ""))
        yield Mail(
            author, tuple(dict.fromkeys(called)), text[:LONGEST_MAIL], where[1] if where else ""
        )


def _unquoted(body: str) -> str:
    """Return the lines of a body that its author wrote."""
    lines: list[str] = []
    for line in body.splitlines():
        if _FOOTER.match(line):
            break
        if not line.startswith((">", "|", "}")) and not _ATTRIBUTION.search(line):
            lines.append(line.rstrip())
    return "\n".join(lines).strip()


def _decoded(name: str) -> str:
    try:
        return str(make_header(decode_header(name)))
    except (LookupError, UnicodeError, ValueError):
        return name


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
