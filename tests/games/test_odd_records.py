"""Records as people have them: saved with fewer digits, empty, in small number formats."""

import numpy as np
import pytest

import hartley
from hartley import catalog
from hartley.core import Codec, Data, Modality, Model, Output, Scene
from hartley.core.errors import UsageError
from hartley.games.membership.split_checks import twins
from hartley.kit.vision import marks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6))
SAVED = {
    "as they are": lambda x: x.copy(),
    "single precision": lambda x: x.astype(np.float32),
    "half precision": lambda x: x.astype(np.float16),
    "single precision, read as double": lambda x: x.astype(np.float32).astype(np.float64),
    "half precision, read as single": lambda x: x.astype(np.float16).astype(np.float32),
    "six decimals": lambda x: np.round(x, 6),
    "three decimals, single precision": lambda x: np.round(x, 3).astype(np.float32),
    "three decimals": lambda x: np.array([[float(f"{v:.3f}") for v in row] for row in x]),
}


def data(x):
    return Data("d", Modality.TABULAR, x, None)


@pytest.mark.parametrize("name", SAVED)
def test_twins_are_found_in_the_coarser_precision(name):
    others = np.concatenate([SAVED[name](X[:20]), SAVED[name](RNG.normal(size=(180, 6)))])
    assert twins(data(X), data(others)) == pytest.approx(0.1)
    assert twins(data(others), data(X)) == pytest.approx(0.1)


def test_rounding_makes_no_twins_of_records_that_differ():
    close = X + 1e-3 * RNG.normal(size=X.shape)
    assert twins(data(X), data(close)) == 0.0
    # One number a record, saved with one digit: all records would be twins of some other.
    one = RNG.normal(size=(500, 1))
    assert twins(data(one), data(np.round(RNG.normal(size=(500, 1)), 1))) < 0.05
    whole = RNG.integers(0, 9, (200, 6))
    assert twins(data(whole), data(whole.astype(np.float32))) == 1.0


# --- texts

V = 61
MEMBERS, OTHERS = (np.random.default_rng(seed).integers(3, V, (100, 12)) for seed in (1, 2))
KNOWN = {row.tobytes() for row in MEMBERS}


def score(rows):
    """−1 a token for what was read in training, −4 for others; 0 at padding."""
    assert rows.dtype == np.int64
    level = np.array([-1.0 if row.tobytes() in KNOWN else -4.0 for row in rows])
    return np.where(rows[:, 1:] >= 0, level[:, None], 0.0)


def read_texts(members, others, attack="loss_threshold"):
    model = Model(
        "lm",
        Modality.LANGUAGE,
        lambda rows: np.zeros((len(rows), V)),
        Output.LOGITS,
        V,
        score=score,
        codec=Codec(
            lambda texts: np.array([[ord(c) % V for c in f"{t:12.12}"] for t in texts]), list, V
        ),
    )
    train, holdout = (
        Data(name, Modality.LANGUAGE, x, facts={"zlib": np.full(len(x), 9)})
        for name, x in (("m", members), ("o", others))
    )
    scene = Scene(
        name="mine", modality=Modality.LANGUAGE, model=model, train=train, holdout=holdout
    )
    return hartley.measure(hartley.play(catalog.load("attack", attack), scene))


@pytest.mark.parametrize("tokens", [0, 1])
@pytest.mark.parametrize("attack", ["loss_threshold", "zlib_ratio", "min_k"])
def test_texts_without_a_scored_token_are_left_out(attack, tokens):
    members, others = MEMBERS.copy(), OTHERS.copy()
    for rows in (members, others):
        rows[50:53, tokens:] = -1
    row = read_texts(members, others, attack)
    assert row.n == 2 * 97 and row.metrics["empty_texts"] == 6
    assert row.metrics["auc"]["value"] == 1.0
    assert row.metrics["tpr_at_fpr_1e2"]["value"] > 0.9
    whole = read_texts(MEMBERS, OTHERS, attack)
    assert whole.n == 200 and "empty_texts" not in whole.metrics


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.uint64])
def test_tokens_of_every_whole_type_are_read(kind):
    row = read_texts(MEMBERS.astype(kind), OTHERS.astype(kind))
    assert row.metrics["auc"]["value"] == 1.0


