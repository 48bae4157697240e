"""The scene of marked photographs: each mark fits, and reads what was embedded."""

import pytest

from hartley.kit.item_quality import ItemQuality
from hartley.kit.marker import Marker
from hartley.scenes.photographs import MARKS, photographs, utility


@pytest.mark.parametrize("mark", [name for name in MARKS if name not in {"learned", "rivagan"}])
def test_each_mark_is_found_again(mark, monkeypatch):
    monkeypatch.setattr("hartley.scenes.photographs.JUDGED", 4)
    scene = photographs(mark=mark, count=8, floor=30.0, ssim=0.5)
    marker = scene.part(Marker)
    assert marker.fits(scene.extra["carriers"].x[0], marker.bits)
    assert scene.part(ItemQuality).least == {"psnr": 30.0, "ssim": 0.5}
    figures = utility(scene, seed=0)
    assert figures["mark_psnr"] > 34
    assert figures["detected"] == 1.0
