import numpy as np
import pytest

from hartley.games.decryption import ciphers


def test_letters_and_back():
    assert ciphers.spell(ciphers.letters("Anne Elliot, 1814!")) == "anneelliot"


def test_unicity_distance_of_a_substitution_is_28_letters():
    """The reference value C47 of the measurement plan."""
    cipher = ciphers.substitution()
    assert cipher.key_bits == pytest.approx(88.3820, abs=1e-4)
    assert cipher.unicity == pytest.approx(27.615566, abs=1e-6)


def test_a_substitution_is_one_permutation_a_message():
    plain = np.tile(np.arange(26), 3)
    rng = np.random.default_rng(0)
    first, second = (ciphers.substitution().encrypt(plain, rng).units for _ in range(2))
    assert sorted(first[:26]) == list(range(26))
    assert np.array_equal(first[:26], first[26:52])
    assert not np.array_equal(first, second)


def test_aes_gcm_is_the_real_thing():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    plain = np.arange(26)
    sent = ciphers.aes_gcm().encrypt(plain, np.random.default_rng(3))
    # The same generator gives the same nonce and key: whoever has the key reads the message.
    rng = np.random.default_rng(3)
    nonce, key = rng.bytes(12), rng.bytes(32)
    assert sent.clear[:12] == nonce
    body = sent.units.astype(np.uint8).tobytes() + sent.clear[12:]
    assert AESGCM(key).decrypt(nonce, body, None) == bytes(range(26))


def test_aes_gcm_hides_repetition():
    sent = ciphers.aes_gcm().encrypt(np.zeros(4096, dtype=np.int64), np.random.default_rng(0))
    counts = np.bincount(sent.units, minlength=256)
    # Chi-square with 255 degrees of freedom: 16 a byte value on average.
    assert ((counts - 16) ** 2 / 16).sum() < 255 + 5 * np.sqrt(2 * 255)


def test_rekeying_changes_the_key_where_it_says():
    plain = np.zeros(100, dtype=np.int64)
    cipher = ciphers.rekeyed(ciphers.substitution(), 10)
    units = cipher.encrypt(plain, np.random.default_rng(0)).units.reshape(10, 10)
    assert (units == units[:, :1]).all()
    assert len(set(units[:, 0])) > 1
    assert ciphers.rekeyed(cipher, 4).every == 4
    assert ciphers.rekeyed(cipher, 40).every == 10
