"""Mails without what others wrote: by hand, and in the pack."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hartley.data import mails

SENTENCE = "The kernel of that release does not build with the older compiler, "


def mail(author: str, body: str, name: str = "") -> mails.Mail:
    return mails.Mail(author, (), body, "", tuple(name.split()))


def words(text: str) -> str:
    """A text of its own that is long enough."""
    return "\n".join(f"{SENTENCE}says {text} for the time {k}." for k in range(4))


@pytest.mark.parametrize(
    "others",
    [
        "-----Original Message-----\nFrom: Bob [mailto:b@x.org]\nSent: Monday\nhello",
        "  ----- Original Message -----\nhello",
        "From: Bob <b@x.org>\nSubject: Re: one\n\nhello",
        "Date: Monday\nSubject: one\n\nhello",
        "Forwarded-by: Bob <b@x.org>\nhello",
        "> hello",
        "BM> hello",
        "Bob stated the following:",
        "________\nhello",
    ],
)
def test_what_others_wrote_is_left_out(others: str) -> None:
    raw = f"From: Ann Lee <ann@x.org>\n\n{words('ann')}\n{others}\n"
    (one,) = mails._authored(raw)
    assert one.text == words("ann")
    assert one.author == "ann@x.org" and one.called == ("ann", "lee")


def test_lines_of_two_mails_are_left_out_and_a_short_signature_stays() -> None:
    footer = "An association of nobody in particular, founded never"
    some = [mail("a@x", f"{words(str(k))}\n{footer}\nAnn") for k in range(3)]
    assert [one.text for one in mails.own_words([*some, some[0]])] == [
        f"{words(str(k))}\nAnn" for k in range(3)
    ]


def test_programs_are_left_out_and_addresses_of_one_name_are_one_author() -> None:
    program = [mail("bot@x", f"The newsletter of this day\n{words(f'bot {k}')}") for k in range(3)]
    person = [
        mail("old@x", words("one"), "ann lee"),
        mail("new@x", words("two"), "ann lee"),
        mail("ann@y", words("three"), "ann"),
    ]
    assert [one.author for one in mails.own_words([*program, *person])] == [
        "old@x",
        "old@x",
        "ann@y",
    ]


@pytest.mark.pack
def test_mails_of_the_pack_are_their_authors(need_pack: Callable[[str], Path]) -> None:
    need_pack("spam-assassin")
    some = mails.authored()
    assert 2000 < len(some) < 2500
    assert not any(re.search(r"-- ?Original Message", one.text) for one in some)
    assert "pudge@perl.org" not in {one.author for one in some}
    lines = Counter(
        line
        for one in some
        for line in {line.strip() for line in one.text.splitlines()}
        if len(line) >= 40
    )
    assert max(lines.values()) == 1
