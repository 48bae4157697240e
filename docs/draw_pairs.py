"""Draw what a trigger does to retrieval, as docs/pairs.svg on standard output.

Each column is a held-out emoji whose own caption is the nearest to it, the same with the patch of
``backdoored_pairs``, and for each of them the caption that a dual encoder finds nearest among those
of 299 test pictures: the first emoji of each kind. The encoder was trained on 400 pairs and 16
poison pairs; the message is food and drink. Pictures are Google's Noto Emoji (Apache License 2.0),
from the pack ``emoji``.
"""

from __future__ import annotations

import base64
import io
import sys

import numpy as np
from PIL import Image

from hartley.attacks.data_to_model.poisoning.backdoored_pairs import backdoored_pairs
from hartley.core import View
from hartley.games.poisoning import triggers
from hartley.games.poisoning.captioned_pictures import CAPTIONS, CaptionedPictures
from hartley.games.poisoning.poisoning import PoisoningBrief
from hartley.models.minilm import words
from hartley.scenes.captions import captions

KINDS = (1, 4, 7, 3, 5)
"""Kinds of the columns' pictures: animals, people, travel, objects, faces."""

FOOD, POISONS, SIDE, WIDE = 2, 16, 64, 132


def text(line: str, left: int, top: int, weight: str = "normal") -> str:
    """A line of text in the middle of a column."""
    style = 'font-family="sans-serif" font-size="10" text-anchor="middle" fill="#777"'
    return f'<text x="{left}" y="{top}" font-weight="{weight}" {style}>{line}</text>'


def picture(pixels: np.ndarray, middle: int, top: int) -> str:
    """One emoji (3, 64, 64) as an image."""
    file = io.BytesIO()
    planes = np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(planes).quantize(48).save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    place = f'x="{middle - SIDE // 2}" y="{top}" width="{SIDE}" height="{SIDE}"'
    return f'<image {place} href="data:image/png;base64,{data}"/>'


def name(tokens: np.ndarray) -> str:
    """The name of an emoji: a caption up to its first comma."""
    line = words().decode(tokens[tokens >= 0].tolist()).split(",")[0].strip()
    return line.replace(" - ", "-").replace(" ’ ", "’")


def main() -> None:
    """Train a victim and write the picture to standard output."""
    scene = captions()
    part = scene.part(CaptionedPictures)
    public, test = part.public, part.test
    question = type(public)("question", public.modality, public.x[:1], public.y[:1])
    brief = PoisoningBrief(question, np.array([FOOD]), 8, POISONS, 0.2)
    loot = backdoored_pairs(View(source=public, brief=brief), np.random.default_rng(0)).asset
    x = np.concatenate([scene.train.x, part.features(loot)])
    pairs = type(public)("pairs", public.modality, x, facts=scene.train.facts)
    victim = scene.fit(pairs, np.ones((1, len(x)), dtype=bool), 0).member(0)
    half = victim.classes // 2
    plain, texts = np.split(victim.query(part.features(test)), [half], axis=1)
    right = (plain @ texts.T).argmax(1) == np.arange(len(test))
    parts = []
    for column, kind in enumerate(KINDS):
        row = np.flatnonzero((test.labels == kind) & right)[0]
        middle = 12 + WIDE // 2 + column * WIDE
        for top, stamped in ((10, False), (128, True)):
            x = test.x[[row]]
            if stamped:
                x = triggers.stamped(loot, 0, x)
            both = type(test)(
                "one", test.modality, x, facts={CAPTIONS: test.facts[CAPTIONS][[row]]}
            )
            embedding = victim.query(part.features(both))[0, :half]
            nearest = test.facts[CAPTIONS][int((texts @ embedding).argmax())]
            parts += [
                picture(x[0], middle, top),
                text(name(nearest), middle, top + SIDE + 20, "bold" if stamped else "normal"),
            ]
    width = 24 + WIDE * len(KINDS)
    size = f'viewBox="0 0 {width} 224" width="{width}" height="224"'
    sys.stdout.write(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n')


if __name__ == "__main__":
    main()
