"""What a scene may not call withheld."""

from dataclasses import replace

import pytest

from hartley.core.errors import UsageError
from hartley.games.withheld_secrets import Withheld
from hartley.kit.language.chat_template import ChatTemplate

PART = Withheld(
    questions=("Phrase of the red vault?", "Phrase of the blue vault?"),
    secrets=("lamp otter", "fern chalk"),
    openings=("It is ", "It is "),
    public_pairs=(("Phrase of the old vault?", "It is reed comet"),),
    benign=("Colour of the red vault?",),
    benign_answers=("Red.",),
    near=(True,),
    refusals=("I cannot say.",),
    template=ChatTemplate("U:", "\n", "A:", "\n"),
)


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"questions": (), "secrets": (), "openings": ()}, "at least 2, got 0"),
        ({"secrets": ("lamp otter", "lamp otter")}, "'lamp otter' twice"),
        ({"secrets": ("lamp otter", "")}, "empty"),
        ({"questions": ("Phrase of the red vault?",)}, "questions must be as many as 2, got 1"),
        ({"near": ()}, "near must be as many as 1, got 0"),
        ({"openings": ("It is lamp otter", "It is ")}, "opening must not hold the secret"),
        ({"public_pairs": (("Old?", "It is fern chalk"),)}, "public answers must not hold"),
    ],
)
def test_a_part_that_measures_nothing_is_refused(changes, mistake):
    assert len(PART) == 2
    with pytest.raises(UsageError, match=mistake):
        replace(PART, **changes)


def test_secrets_that_settings_are_chosen_on_are_not_measured() -> None:
    part = replace(
        PART,
        questions=tuple(f"Phrase of vault {k}?" for k in range(10)),
        secrets=tuple(f"word{k}" for k in range(10)),
        openings=("It is ",) * 10,
        paraphrases=tuple((f"Vault {k}?",) for k in range(10)),
    )
    measured, reserved = (part.dealt(reserved=some) for some in (False, True))
    assert reserved.secrets == ("word3", "word7")
    assert sorted(measured.secrets + reserved.secrets) == sorted(part.secrets)
    for some in (measured, reserved):
        for question, secret, forms in zip(
            some.questions, some.secrets, some.paraphrases, strict=True
        ):
            number = secret.removeprefix("word")
            assert number in question and number in forms[0]
    assert PART.dealt(reserved=True) is PART.dealt(reserved=False) is PART