def test_padding_on_the_left_is_refused():
    left = np.roll(np.where(np.arange(12) < 9, MEMBERS, -1), 3, axis=1)
    with pytest.raises(UsageError, match="padded on the right with -1, got -1 before a token"):
        read_texts(left, OTHERS)


def test_texts_with_half_a_character_are_read():
    texts = np.array([f"text {i} \ud83d" for i in range(60)])
    assert read_texts(texts[:30], texts[30:]).n == 60


# --- pictures


def clouds(n, planes, side):
    rng = np.random.default_rng(0)
    grey = 0.5 + 0.1 * rng.standard_normal((n, 1, side // 4, side // 4))
    grey = np.clip(grey.repeat(4, 2).repeat(4, 3), 0, 1)
    return np.repeat(grey, planes, 1).astype(np.float32)


def marked(x, parts=(), **game):
    carriers = Data("photos", Modality.VISION, x, role="carriers")
    scene = Scene(name="w", modality=Modality.VISION, extra={"carriers": carriers}, parts=parts)
    return hartley.measure(
        hartley.play(
            catalog.load("attack", "overwriting"), scene, game_params={"rounds": 6, **game}
        )
    )


@pytest.mark.parametrize("planes", [1, 3, 4])
@pytest.mark.parametrize("kind", ["floats", "bytes"])
def test_grey_pictures_transparent_ones_and_bytes_are_marked(planes, kind):
    x = clouds(8, planes, 64)
    row = marked(x if kind == "floats" else np.round(x * 255).astype(np.uint8))
    assert row.metrics["ber_before"]["value"] == 0.0
    assert row.metrics["psnr"]["value"] > 30


PICTURES = {
    "floats to 255": (lambda: clouds(8, 3, 64) * 255, "pixels in 0..1"),
    "negative": (lambda: clouds(8, 3, 64) - 1, "pixels in 0..1"),
    "NaN": (lambda: clouds(8, 3, 64) * np.nan, "pixels in 0..1"),
    "two planes": (lambda: clouds(8, 2, 64), "1, 3 or 4 channels"),
    "channels last": (lambda: clouds(8, 3, 64).transpose(0, 2, 3, 1), "1, 3 or 4 channels"),
    "no channels": (lambda: clouds(8, 1, 64)[:, 0], "1, 3 or 4 channels"),
    "complex": (lambda: clouds(8, 3, 64) + 0j, "1, 3 or 4 channels"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_not_a_picture_is_refused_before_it_is_marked(name):
    make, message = PICTURES[name]
    with pytest.raises(UsageError, match=message) as caught:
        marked(make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "marker",
    [marks.dwt_dct(), marks.diverse(), marks.spread_spectrum(), marks.coded(marks.dwt_dct())],
    ids=lambda marker: marker.name,
)
def test_a_message_that_a_picture_does_not_hold_is_refused(marker):
    most = max(m for m in range(1, 400) if marker.fits(clouds(1, 3, 64)[0], m))
    # A code spreads its bits over three times as many places, and bridges some that are not there.
    for bits in (4, most) if "coded" not in marker.name else (4,):
        rng = np.random.default_rng(bits)
        message = rng.integers(0, 2, bits)
        assert (
            marker.decode(marker.embed(clouds(1, 3, 64)[0], message, 3, rng), 3, bits) == message
        ).mean() > 0.9
    with pytest.raises(UsageError, match=f"bits must be at most what {marker.name} hides"):
        marked(clouds(8, 3, 64), parts=(marker,), bits=4000)
