import numpy as np
import pytest

from hartley.core import Modality, Scene
from hartley.core.errors import UsageError
from hartley.defenses.bandwidth.rekeying import rekeying
from hartley.engine.defend import defended
from hartley.games.decryption import ciphers
from hartley.games.decryption.decryption import decryption, stretches
from hartley.games.decryption.messages import of_bundled
from hartley.kit.protection import Published, aes_gcm, as_bytes, one_time_pad, opened, rekeyed


def test_letters_and_back():
    assert ciphers.spell(ciphers.letters("Anne Elliot, 1814!")) == "anneelliot"


def test_unicity_distance_of_a_substitution_is_28_letters():
    """The reference value C47 of the measurement plan."""
    cipher = ciphers.substitution()
    assert cipher.key_bits == pytest.approx(88.3820, abs=1e-4)
    assert ciphers.unicity(cipher) == pytest.approx(27.615566, abs=1e-6)


def test_a_substitution_is_one_permutation_a_message():
    plain = np.tile(np.arange(26), 3)
    rng = np.random.default_rng(0)
    first, second = (ciphers.substitution().protect(plain, rng).x for _ in range(2))
    assert sorted(first[:26]) == list(range(26))
    assert np.array_equal(first[:26], first[26:52])
    assert not np.array_equal(first, second)


def test_aes_gcm_is_the_real_thing():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    plain = np.arange(26)
    sent = aes_gcm(Modality.LANGUAGE).protect(plain, np.random.default_rng(3))
    # The same generator gives the same nonce and key: whoever has the key reads the message.
    rng = np.random.default_rng(3)
    nonce, key = rng.bytes(12), rng.bytes(32)
    assert sent.clear[:12] == nonce
    body = sent.x.astype(np.uint8).tobytes() + sent.clear[12:]
    assert AESGCM(key).decrypt(nonce, body, None) == bytes(range(26))


def test_a_ciphertext_that_is_cut_off_is_one_clear_line():
    sent = aes_gcm(Modality.LANGUAGE).protect(np.arange(26), np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rng.bytes(12)
    key = rng.bytes(32)
    assert np.array_equal(opened(sent, key), np.arange(26))
    with pytest.raises(UsageError, match="ciphertext of 20 bytes must fit its tag"):
        opened(Published(sent.x[:20], sent.clear), key)
    with pytest.raises(UsageError, match=r"must be 28 bytes .* got 20"):
        opened(Published(sent.x, sent.clear[:20]), key)


def test_vigenere_repeats_its_key():
    units = ciphers.vigenere(7).protect(np.zeros(70, int), np.random.default_rng(1)).x
    assert np.array_equal(units[:7], units[7:14])
    assert len(set(units[:7])) > 3
    assert ciphers.unicity(ciphers.vigenere(7)) == pytest.approx(7 * np.log2(26) / 3.200440, 1e-6)


def test_a_pad_is_uniform_whatever_it_hides_and_has_no_unicity_distance():
    pad = one_time_pad(Modality.TABULAR)
    units = pad.protect(np.zeros(25_600, dtype=np.int64), np.random.default_rng(0)).x
    counts = np.bincount(units, minlength=256)
    assert ((counts - 100) ** 2 / 100).sum() < 255 + 5 * np.sqrt(2 * 255)
    assert ciphers.unicity(pad) == np.inf


def test_any_item_is_bytes():
    assert as_bytes(np.array([0, 255])).tolist() == [0, 255]
    wide = as_bytes(np.array([0.5, -1.0]))
    assert wide.shape == (2, 8)
    assert wide.reshape(-1).view(np.float64).tolist() == [0.5, -1.0]


def test_aes_gcm_hides_repetition():
    sent = aes_gcm(Modality.LANGUAGE).protect(
        np.zeros(4096, dtype=np.int64), np.random.default_rng(0)
    )
    counts = np.bincount(sent.x, minlength=256)
    # Chi-square with 255 degrees of freedom: 16 a byte value on average.
    assert ((counts - 16) ** 2 / 16).sum() < 255 + 5 * np.sqrt(2 * 255)


def test_rekeying_changes_the_key_where_it_says():
    plain = np.zeros(100, dtype=np.int64)
    cipher = rekeyed(ciphers.substitution(), 10)
    units = cipher.protect(plain, np.random.default_rng(0)).x.reshape(10, 10)
    assert (units == units[:, :1]).all()
    assert len(set(units[:, 0])) > 1
    # A change within a change begins anew in each stretch: 10, 10, 5, 10, 10, 5, …
    twice = rekeyed(cipher, 25).protect(plain, np.random.default_rng(0)).x.reshape(4, 25)
    for at, size in ((0, 10), (10, 10), (20, 5)):
        assert (twice[:, at : at + size] == twice[:, at : at + 1]).all()


def test_who_knows_of_two_changes_of_keys_cuts_where_they_are():
    scene = Scene("few", Modality.LANGUAGE, parts=(of_bundled(), ciphers.substitution()))
    behind = defended(defended(scene, rekeying, {"every": 10}), rekeying)
    dealt = decryption(behind, np.random.default_rng(0), rounds=1, length=52, payload=8)
    lengths = [len(part) for part in stretches(dealt.rounds[0].view)]
    assert lengths == [10, 10, 5, 10, 10, 5, 10]
