"""What a relay without the key sees of answers that are streamed over a real TLS connection."""

import json

import numpy as np
import pytest

from hartley.kit import streamed_tls
from hartley.kit.streamed_tls import (
    END,
    HEAD,
    STEP,
    RecordHeaders,
    StreamedService,
    drafted,
    observed,
    stacked,
)

ANSWERS = drafted([["hello", " world", "!"], ["an", " answer", " of", " more", " words"]])
SEALED = 17
"""What TLS 1.3 adds to the content of a record: one byte for its type, and a tag of 16."""


def chunk(event):
    return len(f"{len(event):x}\r\n") + len(event) + 2


@pytest.mark.parametrize(
    "service", [StreamedService(), StreamedService(64, 2), StreamedService(1, 99)]
)
def test_the_relay_sees_the_length_of_every_chunk_and_nothing_else(service):
    (trace,) = observed(service, [ANSWERS])
    expected = [
        SEALED + size
        for answer in ANSWERS
        for size in (len(HEAD), *(chunk(event) for event, _ in service.events(answer)), len(END))
    ]
    assert trace[:, 0].tolist() == expected


def test_a_conversation_is_seen_alike_every_time():
    talks = [ANSWERS, ANSWERS[:1], ANSWERS[1:] * 3]
    first, again = (observed(StreamedService(), talks) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
    assert stacked(first).shape == (3, 21, 2)
    assert (stacked(first)[1, 5:] == -1).all()


def test_what_the_relay_forwards_holds_no_word_of_the_answer(monkeypatch):
    seen = []
    feed = RecordHeaders.feed
    monkeypatch.setattr(
        RecordHeaders, "feed", lambda self, data: (seen.append(data), feed(self, data))
    )
    observed(StreamedService(), [ANSWERS])
    stream = b"".join(seen)
    assert len(stream) > 500
    assert b"hello" not in stream and b"token" not in stream and b"HTTP" not in stream


def test_headers_are_read_however_the_stream_is_cut():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 300, 40)
    kinds = rng.choice([20, 22, 23], 40)
    stream = b"".join(
        bytes([kind, 3, 3]) + int(size).to_bytes(2, "big") + rng.bytes(int(size))
        for kind, size in zip(kinds, sizes, strict=True)
    )
    for _ in range(20):
        headers = RecordHeaders()
        cuts = np.sort(rng.integers(0, len(stream), 30))
        for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            headers.feed(stream[a:b])
        assert headers.lengths == sizes[kinds == 23].tolist()


def test_padding_fills_up_batching_joins_and_a_grid_waits():
    plain = StreamedService().events(ANSWERS[1])
    padded = StreamedService(pad=64).events(ANSWERS[1])
    assert len({len(event) for event, _ in plain}) > 1
    assert {len(event) for event, _ in padded} == {64}
    joined = StreamedService(batch=2).events(ANSWERS[1])
    texts = [json.loads(event.removeprefix(b"data: "))["token"] for event, _ in joined]
    assert texts == ["an answer", " of more", " words"]
    assert [t for _, t in joined] == [ANSWERS[1][k][1] for k in (1, 3, 4)]
    assert {t for _, t in StreamedService(grid=0.5).events(ANSWERS[1])} <= {0.0, 0.5}


def test_a_token_that_the_draft_guesses_takes_no_step():
    first, second = drafted([["a", "b", "c"], ["a", "b", "d"]])
    # "b" follows "a" always, and "d" is the draft after "b": the later of equals by name.
    assert [t for _, t in first] == pytest.approx([STEP, STEP, 2 * STEP])
    assert [t for _, t in second] == pytest.approx([STEP, STEP, STEP])


def test_a_service_that_breaks_off_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(streamed_tls, "END", b"0\r\n\r\nlost")
    monkeypatch.setattr(StreamedService, "events", lambda self, answer: [][: len(answer)])
    short = observed(StreamedService(), [ANSWERS])[0]
    assert len(short) == 4  # nothing but heads and ends

    monkeypatch.setattr(streamed_tls, "_schedule", lambda service, talk: np.zeros(9))
    with pytest.raises(streamed_tls.UsageError, match="must see 9 records of an answer, got 4"):
        observed(StreamedService(), [ANSWERS])
