"""Code words written by PyRIT's converters; runs in PyRIT's own environment.

    PYTHON bench/peers/pyrit_converters.py SECRETS.json ANSWERS.json [each]

Every converter that needs no model, no key and no picture, and loses no letter, writes ``each``
(20) of the secrets. Prints nothing; writes {converter: [[number of the secret, text], …]}.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyrit import converter as c

MAKERS: dict[str, Callable[[], Any]] = {
    "ascii smuggler": c.AsciiSmugglerConverter,
    "atbash": c.AtbashConverter,
    "base64": c.Base64Converter,
    "hex": lambda: c.BinAsciiConverter(encoding_func="hex"),
    "quoted printable": lambda: c.BinAsciiConverter(encoding_func="quoted-printable"),
    "uuencode": lambda: c.BinAsciiConverter(encoding_func="UUencode"),
    "bidi": c.BidiConverter,
    "binary": c.BinaryConverter,
    "braille": c.BrailleConverter,
    "caesar": lambda: c.CaesarConverter(caesar_offset=random.randrange(1, 26)),
    "character space": c.CharacterSpaceConverter,
    "diacritic": c.DiacriticConverter,
    "emoji": c.EmojiConverter,
    "flip": c.FlipConverter,
    "insert punctuation": c.InsertPunctuationConverter,
    "json string": c.JsonStringConverter,
    "leetspeak": c.LeetspeakConverter,
    "leetspeak, any": lambda: c.LeetspeakConverter(deterministic=False),
    "morse": c.MorseConverter,
    "nato": c.NatoConverter,
    "random capitals": c.RandomCapitalLettersConverter,
    "rot13": c.ROT13Converter,
    "sneaky bits": c.SneakyBitsSmugglerConverter,
    "string join": c.StringJoinConverter,
    "superscript": c.SuperscriptConverter,
    "unicode confusable": c.UnicodeConfusableConverter,
    "unicode replacement": c.UnicodeReplacementConverter,
    "unicode tags": c.UnicodeSubstitutionConverter,
    "url": c.UrlConverter,
    "variation selectors": c.VariationSelectorSmugglerConverter,
    "zalgo": c.ZalgoConverter,
    "zero width": c.ZeroWidthConverter,
    "base2048": c.Base2048Converter,
    "ecoji": c.EcojiConverter,
    "vigenere": lambda: c.VigenereConverter(key="lemon"),
}


async def main() -> None:
    """Write the texts of every converter that can be made."""
    random.seed(0)
    secrets = json.loads(Path(sys.argv[1]).read_text())
    each = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    texts: dict[str, list[tuple[int, str]]] = {}
    for name, make in MAKERS.items():
        rows = []
        for _ in range(each):
            number = random.randrange(len(secrets))
            done = await make().convert_async(prompt=secrets[number], input_type="text")
            rows.append((number, done.output_text))
        texts[name] = rows
    Path(sys.argv[2]).write_text(json.dumps(texts))


asyncio.run(main())
