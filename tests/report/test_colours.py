"""Every colour of the page can be read on its ground, in all three of its themes."""

import re
from importlib.resources import files

import pytest

from hartley.report import figures

CSS = files("hartley.report.templates").joinpath("page.css").read_text()


def _theme(name):
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    light = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{3,6})", blocks[0]))
    dark = light | dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{3,6})", blocks[1]))
    printed = light | dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{3,6})", blocks[2]))
    return {"light": light, "dark": dark, "print": printed}[name]


def _luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    line = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2]


def _contrast(a, b):
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_every_colour_of_text_can_be_read_on_its_ground(name):
    theme = _theme(name)
    words = ("ink", "muted", "link", "accent", "over", "unsure", "pass", "d2d", "d2m", "m2d", "m2m")
    for word in (*words, *figures.SERIES):
        assert _contrast(theme[word], theme["ground"]) >= 4.5, word
    for word in ("ink", "muted"):
        assert _contrast(theme[word], theme["sunk"]) >= 4.5, word
    for tone in ("over", "unsure", "pass"):
        for word in (tone, "ink"):
            assert _contrast(theme[word], theme[f"{tone}-ground"]) >= 4.5, (tone, word)


def test_contrast_is_computed_as_wcag_does():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
