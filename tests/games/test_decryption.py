import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RunError
from hartley.data.language import corpus
from hartley.engine.run.play import deal, play
from hartley.games.decryption import ciphers
from hartley.games.decryption.decryption import decryption
from hartley.games.decryption.messages import letters_of, of_bundled
from hartley.kit.protection import PlantedItems, Protection, unprotected


def act(guess, name="act"):
    """An attack that answers ``guess(view, rng)`` and takes the ciphertext for the plaintext."""

    def run(view, rng):
        """Answer."""
        return Outcome(
            guess=guess(view, rng), asset=Data("plain", Modality.LANGUAGE, view.data.x % 26)
        )

    run.__name__ = name
    return attack(
        game=decryption, access=Access.NOTHING, term=Term.SIGNAL, modalities=(Modality.LANGUAGE,),
        paper="hartley",
    )(run)  # fmt: skip


@pytest.fixture(scope="module")
def live():
    return decryption.live(Modality.LANGUAGE, np.random.default_rng(0))


def favourite(view, rng):
    """The language's most frequent letter, with no look at the ciphertext."""
    return np.full(len(view.brief.question), np.bincount(view.brief.public.x[0]).argmax())


def test_knowing_english_alone_reads_nothing(live):
    channel = measure(play(act(favourite), live, seed=0))
    assert channel.bits.value < 0.02
    assert channel.bits.lower == 0


def test_who_has_the_key_reads_all_of_it():
    """A Caesar key shows in one known letter: an oracle reads log2 26 bits a letter."""
    scene = Scene("open", Modality.LANGUAGE, parts=(of_bundled(), unprotected(Modality.LANGUAGE)))
    reader = act(lambda view, rng: view.data.x[0][view.brief.question.x])
    channel = measure(play(reader, scene, seed=0))
    assert channel.bits.value == pytest.approx(np.log2(26), abs=0.05)
    assert channel.metrics["text_accuracy"]["value"] == 1
    assert channel.metrics["unicity"]["value"] == 0


def test_the_payload_is_uniform_and_stands_where_the_question_says(live):
    table = deal(act(favourite), live, seed=0)
    truth = np.concatenate([one.truth for one in table.rounds])
    counts = np.bincount(truth, minlength=26)
    expected = len(truth) / 26
    assert ((counts - expected) ** 2 / expected).sum() < 25 + 5 * np.sqrt(2 * 25)
    for one in table.rounds:
        places = one.view.brief.question.x
        assert np.array_equal(np.diff(places), np.ones(len(places) - 1))
        assert one.view.data.x.shape == (1, 412)
        # One key: equal letters of the payload are equal signs.
        signs = one.view.data.x[0][places]
        assert ((one.truth[:, None] == one.truth) == (signs[:, None] == signs)).all()


def test_the_attackers_corpus_holds_no_message(live):
    table = deal(act(favourite), live, seed=0)
    public = ciphers.spell(table.rounds[0].view.brief.public.x[0])
    whole = ciphers.spell(ciphers.letters(corpus())[:50_000])
    assert live.find(PlantedItems).public.x.size == len(public)
    assert whole.startswith(public)
    assert len(public) == len(whole) // 2
    secret = whole[len(public) :]
    # The messages come from the other half; a stretch of 60 letters of it is not in the public one.
    assert len(secret) > 4000
    assert all(secret[at : at + 60] not in public for at in range(0, len(secret) - 60, 400))


@pytest.mark.parametrize("kind", ["bytes", "codes", "padded"])
def test_a_corpus_may_be_bytes_or_letters(kind):
    text = "the sea, the SEA!"
    codes = ciphers.letters(text)
    x = {
        "bytes": np.frombuffer(text.encode(), dtype=np.uint8)[None],
        "codes": codes[None],
        "padded": np.concatenate([codes, [26, -1, -1]])[None],
    }[kind]
    assert ciphers.spell(letters_of(Data("c", Modality.LANGUAGE, x))) == "theseathesea"


def test_a_short_corpus_is_one_clear_line():
    scene = Scene(
        "short", Modality.LANGUAGE, extra={"corpus": Data("c", Modality.LANGUAGE, np.zeros((1, 9)))}
    )
    with pytest.raises(RunError, match="9 letters"):
        play(act(favourite), scene)


def test_loot_of_another_length_is_an_error(live):
    def run(view, rng):
        """Return half the text."""
        half = Data("half", Modality.LANGUAGE, view.data.x[:, :5])
        return Outcome(guess=favourite(view, rng), asset=half)

    short = attack(
        game=decryption, access=Access.NOTHING, term=Term.SIGNAL, modalities=(Modality.LANGUAGE,),
        paper="hartley",
    )(run)  # fmt: skip
    with pytest.raises(RunError, match=r"shape \(1, 412\).* got \(1, 5\)"):
        play(short, live)


def test_items_and_protection_of_two_modalities_are_one_clear_line():
    scene = Scene("mixed", Modality.LANGUAGE, parts=(of_bundled(), unprotected(Modality.TABULAR)))
    with pytest.raises(RunError, match="must be of language, as the items, got tabular"):
        play(act(favourite), scene)
    assert scene.find(Protection).key_bits == 0
