"""Tables of signs that several encodings share: Morse, spelling words, look-alikes, leetspeak."""

from __future__ import annotations

import string

LETTERS = string.ascii_lowercase

_NATO_WORDS = """
alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november
oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu
"""
_MORSE_CODES = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..-
-.-- --..
"""
_DIGIT_WORDS = "zero one two three four five six seven eight nine"

NATO = dict(zip(LETTERS, _NATO_WORDS.split(), strict=True))
"""The spelling word of each letter."""

SPELLING_WORDS = {
    **{word: letter for letter, word in NATO.items()},
    **{"alpha": "a", "juliet": "j", "x-ray": "x", "whisky": "w", "niner": "9"},
    **dict(zip(_DIGIT_WORDS.split(), "0123456789", strict=True)),
}
"""The letter or digit of each spelling word, spellings that differ included."""

MORSE = {
    **dict(zip(LETTERS, _MORSE_CODES.split(), strict=True)),
    **{str(k): "." * k + "-" * (5 - k) for k in range(1, 6)},
    **{str(k % 10): "-" * (k - 5) + "." * (10 - k) for k in range(6, 11)},
}
"""International Morse code of letters and digits."""

LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7", "b": "8", "g": "9", "z": "2"}
"""Digits for letters that look alike."""

LEET_SIGNS = {
    **{sign: letter for letter, sign in LEET.items()},
    **{"@": "a", "^": "a", "$": "s", "+": "t", "!": "i", "|": "i", "€": "e", "£": "l", "6": "g"},
    **{"(": "c", "<": "c", "{": "c", "[": "c", "¢": "c", "¥": "y", "*": "x"},
}
"""The letter that a sign in leetspeak stands for; 1, ! and | are i here, and may be l."""

FOLDS = {"l": "i", "b": "g", "8": "g", "£": "i", "f": "s"}
"""Letters that are written with the same sign as another one (1, 6, |, ſ), and that one."""

_GROUPS = r"""
/-\ a   /\ a   |3 b   /3 b   !3 b   |) d   |- f   |-| h   |< k   |_ l   |\/| m   |\| n
() o   |2 r   |_| u   (_) u   \/ v   \/\/ w   >< x
"""
LEET_GROUPS = dict(zip(_GROUPS.split()[::2], _GROUPS.split()[1::2], strict=True))
"""Groups of signs that draw a letter; 13 for a b is read besides."""

_LOOK_ALIKES = {
    "a": "аɑαⲁ⍺ᴀɐꭺ",
    "b": "ЬƄᏏᑲвʙβƀ",
    "c": "сϲⅽᴄꮯↄƈ",
    "d": "ԁɗⅾᏧᑯᴅđ",
    "e": "еҽєεɘǝᴇℯꬲЄ",
    "f": "ϝꞙẝꜰғƒ",
    "g": "ɡցƍɢᶃԍ",
    "h": "һհᏂʜɥнħ",
    "i": "іıɩιɪΙІӏ¡",
    "j": "јϳᴊɉ",
    "k": "кκᴋⲕĸƙ",
    "l": "ⅼӀǀʟɭΙ׀Ɩł",
    "m": "мⅿᴍɯ",
    "n": "ոռɴпηƞ",
    "o": "оοօσᴏ০٥௦ⲟοøɵ",
    "p": "рρᴘϱþⲣ",
    "q": "ԛգզɋ",
    "r": "гᴦⲅꭇʀɹя",
    "s": "ѕꜱʂƽ",
    "t": "тτᴛʇŧ",
    "u": "սυʋᴜцμ",
    "v": "ѵνᴠⅴʌ",
    "w": "ѡԝաᴡωшʍ",
    "x": "хχⅹ᙮×",
    "y": "уүγʏყʎ",
    "z": "ᴢʐƶ",
}
_CAPITAL_LOOK_ALIKES = {
    **{
        "a": "ΑАᎪ",
        "b": "ΒВᏴ",
        "c": "СϹᏟ",
        "e": "ΕЕᎬ",
        "h": "ΗНᎻ",
        "j": "Ј",
        "k": "ΚКᏦ",
        "m": "ΜМᎷ",
    },
    **{"m": "ΜМᎷ", "n": "Ν", "o": "ΟОՕ", "p": "ΡРᏢ", "s": "ЅᏚ", "t": "ΤТᎢ", "x": "ΧХ", "y": "ΥҮ"},
    "z": "ΖᏃ",
    **{"d": "ᎠĐ", "g": "ᏀԌ", "l": "Ꮮ", "r": "Ꭱ", "v": "Ꮩ", "w": "ᎳԜ", "i": "Ӏ", "u": "Ս"},
    "q": "Ԛ",
}
LOOK_ALIKES = {
    sign: letter
    for table in (_LOOK_ALIKES, _CAPITAL_LOOK_ALIKES)
    for letter, signs in table.items()
    for sign in signs
}
"""Letters of other scripts that look like a Latin one, and the Latin one."""

TURNED = dict(zip("ɐqɔpǝɟƃɥᴉɾʞןɯuodbɹsʇnʌʍxʎz", LETTERS, strict=True)) | {"ı": "i", "ɓ": "g"}
"""Letters that look like another one upside down, and that one."""

TURNED_ALONE = frozenset(sign for sign in TURNED if not sign.isascii())
"""Those that are not Latin letters of every day."""

SQUARED = {
    chr(start + k): letter
    for start in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6)  # squared, circled and regional letters
    for k, letter in enumerate(LETTERS)
}
"""Letters in boxes, which Unicode does not fold."""

BRAILLE = dict(zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵", LETTERS, strict=True))
"""Braille cells of the letters."""

INVISIBLE = "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad\u180e\u200e\u200f\u034f"
"""Characters without width."""

SAME_SIGN = str.maketrans(
    {
        **dict.fromkeys("·•∙●⋅․‧◦∘。・", "."),
        **dict.fromkeys("−–—―‒‐‑▬_━─¯", "-"),
        **dict.fromkeys("｜¦∣│", "|"),
    }
)
"""Dots, dashes and bars of all sorts as the plain one."""
