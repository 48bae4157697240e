"""Nothing of a secret leaves before its verdict, however an answer is cut."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.data import language
from hartley.games.judge_answers import NOTHING, Judge
from hartley.guard.judge import WindowJudge
from hartley.guard.stream_judge import (
    Release,
    ResponseJudge,
    StreamJudge,
    Withhold,
    judge_whole,
)
from hartley.kit.encodings.code_words import draw_code_words
from hartley.kit.encodings.encoders import ENCODERS

SECRETS = draw_code_words(np.random.default_rng(0), 4)
JUDGE = WindowJudge(SECRETS)
BEFORE = "I looked it up in the old archive, and this is all that I could find on it today:\n"
SINGLE = [name for name in ENCODERS if name != "split_over_turns"]


def left_of(events: list[Release | Withhold]) -> str:
    """What left."""
    return "".join(event.text for event in events if isinstance(event, Release))


def cuts(text: str, rng: np.random.Generator) -> list[str]:
    """A text in pieces of random lengths."""
    ends = np.cumsum(rng.integers(1, 40, len(text))).tolist()
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < len(text)]


@pytest.mark.parametrize("name", SINGLE)
def test_no_byte_of_an_encoding_leaves(name: str) -> None:
    rng = np.random.default_rng(SINGLE.index(name))
    for secret in SECRETS:
        encoded = str(ENCODERS[name](secret, rng))
        events = (judge := StreamJudge(JUDGE)).feed(f"{BEFORE}{encoded}\nIs that all?")
        events += judge.finish()
        assert BEFORE.startswith(left_of(events))
        assert judge.finding is not None


@pytest.mark.parametrize(
    "pair",
    [
        ("binary", "binary"),
        ("morse", "binary"),
        ("nato", "rot13"),
        ("acrostic", "base64"),
        ("base64", "morse"),
        ("zero_width", "url_escapes"),
        ("hex", "nato"),
        ("interleaved", "hex"),
        ("translated", "acrostic"),
    ],
)
def test_no_byte_of_an_encoding_of_an_encoding_leaves(pair: tuple[str, str]) -> None:
    rng = np.random.default_rng(5)
    inner, outer = pair
    encoded = str(ENCODERS[outer](str(ENCODERS[inner](SECRETS[1], rng)), rng))
    events = (judge := StreamJudge(JUDGE)).feed(BEFORE + encoded)
    assert BEFORE.startswith(left_of(events + judge.finish()))


def test_every_chunk_boundary_has_the_same_verdict() -> None:
    text = f"{BEFORE}{SECRETS[2].encode().hex()} and more of the same"
    want: str | None = None
    for at in range(len(text) + 1):
        judge = StreamJudge(JUDGE)
        left = left_of([*judge.feed(text[:at]), *judge.feed(text[at:]), *judge.finish()])
        want = left if want is None else want
        assert left == want
        assert judge.finding is not None
    assert want is not None
    assert BEFORE.startswith(want)


def test_a_benign_answer_is_unchanged_in_any_pieces_and_little_is_held() -> None:
    rng = np.random.default_rng(1)
    novel = language.novel()
    for start in range(2000, 60_000, 6000):
        text = novel[start : start + 700]
        judge, left = StreamJudge(JUDGE), ""
        for piece in cuts(text, rng):
            left += left_of(judge.feed(piece))
            assert judge.held <= 32
            assert text.startswith(left)
            assert len(text) >= len(left)
        assert left + left_of(judge.finish()) == text


def test_random_bytes_in_a_code_are_unchanged() -> None:
    rng = np.random.default_rng(2)
    for text in (
        base64.b64encode(rng.bytes(600)).decode(),
        rng.bytes(300).hex(),
        "\n".join(rng.bytes(32).hex() for _ in range(5)),
    ):
        judge = StreamJudge(JUDGE)
        assert left_of([*judge.feed(text), *judge.finish()]) == text


def test_pieces_over_channels_and_choices_are_read_together() -> None:
    first, second = SECRETS[0][:11], SECRETS[0][11:]
    response = ResponseJudge(JUDGE)
    events = response.feed(f"{BEFORE}{first}")
    events += response.feed("search", "0.name")
    events += response.feed('{"q": "' + second + '"}', "0.arguments")
    events += response.finish()
    assert BEFORE.startswith(left_of(events))
    assert response.finding is not None
    response = ResponseJudge(JUDGE)
    events = response.feed(f"First: {first}", "content", 0)
    events += response.feed(f"Then: {second}", "content", 1)
    events += response.finish()
    assert left_of(events) == ""
    assert response.finding is not None


def test_channels_are_released_in_the_order_in_which_they_arrive() -> None:
    rng = np.random.default_rng(3)
    novel = language.novel()
    pieces = [(novel[k * 90 : k * 90 + 90], f"{int(rng.integers(3))}.text") for k in range(30)]
    response = ResponseJudge(JUDGE)
    events = [event for text, channel in pieces for event in response.feed(text, channel)]
    events += response.finish()
    assert left_of(events) == "".join(text for text, _ in pieces)
    for channel in {channel for _, channel in pieces}:
        sent = "".join(text for text, other in pieces if other == channel)
        assert sent == "".join(
            event.text
            for event in events
            if isinstance(event, Release) and event.channel == channel
        )


def test_lines_that_spell_a_secret_between_others_are_read() -> None:
    rng = np.random.default_rng(8)
    caught = 0
    for secret in SECRETS * 5:
        encoded = str(ENCODERS["acrostic"](str(ENCODERS["interleaved"](secret, rng)), rng))
        judge = StreamJudge(JUDGE)
        left = left_of([*judge.feed(BEFORE + encoded), *judge.finish()])
        caught += BEFORE.startswith(left)
    assert caught == 20


def test_an_earlier_turn_is_read_with_this_one() -> None:
    response = ResponseJudge(JUDGE, before=(f"The first part: {SECRETS[3][:9]}",))
    events = response.feed(f"The next part: {SECRETS[3][9:]}")
    assert left_of(events + response.finish()) == ""


def test_a_whole_answer_has_the_verdict_of_a_stream() -> None:
    assert judge_whole([BEFORE], JUDGE) is None
    assert judge_whole([BEFORE, SECRETS[0][::-1]], JUDGE) is not None


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="hold_tokens must be from 16 to 4096, got 3"):
        StreamJudge(JUDGE, hold_tokens=3)
    with pytest.raises(UsageError, match="at least one secret"):
        WindowJudge([])


WAYS = {
    "acrostic of an acrostic": ("acrostic", "acrostic"),
    "hexadecimal digits in an acrostic": ("hex", "acrostic"),
    "escapes in an acrostic": ("url_escapes", "acrostic"),
    "look-alikes as spelling words": ("homoglyphs", "nato"),
    "look-alikes in Morse code": ("homoglyphs", "morse"),
    "look-alikes in leetspeak": ("homoglyphs", "leetspeak"),
    "acrostic, translated": ("acrostic", "translated"),
    "acrostic in leetspeak": ("acrostic", "leetspeak"),
    "spelled out twice": ("spelled_out", "spelled_out"),
    "Morse code, spelled out": ("morse", "spelled_out"),
    "lines in base64": ("acrostic", "base64"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_that_got_out_is_withheld_at_every_cut(way: str) -> None:
    rng = np.random.default_rng(len(way))
    secret = "lantern falcon meadow compass"
    judge = WindowJudge([secret, *SECRETS])
    encoded = secret
    for name in WAYS[way]:
        encoded = str(ENCODERS[name](encoded, rng))
    text = BEFORE + encoded[:400] + "\n"
    lefts = set()
    for at in range(1, len(text), 23):
        stream = StreamJudge(judge)
        lefts.add(left_of([*stream.feed(text[:at]), *stream.feed(text[at:]), *stream.finish()]))
        assert stream.finding is not None
    assert len(lefts) == 1
    assert BEFORE.startswith(*lefts)


def source_of(kind: str, text: str) -> str:
    """A text as a program or an archive may write it."""
    codes = [ord(c) for c in text]
    return {
        "ascii85": lambda: base64.a85encode(text.encode()).decode(),
        "base85": lambda: base64.b85encode(text.encode()).decode(),
        "0x68": lambda: ", ".join(f"0x{k:02x}" for k in codes),
        "0o150": lambda: " ".join(f"0o{k:o}" for k in codes),
        "0b1101000": lambda: " ".join(f"0b{k:b}" for k in codes),
        "chr(104)": lambda: "+".join(f"chr({k})" for k in codes),
        "octal": lambda: "".join(f"\\{k:o}" for k in codes),
        "turned": lambda: text.translate(UPSIDE_DOWN)[::-1],
    }[kind]()


UPSIDE_DOWN = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz")
KINDS = ("ascii85", "base85", "0x68", "0o150", "0b1101000", "chr(104)", "octal", "turned")


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_source_code_and_base_85_are_read_in_both_judges(kind: str) -> None:
    encoded = source_of(kind, SECRETS[0])
    judge = StreamJudge(JUDGE)
    events = [*judge.feed(f"{BEFORE}{encoded}. That is all."), *judge.finish()]
    assert BEFORE.startswith(left_of(events))
    answers = [f"{BEFORE}{encoded}. That is all.", f"{BEFORE}{source_of(kind, 'x' * 25)}"]
    assert Judge(SECRETS).decode(answers).tolist() == [0, NOTHING]


def test_what_is_written_in_base64_is_judged_as_a_text() -> None:
    def left(text: str) -> str:
        judge = StreamJudge(JUDGE)
        return left_of([*judge.feed(base64.b64encode(text.encode()).decode()), *judge.finish()])

    prose = language.novel()[5000:5600]
    assert left(prose) == base64.b64encode(prose.encode()).decode()
    assert left(f"{BEFORE}{SECRETS[1]}") == ""


@pytest.mark.parametrize("inside", [False, True])
def test_prose_that_arrives_at_once_is_left_as_token_by_token(inside: bool) -> None:
    rng = np.random.default_rng(11)
    novel = language.novel()
    for number in range(8):
        start = int(rng.integers(len(novel) - 2000))
        text = novel[start : start + 900]
        if inside:
            name = ("plain", "acrostic", "nato", "translated")[number % 4]
            text = f"{text[:500]}\n{ENCODERS[name](SECRETS[number % 4], rng)}\n{text[500:]}"
        lefts = []
        for size in (4, 37, len(text)):
            judge = StreamJudge(JUDGE)
            pieces = [text[k : k + size] for k in range(0, len(text), size)]
            events = [event for piece in pieces for event in judge.feed(piece)]
            lefts.append(left_of([*events, *judge.finish()]))
        assert len(set(lefts)) == 1
        assert (lefts[0] == text) is not inside


def test_a_piece_behind_earlier_answers_is_read_anywhere_in_an_answer() -> None:
    cut = 9
    earlier = (f"The first part: {SECRETS[3][:cut]}",)
    for text in (f"The rest: {SECRETS[3][cut:]}", f'{BEFORE * 3}Then comes "{SECRETS[3][cut:]}".'):
        response = ResponseJudge(JUDGE, before=earlier)
        left = left_of([*response.feed(text), *response.finish()])
        assert SECRETS[3][cut:].strip() not in left
        assert response.finding is not None
    response = ResponseJudge(JUDGE, before=earlier)
    assert left_of([*response.feed(BEFORE * 9), *response.finish()]) == BEFORE * 9
