"""Declared ranges and choices: what a range holds, says and lies beside; what is read of a part."""

from __future__ import annotations

from math import inf, nan, nextafter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pytest

from hartley.core import Range
from hartley.core.parameters import Parameter, parameters_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Law = Literal["laplace", "gaussian"]


@pytest.mark.parametrize(
    ("limits", "words", "inside", "outside"),
    [
        (Range(2, 512), "from 2 to 512", (2, 3, 512), (1, 513)),
        (Range(1), "at least 1", (1, 10**30), (0, -(10**30))),
        (Range(0, open_low=True), "above 0", (5e-324, 1), (0, -1)),
        (Range(0, 1, open_low=True), "above 0 and at most 1", (0.5, 1), (0, 1.001)),
        (Range(0, 1, open_high=True), "at least 0 and below 1", (0, 0.5), (-0.1, 1)),
        (Range(-inf, 1_000_000), "at most 1000000", (-1e300, 0), (1_000_001,)),
        (Range(-inf, 3, open_high=True), "below 3", (2.9,), (3,)),
        (Range(-inf), "finite", (0, -1e300), (inf, -inf, nan, 10**400)),
    ],
)
def test_a_range_holds_what_it_says(limits, words, inside, outside):
    assert str(limits) == words
    assert all(value in limits for value in inside)
    assert not any(value in limits for value in (*outside, inf, -inf, nan))


@pytest.mark.parametrize(
    ("limits", "kind", "steps"),
    [
        (Range(2, 512), int, (1, 513)),
        (Range(0), int, (-1,)),
        (Range(0), float, (-5e-324,)),
        (Range(0, 1, open_low=True), float, (0.0, nextafter(1, 2))),
        (Range(0, 1, open_high=True), float, (-5e-324, 1.0)),
        (Range(-inf), float, ()),
    ],
)
def test_one_step_outside_is_the_nearest_number_that_is_refused(limits, kind, steps):
    assert limits.outside(kind) == steps
    assert all(type(step) is kind and step not in limits for step in steps)


@pytest.mark.parametrize("ends", [(2, 1), (nan, 1), (0, nan)])
def test_a_range_that_holds_nothing_is_refused(ends):
    with pytest.raises(TypeError, match="a range must hold a number"):
        Range(*ends)
    with pytest.raises(TypeError, match="a range must hold a number"):
        Range(1, 1, open_low=True)


def test_ranges_and_choices_are_read_from_annotations_that_name_what_only_checkers_import():
    def part(
        view: View,  # noqa: F821  not importable here, as Rng and NDArray are not in a part
        known: NDArray[Any],
        *,
        references: Annotated[int, Range(2, 512)] = 64,
        share: Annotated[float, Range(0, 1)] = 1,
        law: Law = "laplace",
        bits: Literal[128, 256] = 256,
        deep: bool = False,
        name: str = "a",
        bare=3,
    ):
        """Do something."""

    read = {p.name: p for p in parameters_of(part)}
    assert read["references"] == Parameter("references", 64, int, "", Range(2, 512))
    assert read["share"].kind is float and read["share"].range == Range(0, 1)
    assert read["law"] == Parameter("law", "laplace", str, "", None, ("laplace", "gaussian"))
    assert read["bits"].choices == (128, 256) and read["bits"].kind is int
    assert [read[name].limits for name in ("references", "law", "bits", "deep", "name")] == [
        *("from 2 to 512", "laplace or gaussian", "128 or 256"),
        *("", ""),
    ]
    assert read["bare"].kind is int and read["bare"].range is None


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        (2, ""),
        (np.int64(2), ""),
        (1, "references must be from 2 to 512, got 1"),
        (513, "references must be from 2 to 512, got 513"),
        (2.0, "references must be a whole number from 2 to 512, got 2.0"),
        (True, "references must be a whole number from 2 to 512, got True"),
        ("2", "references must be a whole number from 2 to 512, got '2'"),
        (None, "references must be a whole number from 2 to 512, got None"),
    ],
)
def test_a_mistake_is_worded_from_the_declaration(value, mistake):
    assert Parameter("references", 64, int, "", Range(2, 512)).mistake(value) == mistake


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        (0, ""),
        (np.float32(0.5), ""),
        (1.5, "share must be from 0 to 1, got 1.5"),
        (nan, "share must be a number from 0 to 1, got nan"),
        (inf, "share must be a number from 0 to 1, got inf"),
        (True, "share must be a number from 0 to 1, got True"),
    ],
)
def test_a_whole_number_is_a_number_and_nothing_infinite_is(value, mistake):
    assert Parameter("share", 0.5, float, "", Range(0, 1)).mistake(value) == mistake


def test_a_word_that_is_not_a_choice_is_refused_with_the_choices():
    law = Parameter("law", "laplace", str, "", None, ("laplace", "gaussian", "cauchy"))
    assert law.mistake("gaussian") == ""
    assert law.mistake("x") == "law must be laplace, gaussian or cauchy, got 'x'"
    assert law.mistake(3) == "law must be a string, got 3"


def too_low(*, references: Annotated[int, Range(2, 512)] = 1): ...
def not_a_choice(*, law: Law = "cauchy"): ...  # type: ignore[assignment]
def ranged_word(*, law: Annotated[str, Range(0)] = "x"): ...
def unknown_name(*, count: Annotated[int, Rang(2)] = 3): ...  # type: ignore[name-defined]  # noqa: F821
def other_type(*, count: int = 2.5): ...  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (too_low, "the default of references must be from 2 to 512, got 1"),
        (not_a_choice, "the default of law must be laplace or gaussian, got 'cauchy'"),
        (ranged_word, "parameter 'law': a Range must annotate an int or a float"),
        (unknown_name, "parameter 'count': its annotation cannot be read: name 'Rang' is not def"),
        (other_type, "the default of count must be a whole number, got 2.5"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(part, words):
    with pytest.raises(TypeError, match=words):
        parameters_of(part)
