"""Mixed photographs: encodings of private pictures that a net could be trained on (InstaHide)."""

from __future__ import annotations

from typing import Annotated, Literal

import hartley
from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.games.decryption.mixed_pictures import of_photographs
from hartley.kit.cache import digest


@recipe(modality=Modality.VISION, extras=("vision",))
def mixed_photographs(
    *,
    side: Literal[32, 64] = 32,
    pictures: Annotated[int, Range(6, 50)] = 20,
    candidates: Annotated[int, Range(2, 64)] = 16,
    times: Annotated[int, Range(2, 200), Stronger.MORE] = 30,
    mixed: Annotated[int, Range(0, 8), Stronger.LESS] = 0,
) -> Scene:
    """Private photographs, of which an owner publishes mixtures of two with random signs.

    Public photographs can be in the mixtures as well. Each private picture is one of several
    candidates, and is in some encodings, with another picture, weight and signs each time.

    Args:
        side: height and width of a picture.
        pictures: private pictures of one release.
        candidates: of which each private picture is one.
        times: encodings that each private picture is in.
        mixed: public photographs in each encoding, besides its two private ones.

    Raises:
        UsageError: there are too few crops, or the number of encodings is not whole.
    """
    given = of_photographs(side, pictures, candidates, times, mixed)
    return Scene(
        name="mixed_photographs",
        modality=Modality.VISION,
        digest=digest(
            {
                "version": hartley.__version__,
                "public": given.public.x,
                "release": [side, pictures, candidates, times, mixed],
            }
        ),
        parts=(given,),
        facts={"private pictures": pictures, "encodings of each": times, "public in each": mixed},
    )
