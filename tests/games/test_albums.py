"""Encrypted albums: what perceptual ciphers do, and what a net and a jigsaw solver read of them."""

import numpy as np
import pytest

from hartley.attacks.data_to_data.decryption._shared.jigsaw_solver import solved
from hartley.attacks.data_to_data.decryption.blind_guess import blind_guess
from hartley.attacks.data_to_data.decryption.jigsaw import jigsaw
from hartley.attacks.data_to_data.decryption.learned_decryption import learned_decryption
from hartley.channel.measure import measure
from hartley.core import Modality, Scene
from hartley.core.errors import RunError, UsageError
from hartley.defenses.bandwidth.rekeying import rekeying
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.decryption import picture_ciphers as ciphers
from hartley.games.decryption.albums import correlated, of_photographs

EACH = {"every": 1}


@pytest.fixture(scope="module")
def items():
    return of_photographs(32)


def channel(attack, items, protection, rounds=6, every=0, static=False):
    scene = Scene("albums", Modality.VISION, parts=(items, protection))
    behind = defended(scene, rekeying, {"every": every}) if every else scene
    trials = play(
        attack, behind, seed=0, undefended=scene if static else None, game_params={"rounds": rounds}
    )
    return measure(trials, redraws=1)


def test_ciphers_move_and_invert_and_do_the_same_to_every_picture():
    rng = np.random.default_rng(0)
    album = rng.integers(0, 256, (3, 3, 16, 16))
    album[2] = album[0]
    for make in (
        ciphers.block_scramble, ciphers.inverted_blocks, ciphers.learnable,
        ciphers.extended_learnable,
    ):  # fmt: skip
        units = make().protect(album, rng).x
        assert units.shape == album.shape
        assert np.array_equal(units[2], units[0])
        assert not np.array_equal(units, album)
        # Distances from grey are only moved, of bytes or of halves of bytes.
        plain, moved = (np.sort(np.abs(ciphers.nibbles(x[0]) - 7.5), None) for x in (album, units))
        assert np.array_equal(plain, moved)
    scrambled = ciphers.block_scramble().protect(album, rng).x
    cut = [{tuple(p) for p in ciphers.cut(x[:1], 8)[0].tolist()} for x in (album, scrambled)]
    assert cut[0] == cut[1]


def test_blocks_are_cut_and_joined_and_must_fit():
    pictures = np.arange(2 * 3 * 8 * 16).reshape(2, 3, 8, 16)
    pieces = ciphers.cut(pictures, 4)
    assert pieces.shape == (2, 8, 48)
    assert np.array_equal(pieces[0, 1, :4], pictures[0, 0, 0, 4:8])
    assert np.array_equal(ciphers.joined(pieces, pictures.shape, 4), pictures)
    with pytest.raises(UsageError, match="multiples of 5, the side of a block, got 8 × 16"):
        ciphers.cut(pictures, 5)


def test_a_net_inverts_every_cipher_under_one_key_and_none_under_keys_of_their_own(items):
    for make in (ciphers.inverted_blocks, ciphers.learnable, ciphers.extended_learnable):
        inverted = channel(learned_decryption, items, make())
        assert inverted.metrics["solved"]["value"] == 1
        assert inverted.bits.lower > 1
    for static in (True, False):
        rekeyed = channel(learned_decryption, items, ciphers.learnable(), every=1, static=static)
        assert rekeyed.bits.lower == 0


def test_borders_give_blocks_away_under_a_key_of_each_picture_too(items):
    assert channel(jigsaw, items, ciphers.inverted_blocks()).metrics["accuracy"]["value"] > 0.9
    assert channel(jigsaw, items, ciphers.block_scramble()).metrics["solved"]["value"] > 0.9
    own = channel(jigsaw, items, ciphers.inverted_blocks(), every=1)
    assert own.metrics["accuracy"]["value"] > 0.5
    # Who does not know it adds up the borders of pictures that were cut in different ways.
    assert channel(jigsaw, items, ciphers.inverted_blocks(), every=1, static=True).bits.lower == 0
    assert channel(jigsaw, items, ciphers.learnable()).bits.lower == 0


def test_the_solver_puts_a_smooth_picture_back():
    y, x = np.mgrid[0:24, 0:32]
    smooth = np.stack([np.sin(x / 7 + y / 5), np.cos(x / 9 - y / 4)])[None]
    pieces = ciphers.cut(smooth, 8).reshape(1, 12, 2, 8, 8).transpose(1, 0, 2, 3, 4)
    rng = np.random.default_rng(1)
    order, signs = rng.permutation(12), rng.choice([-1, 1], 12)
    back, negative = solved(pieces[order] * signs[:, None, None, None, None], 3, 4)
    assert order[back].tolist() == list(range(12))
    turned = np.where(negative, -1, 1) * signs
    assert len(set(turned.tolist())) == 1


def test_a_plausible_picture_reads_nothing_and_the_matcher_sees_negatives(items):
    assert channel(blind_guess, items, ciphers.block_scramble(), rounds=40).bits.lower == 0
    rng = np.random.default_rng(0)
    candidates = rng.integers(0, 256, (5, 4, 3, 8, 8))
    truth = np.array([3, 0, 2, 1, 3])
    chosen = candidates[np.arange(5), truth]
    assert correlated(chosen, candidates).tolist() == truth.tolist()
    assert correlated(255 - chosen, candidates).tolist() == truth.tolist()


def test_candidates_are_in_no_view_and_known_pictures_are_public_ones(items):
    scene = Scene("albums", Modality.VISION, parts=(items, ciphers.block_scramble()))
    table = deal(jigsaw, scene, seed=0)
    truth = np.concatenate([one.truth for one in table.rounds])
    assert len(truth) == 160
    counts = np.bincount(truth, minlength=16)
    assert ((counts - 10) ** 2 / 10).sum() < 15 + 5 * np.sqrt(30)
    brief = table.rounds[0].view.brief
    public = {p.tobytes() for p in brief.public.x}
    assert all(p.tobytes() in public for p in brief.known.x)
    planted = items.draw(3, 16, 4, np.random.default_rng(0))
    for one in planted:
        candidates = {p.tobytes() for place in one.candidates for p in place}
        assert len(candidates) == 4 * 16
        assert not candidates & public
        assert not candidates & {p.tobytes() for p in one.known}
    assert table.rounds[0].view.data.x.shape == (1, 4 + 16, 3, 32, 32)
    with pytest.raises(RunError, match=r"payload=400, length=16\) needs 6400 and 16"):
        deal(jigsaw, scene, seed=0, params={"payload": 400})
