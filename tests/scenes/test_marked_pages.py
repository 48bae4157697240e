"""The scene of marked pages: which mark outlives that a page is read and drawn anew."""

import numpy as np
import pytest

from hartley.engine.build_scene import build
from hartley.kit.marker import Marker
from hartley.kit.media.pages import Pages

pytestmark = pytest.mark.pack

# The writer is untrained, so that its law has the most room for a mark.
SMALL = {"items": 3, "picture_mark": "qim", "epochs": 0}


@pytest.mark.parametrize("mark", ["picture", "text"])
def test_redrawing_takes_the_mark_of_the_picture_and_leaves_that_of_the_words(mark):
    """Reading pages takes a recogniser a fifth of a second each."""
    scene = build("marked_pages", {"mark": mark, **SMALL})
    marker, pages = scene.part(Marker), scene.part(Pages)
    page = marker.embed(0, np.zeros(0, int), 7, np.random.default_rng(0))
    assert page.shape == pages.shape
    assert marker.detect(page, 7).marked()
    assert not marker.detect(page, 8).marked()
    anew = pages.written(page, pages.text(page))
    assert marker.detect(anew, 7).marked() == (mark == "text")


def test_illustrations_are_above_the_text_and_outlive_its_redrawing():
    scene = build("marked_pages", {"mark": "picture", "illustrated": True, **SMALL})
    marker, pages = scene.part(Marker), scene.part(Pages)
    page = marker.embed(1, np.zeros(0, int), 7, np.random.default_rng(0))
    anew = pages.written(page, "")
    assert page[:, : pages.top].std() > 0.05
    assert np.array_equal(anew[:, : pages.top], page[:, : pages.top])
    assert marker.detect(anew, 7).marked()


def test_the_attackers_pages_have_photographs_of_their_own():
    """An illustration without its mark would be put back in its place, above any floor."""
    scene = build("marked_pages", {"mark": "picture", "illustrated": True, **SMALL, "items": 17})
    marker, pages = scene.part(Marker), scene.part(Pages)
    rng = np.random.default_rng(0)
    halves = {
        "public": [p[:, : pages.top, c : c + 256] for p in scene.extra["unmarked"].x
                   for c in (0, 256)],
        "owner": [marker.plain(k, rng)[:, : pages.top, c : c + 256] for k in range(16)
                  for c in (0, 256)],
    }  # fmt: skip
    shown = {name: {np.asarray(one).tobytes() for one in x} for name, x in halves.items()}
    assert (len(shown["public"]), len(shown["owner"])) == (16, 32)
    assert not shown["public"] & shown["owner"]
    # A seventeenth page would share its photographs with another one.
    assert len(scene.extra["carriers"]) == 16
