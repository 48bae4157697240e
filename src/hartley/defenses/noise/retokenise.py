"""Retokenise: let the model read the same text in other tokens, some of them broken apart."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Codec, Modality, Model, Range, Scene, Term, defense
from hartley.core.errors import UsageError
from hartley.defenses._shared.wrap_chat import ChatDefense, Tokens, wrap_chat
from hartley.games.withheld_secrets import Withheld

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="output",
    protects=("jailbreak",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2309.00614",
    strongest={"share": 1.0},
    requires=("model", "withheld"),
    expected_failures={
        "narrows_jailbreak": "the victim of the live scene reads bytes, which cannot be broken"
    },
)
def retokenise(
    scene: Scene,
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Scene:
    """Break a share of the tokens apart before the model reads them, as BPE-dropout does.

    BPE-dropout (arXiv:1910.13267) leaves out merges of the tokenizer at random. Here a token is
    broken at a random place, and the halves are what the tokenizer makes of them; a half may break
    again. So no merges have to be known, and each text stays what it was. Marks of the template
    stay whole, and what is drawn depends on the text and a key of the owner.

    Args:
        share: of the tokens that are broken, and of the halves.

    Raises:
        UsageError: the victim has no codec, or does not generate from tokens.
    """
    key = int(rng.integers(2**31))
    template = scene.part(Withheld).template
    marks = (
        template.start,
        *(template.system_open, template.system_close),
        *(template.user_open, template.user_close),
        *(template.answer_open, template.answer_close),
    )

    def make(model: Model) -> ChatDefense:
        codec = model.codec
        if codec is None or "generate" not in model.calls:
            raise UsageError(f"{model.name!r} must generate and have a codec for retokenise")
        fixed = _tokens_of(codec, [mark for mark in marks if mark])
        spelled: dict[int, str] = {}

        def changed(row: Tokens) -> Tokens:
            draws = np.random.default_rng([key, zlib.crc32(repr(row).encode())])
            return broken(row, codec, share, draws, fixed, spelled=spelled)

        return ChatDefense(tokens=changed)

    return wrap_chat(scene, make)


def broken(
    row: Tokens,
    codec: Codec,
    share: float,
    rng: Rng,
    fixed: frozenset[int] = frozenset(),
    *,
    spelled: dict[int, str] | None = None,
) -> Tokens:
    """Return a row of tokens of the same text with some of its tokens broken.

    Args:
        row: tokens.
        codec: of the model.
        share: chance that a token breaks; 0 changes nothing.
        rng: draws which, and where.
        fixed: tokens that stay whole.
        spelled: texts of tokens as far as they are known; grows.
    """
    out: Tokens = []
    spelled = {} if spelled is None else spelled
    if unknown := [*{*row} - {*spelled}]:
        texts = codec.decode(np.array(unknown, np.int64)[:, None])
        spelled.update(zip(unknown, texts, strict=True))
    for token in row:
        text = spelled[token]
        if token in fixed or len(text) < 2 or rng.random() >= share:
            out.append(token)
            continue
        at = int(rng.integers(1, len(text)))
        rows = np.asarray(codec.encode([text[:at], text[at:]])).tolist()
        halves = [[i for i in half if i >= 0] for half in rows]
        whole = [*halves[0], *halves[1]]
        # A tokenizer that writes a half otherwise (a space before it, say) leaves the token whole.
        if codec.decode(np.array([whole], np.int64)) != [text] or len(whole) < 2:
            out.append(token)
            continue
        for half in halves:
            out += (
                broken(half, codec, share, rng, fixed, spelled=spelled)
                if len(half) < len(whole)
                else half
            )
    return out


def _tokens_of(codec: Codec, texts: list[str]) -> frozenset[int]:
    """Return the tokens of texts that are one token each."""
    rows = [[i for i in row if i >= 0] for row in np.asarray(codec.encode(texts)).tolist()]
    return frozenset(row[0] for row in rows if len(row) == 1)
