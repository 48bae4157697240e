"""Texts without their authors: bits against a closed form, what is masked, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hartley
from hartley import catalog
from hartley.core import Modality, Scene
from hartley.core.errors import UsageError
from hartley.engine.defend import defended
from hartley.games.decryption import text_linkage
from hartley.kit.language.deidentification import common_words, in_common_words, placeholders
from hartley.kit.releases.text_release import TextRelease
from hartley.scenes.released_mails import share_by_author

ATTACKS = ("author_linkage", "rare_words")


def bits(name: str, scene: Scene, rounds: int = 10, **more: Any) -> Any:
    played = hartley.play(name, scene, seed=0, game_params={"rounds": rounds}, **more)
    return hartley.measure(played, redraws=1)


def scene(signed: float, *, numbers: bool = True) -> Scene:
    """Texts of the same words; a share of the people signs with a number or a name."""
    rng = np.random.default_rng(0)
    letters = "abcdefgh"
    words = [f"w{a}{b}x" for a in letters for b in letters]
    texts: list[str] = []
    authors = np.repeat(np.arange(64), 3)
    marks = rng.permutation(9000)[:64] + 1000
    for author in authors:
        name = f"Q{letters[author // 8]}{letters[author % 8]}q"
        sign = str(marks[author]) if numbers else name
        # Others write a number too, another one each time.
        one = sign if author < 64 * signed else str(rng.integers(10**8))
        texts.append(" ".join([*rng.choice(words, 20), one]))
    part = TextRelease(tuple(texts), authors, frozenset(), known=2)
    return Scene(name="signed", modality=Modality.LANGUAGE, parts=(part,))


@pytest.mark.parametrize("signed", [0.0, 0.5, 1.0])
def test_people_who_sign_are_found_and_others_have_a_random_rank(signed: float) -> None:
    first, other = signed + (1 - signed) / 32, (1 - signed) / 32
    entropy = -first * math.log2(first) - 31 * (other * math.log2(other) if other else 0)
    channel = bits("rare_words", scene(signed), 20, params={"assign": False})
    assert channel.bits.value == pytest.approx(5 - entropy, abs=0.25)
    assert channel.bits.lower <= 5 - entropy


def test_the_last_place_is_as_likely_as_the_first_and_every_person_has_one() -> None:
    dealt = text_linkage.text_linkage(scene(1.0), np.random.default_rng(1), people=8, rounds=400)
    places = np.stack([one.truth for one in dealt.rounds])
    assert (np.sort(places, 1) == np.arange(8)).all()
    assert np.bincount(places[:, 0], minlength=8).min() > 25
    view = dealt.rounds[0].view
    published = {str(text) for text in view.data.x}
    assert not published & {str(text) for text in view.brief.question.x}
    assert np.bincount(view.brief.question.labels).tolist() == [2] * 8


@pytest.mark.parametrize("name", ATTACKS)
def test_placeholders_take_numbers_and_names_and_an_unrelated_release_says_nothing(
    name: str,
) -> None:
    masked = [
        defended(scene(1.0, numbers=numbers), catalog.load("defense", "placeholders"))
        for numbers in (True, False)
    ]
    dead = text_linkage.dead(Modality.LANGUAGE, np.random.default_rng(0))
    for where in (*masked, dead):
        channel = bits(name, where)
        assert channel.bits.lower == 0 and channel.bits.value < 0.1
    assert (
        bits(name, text_linkage.live(Modality.LANGUAGE, np.random.default_rng(0))).bits.value > 4.5
    )


def test_an_attacker_who_rewrites_their_texts_links_more() -> None:
    """Habits in words that both sides mask to the same form."""
    plain = scene(1.0, numbers=False)
    part = plain.part(TextRelease)
    upper = plain.with_part(replace(part, texts=tuple(t.title() for t in part.texts)))
    behind = defended(upper, catalog.load("defense", "common_words"), {"people": 1})
    adaptive = bits("author_linkage", behind, knowledge="adaptive")
    static = bits("author_linkage", behind, undefended=upper, knowledge="static")
    assert adaptive.bits.value > static.bits.value + 0.3


def test_what_names_somebody_becomes_a_placeholder() -> None:
    text = (
        "Ask Mary or joe.b@x.org, see http://x.org/a?b=1 or call +1 555-0199 before 3/4/2002. "
        "I met Dr Ann Lee there; IT works. That's Mary's.\n-- \nMary Smith, London"
    )
    assert placeholders(text, {"mary"}, capitals=False) == (
        "Ask [NAME] or [ADDRESS], see [LINK] or call [NUMBER] [NUMBER] before [NUMBER] "
        "I met Dr Ann Lee there; IT works. That's [NAME].\n"
    )
    strict = placeholders(text, {"mary"})
    assert "Ann" not in strict and "Lee" not in strict and "I met [NAME] there" in strict
    assert "London" not in strict and strict.startswith("Ask [NAME] or")


@pytest.mark.parametrize(
    "text", ["joe at x.org", "joe at x dot org", "j.b (at) x-y.co.uk", "joe[at]x.org", "JOE@X.ORG"]
)
def test_an_address_is_found_in_every_spelling_and_a_place_is_not_one(text: str) -> None:
    assert placeholders(f"write to {text} soon", ()) == "write to [ADDRESS] soon"
    assert placeholders("not at all, nobody at home", ()) == "not at all, nobody at home"


def test_words_of_few_people_go() -> None:
    texts = [(0, "the cat sat"), (0, "the cat"), (1, "the dog sat"), (2, "The end")]
    assert common_words(texts, 2) == {"the", "sat"}
    assert common_words(texts, 3) == {"the"}
    words = common_words(texts, 2)
    assert in_common_words("The  [NAME]\ncat, sat! 7", words) == "the [NAME] [WORD] sat !"


def test_too_few_people_are_refused() -> None:
    with pytest.raises(UsageError, match="must have 65 people with 3 texts each, got 64"):
        text_linkage.text_linkage(scene(1.0), np.random.default_rng(0), people=65)


def test_the_interval_of_a_readers_accuracy_is_over_authors() -> None:
    """Ten authors of forty mails each, read rightly or wrongly as one: ten draws and not 400."""
    right = np.repeat([True] * 5 + [False] * 5, 40)
    authors = np.repeat(np.arange(10) * 7, 40)
    figure = share_by_author(right, authors)
    assert figure == 0.5 and figure.n == 10
    # The t interval of ten draws of 0 or 1, by its table.
    assert figure.high - figure.low == pytest.approx(2 * 2.262157 * np.sqrt(0.25 / 9), abs=1e-5)
