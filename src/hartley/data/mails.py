"""What people wrote in ordinary mail, from the pack ``spam-assassin`` (its ham)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
COMMIT = "Update of /cvsroot"
"""What a program writes of a change of code begins like this."""
SHARED = 30
"""Characters of a line from which on it is left out where two mails have it."""
OPENING, SOME_MAILS = 20, 3
"""A line of this length, and mails of one address: a program opens most of them with one line."""

_ATTRIBUTION = re.compile(r"(wrote|writes|said|schrieb|stated the following)\s*:\s*$")
_QUOTED = re.compile(r"\s*([>|}]|[A-Za-z]{1,4}>|\) |SPAM:|-----BEGIN PGP SIGNED|Hash: )")
_FOOTER = re.compile(
    r"_{8,}|-{8,}|-----BEGIN PGP SIGNATURE|\s*-{2,} ?(original message|forwarded)", re.IGNORECASE
)
_FORWARDED = re.compile(r"\s*(Forwarded-by|From):\s.*@")
_HEADER = re.compile(r"\s*(from|to|cc|subject|date|sent)\s*:\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail without its header, quotations and the footer of its list.

    Attributes:
        author: the address that it was sent from, in lower case.
        names: words of the name that the author goes by, in lower case.
        text: what they wrote, with a short signature.
        mailing_list: that it was sent to, "" where the header names none.
        called: words of the name beside the address, in lower case.
    """

    author: str
    names: tuple[str, ...]
    text: str
    mailing_list: str
    called: tuple[str, ...] = ()


@cache
def authored() -> tuple[Mail, ...]:
    """Return about 2,000 plain mails of people, each text once, in the order of the files.

    Addresses that go by one full name are one author. Mails of programs are left out, and lines
    that two mails have.

    Raises:
        MissingPack: the pack was not fetched.
    """
    files = sorted(locate("spam-assassin").glob("*ham*/*.txt"))
    return own_words(mail for path in files for mail in _authored(path.read_text("latin-1")))


def own_words(mails: Iterable[Mail]) -> tuple[Mail, ...]:
    """Return mails of people with the lines that no other mail has, of one address each.

    Args:
        mails: of which some may be copies, or a program's.
    """
    unique: dict[str, Mail] = {}
    address: dict[tuple[str, ...], str] = {}
    for mail in mails:
        author = mail.author
        if len(mail.called) > 1:
            author = address.setdefault(mail.called, author)
        unique.setdefault(" ".join(mail.text.split()), replace(mail, author=author))
    by: defaultdict[str, list[Mail]] = defaultdict(list)
    for mail in unique.values():
        by[mail.author].append(mail)
    programs = {author for author, written in by.items() if _of_program(written)}
    people = [mail for mail in unique.values() if mail.author not in programs]
    times = Counter(line for mail in people for line in set(_long_lines(mail.text)))
    out: dict[str, Mail] = {}
    for mail in people:
        lines = mail.text.splitlines()
        left = "\n".join(line for line in lines if times[line.strip()] < 2).strip()
        if len(left) >= SHORTEST_MAIL:
            text = left[:LONGEST_MAIL]
            out.setdefault(" ".join(text.split()), replace(mail, text=text))
    return tuple(out.values())


def _long_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if len(line.strip()) >= SHARED]


def _of_program(written: Sequence[Mail]) -> bool:
    """Say whether most of some mails begin with the same line."""
    first = Counter(mail.text.partition("\n")[0].strip() for mail in written)
    line, times = first.most_common(1)[0]
    return len(written) >= SOME_MAILS and len(line) >= OPENING and 2 * times > len(written)


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
    if not author or author.startswith(BOTS) or author.partition("@")[0].endswith("-admin"):
        return
    if not kind.startswith("text/plain") or body.startswith(COMMIT):
        return
    if coded in ("base64", "quoted-printable"):
        return
    text = _unquoted(body)
    if len(text) >= SHORTEST_MAIL:
        called = tuple(re.findall(r"[^\W\d_]{3,}", _decoded(name).lower()))
        words = (*called, *re.findall(r"[^\W\d_]{3,}", author.partition("@")[0]))
        where = re.search(r"<([^.>@]+)", fields.get("list-id", ""))
        yield Mail(author, tuple(dict.fromkeys(words)), text, where[1] if where else "", called)


def _unquoted(body: str) -> str:
    """Return the lines of a body that its author wrote."""
    lines: list[str] = []
    whole = body.splitlines()
    for line, following in zip(whole, [*whole[1:], ""], strict=True):
        # What follows two lines of a header was forwarded.
        if _FOOTER.match(line) or _FORWARDED.match(line):
            break
        if _HEADER.match(line) and _HEADER.match(following):
            break
        if not _QUOTED.match(line) and not _ATTRIBUTION.search(line):
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
