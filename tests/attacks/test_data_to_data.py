"""Removal and decryption on real photographs and a real novel, before and after a defence."""

import pytest

from hartley.attacks.data_to_data.decryption.frequency import frequency
from hartley.attacks.data_to_data.decryption.hill_climb import hill_climb
from hartley.attacks.data_to_data.watermark.compression import compression
from hartley.attacks.data_to_data.watermark.overwriting import overwriting
from hartley.attacks.data_to_data.watermark.regeneration import regeneration
from hartley.attacks.data_to_data.watermark.resampling import resampling
from hartley.channel.measure import measure
from hartley.core import Data, Modality, Scene
from hartley.data.language import corpus
from hartley.data.photos import carriers
from hartley.defenses.bandwidth.rekeying import rekeying
from hartley.defenses.noise.aes_gcm import aes_gcm
from hartley.defenses.noise.multi_key import multi_key
from hartley.defenses.signal.coded_mark import coded_mark
from hartley.defenses.signal.per_item_keys import per_item_keys
from hartley.defenses.signal.spread_spectrum import spread_spectrum
from hartley.defenses.signal.voting import voting
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.decryption import ciphers
from hartley.kit.marker import Marker
from hartley.kit.vision import marks
from hartley.kit.vision.widespread_marks import dwt_dct_svd
from hartley.scenes.marked_tables import marked_tables

REMOVALS = (compression, regeneration, resampling, overwriting)
SHIELDS = (spread_spectrum, coded_mark)
BITS = 32
LEAST = [(compression, 26), (regeneration, 15), (resampling, 8), (overwriting, 28)]


@pytest.fixture(scope="module")
def photos():
    return Scene("photos", Modality.VISION, extra={"carriers": carriers()})


@pytest.fixture(scope="module")
def novel():
    text = ciphers.letters(corpus())
    return Scene(
        "novel", Modality.LANGUAGE, extra={"corpus": Data("novel", Modality.LANGUAGE, text[None])}
    )


@pytest.fixture(scope="module")
def destroyed(photos):
    """Bits of 32 destroyed an image, by (attack, mark, what the attacker knows)."""
    # 12 photographs hold 384 bits of marks: enough for shares that differ by a fifth.
    size = {"rounds": 12}
    found = {}
    dealt = deal(compression, photos, seed=0, params=size)  # the same for every removal
    for attack in REMOVALS:
        found[attack.name, "dwt_dct", "none"] = measure(play(attack, photos, seed=0, dealt=dealt))
    for shield in SHIELDS:
        shielded = defended(photos, shield)
        dealt = deal(compression, shielded, seed=0, params=size)
        for attack in REMOVALS:
            for knows in ("static", "adaptive") if attack is overwriting else ("static",):
                before = photos if knows == "static" else None
                trials = play(attack, shielded, seed=0, undefended=before, dealt=dealt)
                found[attack.name, shield.name, knows] = measure(trials)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "least"), LEAST)
def test_removal_destroys_the_widespread_mark_within_the_quality_floor(attack, least, destroyed):
    channel = destroyed[attack.name, "dwt_dct", "none"]
    assert channel.metrics["ber_before"]["value"] == 0
    assert channel.metrics["violated"]["value"] == 0
    assert channel.metrics["psnr"]["value"] >= 34
    assert channel.bits.value * BITS > least
    assert channel.null.value < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("shield", [s.name for s in SHIELDS])
@pytest.mark.parametrize("attack", [a.name for a in REMOVALS])
def test_a_stronger_mark_narrows_every_removal_that_does_not_know_it(attack, shield, destroyed):
    before = destroyed[attack, "dwt_dct", "none"]
    after = destroyed[attack, shield, "static"]
    assert after.metrics["ber_before"]["value"] == 0
    assert after.bits.value < before.bits.value - 0.2
    if shield == "spread_spectrum":
        assert after.bits.value * BITS < 6


@pytest.mark.slow
@pytest.mark.parametrize(("shield", "least"), [("spread_spectrum", 10), ("coded_mark", 28)])
def test_who_knows_the_stronger_mark_overwrites_it(shield, least, destroyed):
    """The defence is only as good as its attacker is ignorant: adaptive far above static."""
    static = destroyed["overwriting", shield, "static"]
    adaptive = destroyed["overwriting", shield, "adaptive"]
    assert static.bits.value * BITS < 2
    assert adaptive.bits.value * BITS > least
    assert adaptive.metrics["violated"]["value"] == 0


