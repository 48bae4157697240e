"""WordNet and the census read from small files of the same form; the tumours from their wheel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hartley.core.errors import MissingPack, UsageError
from hartley.data import graph, packs, tabular

WORDNET = """  1 This is a remark.
00000001 05 n 01 cat 0 002 @ 00000002 n 0000 ~ 00000003 n 0000 | a small furry animal
00000002 05 n 02 feline 0 felid 1 002 ~ 00000001 n 0000 + 00000009 v 0101 | any furry animal
00000003 05 n 01 kitten 0 003 @ 00000001 n 0000 @ 00000001 n 0000 ! 00000003 n 0000 | young cat
"""

ADULT = """|1x3 Cross validator
39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Own-child, White, Male, {}, 0, 40, United-States, <=50K
50, ?, 83311, HS-grad, 9, Divorced, Sales, Husband, Black, Female, {}, 0, 13, Cuba, >50K.

"""  # noqa: E501


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for any pack, and an empty cache."""
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packs, "locate", lambda name: tmp_path)
    return tmp_path


def test_senses_are_read_with_their_pointers_to_other_nouns_once(shelf: Path) -> None:
    (shelf / "data.noun").write_text(WORDNET)
    held = graph.nouns()
    assert held["00000001"] == graph.Sense(5, ("00000002", "00000003"), "a small furry animal")
    assert held["00000002"].points == ("00000001",)
    assert held["00000003"].points == ("00000001",)
    (shelf / "data.noun").write_text("00000001 05 n 0x cat\n")
    with pytest.raises(UsageError, match="must be a WordNet data file"):
        graph.nouns()
    (shelf / "data.noun").unlink()
    with pytest.raises(UsageError, match=r"must contain data\.noun"):
        graph.nouns()


def test_a_small_graph_is_its_senses_and_their_links(shelf: Path) -> None:
    (shelf / "data.noun").write_text(WORDNET)
    senses = graph.nouns()
    near = graph._near(senses)
    assert near["00000002"] == ["00000001"]
    x = graph._ego("00000001", senses, near, 4, 8)
    assert np.array_equal(x[:, :4], [[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert np.abs(x[:3, 4:]).sum(1).all() and not x[3].any()


def test_the_census_is_read_scaled_and_one_hot(shelf: Path) -> None:
    (shelf / "adult.data").write_text(ADULT.format(0, 5000))
    (shelf / "adult.test").write_text(ADULT.format(0, 100))
    held = tabular.income()
    assert len(held) == 3, "who is alike in every field that is kept stands once"
    assert sorted(held.y.tolist()) == [0, 1, 1]
    fields = held.facts["fields"]
    for name in tabular.NAMED:
        assert np.array_equal(held.x[:, fields[name]].sum(1), np.ones(3))
    assert len(fields["workclass"]) == 2 and tabular.columns(held, "age") == (0,)
    assert np.abs(held.x).max() <= tabular.FAR
    with pytest.raises(UsageError, match="got 'weight'"):
        tabular.columns(held, "weight")


def test_a_broken_census_is_one_line(shelf: Path) -> None:
    (shelf / "adult.data").write_text("39, State-gov\n")
    with pytest.raises(UsageError, match="got 2"):
        tabular.income()
    (shelf / "adult.data").write_text(ADULT.format("x", 0))
    (shelf / "adult.test").write_text("")
    with pytest.raises(UsageError, match="must be a number"):
        tabular.income()
    (shelf / "adult.test").unlink()
    with pytest.raises(UsageError, match=r"must contain adult\.test"):
        tabular.income()


def test_absent_packs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path))
    for read, name in ((graph.mixed_senses, "wordnet"), (graph.small_graphs, "wordnet"),
                       (tabular.income, "adult")):  # fmt: skip
        with pytest.raises(MissingPack, match=name):
            read()


def test_tumours_are_standardised() -> None:
    held = tabular.tumours()
    assert held.x.shape == (569, 30) and held.x.dtype == np.float32
    assert np.abs(held.x.mean(0)).max() < 0.1 and np.abs(held.x.std(0) - 1).max() < 0.25
    assert tabular.columns(held, "mean_texture") == (1,)