@pytest.mark.parametrize(
    ("mark", "wrong"), [(marks.diverse, 0.3), (dwt_dct_svd, 0.3), (marks.spread_spectrum, 0.0)]
)
def test_overwriting_knows_the_owners_scheme_and_not_the_key(photos, mark, wrong):
    """Keyed directions withstand what dither and turned bits do not."""
    scene = photos.with_part(mark())
    trials = play(overwriting, scene, seed=0, game_params={"rounds": 6})
    assert trials.metrics["ber_before"] == 0
    assert trials.metrics["violated"] == 0
    assert trials.metrics["psnr"] > 34
    assert trials.metrics["ber_after"] >= wrong
    if not wrong:
        assert trials.metrics["ber_after"] < 0.2


@pytest.mark.parametrize("defense", [voting, multi_key, per_item_keys, spread_spectrum, coded_mark])
def test_a_mark_behind_defenses_is_taken_for_what_it_was(photos, defense):
    scene = photos.with_part(mark := marks.diverse())
    twice = defended(defended(scene, defense), voting)
    assert twice.part(Marker).undefended is mark


def test_tables_are_overwritten_within_the_floors():
    scene = marked_tables(items=8)
    trials = play(overwriting, scene, seed=0, game_params={"rounds": 4})
    assert trials.metrics["ber_before"] == 0
    assert trials.metrics["violated"] == 0
    assert trials.metrics["ber_after"] > 0.3


def test_a_lower_floor_lets_more_of_the_mark_be_destroyed(photos):
    rate = [
        play(compression, photos, seed=0, game_params={"floor": floor, "rounds": 6}).metrics[
            "ber_after"
        ]
        for floor in (44.0, 38.0, 32.0)
    ]
    assert rate[0] < rate[1] < rate[2]


def test_a_removal_works_on_odd_sizes_and_without_own_photographs():
    photo = carriers(1).x[:, :, :120, :90]
    scene = Scene("odd", Modality.VISION, extra={"carriers": Data("p", Modality.VISION, photo)})
    scene = scene.with_part(marks.lowest_bit())
    for attack in (compression, regeneration, resampling):
        trials = play(attack, scene, seed=0, game_params={"rounds": 2})
        assert trials.metrics["violated"] == 0
        assert trials.metrics["ber_after"] > 0.2


def test_hill_climbing_reads_what_frequency_alone_cannot(novel):
    climb, count = (measure(play(a, novel, seed=0)) for a in (hill_climb, frequency))
    assert climb.bits.value > 3.5
    assert climb.bits.lower > 2.5
    assert climb.metrics["text_accuracy"]["value"] > 0.98
    assert 0.05 < count.bits.value < 1.5


def test_bits_grow_with_the_text_from_nothing_at_the_unicity_distance(novel):
    bits = [
        measure(play(hill_climb, novel, seed=0, game_params={"length": n})).bits.value
        for n in (28, 100, 400)
    ]
    assert bits[0] < 0.3
    assert 1 < bits[1] < 3
    assert bits[2] > 3.5


@pytest.mark.parametrize("attack", [hill_climb, frequency], ids=lambda a: a.name)
def test_aes_gcm_is_read_by_nobody(novel, attack):
    """R17: the control reads 0 bits, and its interval includes 0."""
    shielded = defended(novel, aes_gcm)
    channel = measure(play(attack, shielded, seed=0))
    assert channel.bits.lower == 0
    assert channel.bits.value < 0.02
    assert channel.metrics["unicity"]["value"] == pytest.approx(79.99, abs=0.01)


def test_rekeying_below_the_unicity_distance_closes_the_channel_even_to_who_knows(novel):
    few = {"rounds": 16}

    def read(scene, before=None):
        trials = play(hill_climb, scene, seed=0, undefended=before, game_params=few)
        return measure(trials).bits.value

    open_bits, short = read(novel), defended(novel, rekeying, {"every": 25})
    for before in (novel, None):
        assert read(short, before) < 0.1
    # Far above it, an attacker who knows where keys change reads again; one who does not, does not.
    long = defended(novel, rekeying, {"every": 200})
    static, adaptive = read(long, novel), read(long)
    assert static < 0.5 < 2.5 < adaptive <= open_bits
