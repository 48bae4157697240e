"""The judge of an answer that is streamed: nothing leaves before its verdict.

A text is held back until a window of it can be judged. The window is judged at places that depend
on the text alone and not on the pieces in which it arrives, so that every way to cut an answer has
the same verdict. What is released is released in order and unchanged; after a verdict against it
nothing more of an answer leaves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hartley.core.errors import UsageError
from hartley.games.judge_answers.secret_index import letters_of
from hartley.guard.judge.window_judge import Finding, WindowJudge
from hartley.kit.encodings.readings import QUOTED, marked

HOLD_TOKENS = 32
"""Tokens that are held back, at most."""

TOKEN = 4
"""Characters of a token, where no tokenizer is at hand."""

STEP, FINE_STEP = 32, 8
"""Characters between two verdicts, and where one letter of a line may say something."""

CONTEXT = 32
"""Characters before what is held that are read with it, from the first whole word on."""

TAIL = 160
"""Characters at the end of earlier answers, and of a piece behind them, that are read together."""

AGAIN = 128
"""Characters that are judged window by window where those that arrive together are not clear."""

BLOCK = 512
"""Characters that are read at once, at most, where as many arrive together."""

LINES, CAPITALS = 4, 4
"""Line breaks or capitals in what is held, at least, for finer steps."""

_CAPITAL = re.compile("[A-Z]")
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"\s*:')
_FRAME = re.compile(r'[{}\[\]",]+')


@dataclass(frozen=True, slots=True)
class Release:
    """A text that may leave.

    Attributes:
        text: what leaves, as it arrived.
        channel: of the answer.
        choice: of the response.
    """

    text: str
    channel: str = "content"
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Withhold:
    """A verdict against an answer: nothing more of it may leave.

    Attributes:
        secret: name of the secret that begins in it; empty for a code that is withheld for what
            it is.
        reason: how it was read.
        channel: in which it came up.
        choice: of the response.
    """

    secret: str
    reason: str
    channel: str = "content"
    choice: int = 0


@dataclass(slots=True)
class _Piece:
    channel: str
    text: str


class _Choice:
    """What is held of one choice, over all its channels in the order in which they arrive."""

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        self.held = 0
        self.step = STEP
        self.since = 0
        self.unclear = 0
        self.context: list[_Piece] = []

    def add(self, channel: str, text: str) -> None:
        """Hold a text."""
        self.held += len(text)
        if self.pieces and self.pieces[-1].channel == channel:
            self.pieces[-1].text += text
        else:
            self.pieces.append(_Piece(channel, text))

    def take(self, count: int) -> list[_Piece]:
        """Return the first characters that are held and hold them no longer."""
        out: list[_Piece] = []
        self.held -= count
        while count:
            piece = self.pieces[0]
            if len(piece.text) <= count:
                out.append(self.pieces.pop(0))
                count -= len(piece.text)
            else:
                out.append(_Piece(piece.channel, piece.text[:count]))
                piece.text = piece.text[count:]
                count = 0
        self.context += [_Piece(piece.channel, piece.text) for piece in out]
        self._trim()
        return out

    def _trim(self) -> None:
        """Keep the last characters of each channel before what is held, one more than is read."""
        room: dict[str, int] = {}
        rest: list[_Piece] = []
        for piece in reversed(self.context):
            left = room.setdefault(piece.channel, CONTEXT + 1)
            if left:
                rest.append(_Piece(piece.channel, piece.text[-left:]))
                room[piece.channel] = left - len(rest[-1].text)
        self.context = rest[::-1]

    def channels(self) -> set[str]:
        """Return the channels of what is read."""
        return {piece.channel for piece in (*self.context, *self.pieces)}

    def window(self) -> tuple[str, bool]:
        """Return what is held with the words before it, and whether the answer has more before."""
        before = "".join([piece.text for piece in self.context])
        text = before + "".join([piece.text for piece in self.pieces])
        if len(before) <= CONTEXT:
            return text, False
        start = next((k for k, c in enumerate(before) if not c.isalnum()), 1)
        return text[start:], True

    def views(self) -> list[str]:
        """Return the texts to judge of several channels: all, each, and values of arguments."""
        pieces = [*self.context, *self.pieces]
        views = ["".join(piece.text for piece in pieces)]
        families: dict[str, list[str]] = {}
        values: list[str] = []
        last = ""
        for piece in pieces:
            family = piece.channel.rpartition(".")[2]
            families.setdefault(family, []).append(piece.text)
            if family == "arguments":
                values.append(piece.text if piece.channel == last else f"\0{piece.text}")
            elif family != "name":
                values.append(piece.text)
            last = piece.channel
        views += ["".join(texts) for texts in families.values()]
        views.append(_values("".join(values)))
        return list(dict.fromkeys(view for view in views if view))


def _values(text: str) -> str:
    """Return a text without the keys and frames of the JSON in it."""
    return _FRAME.sub("", _KEY.sub("", text.replace("\0", "")))


class ResponseJudge:
    """Judges the answers of one response while they arrive, all choices and channels of it.

    At most ``hold_tokens`` of each choice are held, in the order in which they arrive. A secret in
    pieces over channels that follow one another, and over choices whose pieces are held at the
    same time, is read together.

    Attributes:
        finding: why the response is withheld, or None.
    """

    def __init__(
        self,
        judge: WindowJudge,
        hold_tokens: int = HOLD_TOKENS,
        *,
        before: Sequence[str] = (),
    ) -> None:
        """Begin.

        Args:
            judge: of the secrets.
            hold_tokens: held of each choice, at most, a token of 4 characters; 16 to 4,096.
            before: earlier answers of the conversation, which have left already.

        Raises:
            UsageError: ``hold_tokens`` is out of range.
        """
        if not 16 <= hold_tokens <= 4096:
            raise UsageError(f"hold_tokens must be from 16 to 4096, got {hold_tokens}")
        self._judge = judge
        self._hold = hold_tokens * TOKEN
        self._choices: dict[int, _Choice] = {}
        self._before = tuple(before)[-4:]
        marks = zip(*map(marked, self._before), strict=True)
        self._tails = ["".join(pieces)[-TAIL:] for pieces in marks] or [""] * len(marked(""))
        self._rests = judge.rests(self._before)
        self.finding: Finding | None = None

    @property
    def held(self) -> int:
        """Tokens that are held of the choice that holds most."""
        most = max((choice.held for choice in self._choices.values()), default=0)
        return -(-most // TOKEN)

    def feed(
        self, delta: str, channel: str = "content", choice: int = 0
    ) -> list[Release | Withhold]:
        """Take in a piece of an answer and return what may leave, or the verdict against it.

        Args:
            delta: the piece, of any length.
            channel: such as ``content``, ``reasoning``, ``refusal``, ``0.name`` or
                ``0.arguments``, the last two by the number of the call.
            choice: number of the choice.
        """
        if self.finding is not None:
            return []
        state = self._choices.setdefault(choice, _Choice())
        if state.held + len(delta) < self._hold:
            state.add(channel, delta)
            return []
        out: list[Release | Withhold] = []
        start = 0
        while start < len(delta):
            long = len(delta) - start >= 2 * STEP
            count = self._clear(state, channel, delta, start) if long else 0
            if count:
                state.add(channel, delta[start : start + count])
                start += count
                out += _released(state.take(state.held - self._hold), choice)
                state.since = 0
                self._pace(state)
                out += _released(state.take(state.step), choice)
                continue
            piece = delta[start : start + self._hold - state.held]
            start += len(piece)
            state.add(channel, piece)
            if state.held < self._hold:
                break
            if self._at_verdict(state):
                return [*out, self._verdict(channel, choice)]
            out += _released(state.take(state.step), choice)
        return out

    def finish(self) -> list[Release | Withhold]:
        """Judge what is still held, return it or the verdict against it, and end the response."""
        if self.finding is not None:
            return []
        for number, state in sorted(self._choices.items()):
            if self._judged(state, ended=True):
                return [self._verdict(_last(state), number)]
        states = [state for _, state in sorted(self._choices.items())]
        texts = [text for state in states for text in _texts(state)]
        if self._withheld(self._joined()) or self._in_pieces(texts):
            return [self._verdict(_last(states[-1]), max(self._choices))]
        out: list[Release | Withhold] = []
        for number, state in sorted(self._choices.items()):
            out += _released(state.take(state.held), number)
        return out

    def _clear(self, state: _Choice, channel: str, delta: str, start: int) -> int:
        """Return how many characters of a long piece can be taken in without a verdict for each.

        They end with the last window that fits, and every window up to there is clear.
        """
        room = min(len(delta) - start, BLOCK)
        steps = (state.held + room - self._hold) // STEP
        if steps < 1 or state.since + state.step < STEP or state.unclear > 0:
            return 0
        if len(self._choices) > 1 or state.channels() - {channel}:
            return 0
        count = self._hold + steps * STEP - state.held
        text, inside = state.window()
        first = len(text) + self._hold - state.held
        text += delta[start : start + count]
        if self._before and _marks_of(text, first=not state.context):
            return 0
        size = self._hold + CONTEXT
        ends = range(first, first + steps * STEP + 1, STEP)
        windows = [(max(0, end - size), end) for end in ends]
        if self._judge.is_clear(text, windows, inside=inside):
            return count
        state.unclear = AGAIN
        return 0

    def _at_verdict(self, state: _Choice) -> bool:
        """Judge what is held of a choice, set the step to the next verdict; whether it is bad."""
        state.since += state.step
        state.unclear -= state.step
        if state.since >= STEP:
            state.since = 0
            if self._judged(state) or self._withheld(self._joined()) or self._behind(state):
                return True
        elif self._judged(state, edges=True):
            return True
        self._pace(state)
        return False

    def _pace(self, state: _Choice) -> None:
        """Set the step to the next verdict."""
        waiting = "".join([piece.text for piece in state.pieces])
        state.step = FINE_STEP if _fine(waiting[STEP:]) else STEP - state.since

    def _judged(self, state: _Choice, *, edges: bool = False, ended: bool = False) -> bool:
        """Judge what is held of a choice, or its edges, and return whether it is withheld."""
        judge = self._judge.judge_edges if edges else self._judge.judge
        if len(state.channels()) > 1:
            findings = (judge(view) for view in state.views())
            self.finding = next((finding for finding in findings if finding is not None), None)
        else:
            text, inside = state.window()
            self.finding = judge(text, inside=inside, ended=ended)
        return self.finding is not None

    def _behind(self, state: _Choice) -> bool:
        """Judge the pieces of what is held that are marked, behind earlier answers.

        A piece behind a colon or in quotation marks may be anywhere in an answer, the others are
        at its start or its end.
        """
        text = "".join(_texts(state))
        numbers = _marks_of(text, first=not state.context) if self._before else []
        if not numbers:
            return False
        pieces = marked(text)
        for number in numbers:
            self.finding = self._rests.get(letters_of(pieces[number]))
            if self.finding is not None:
                return True
        views = [self._tails[number] + pieces[number][:TAIL] for number in numbers]
        return self._withheld(list(dict.fromkeys(views)))

    def _joined(self) -> list[str]:
        """Return what is held of all choices as one text."""
        views = []
        if len(self._choices) > 1:
            states = [other for _, other in sorted(self._choices.items())]
            views.append("".join("".join(p.text for p in (*s.context, *s.pieces)) for s in states))
        return views

    def _in_pieces(self, texts: Sequence[str]) -> bool:
        """Judge the pieces that texts mark, behind those of earlier answers."""
        if not texts or len(texts) + len(self._before) < 2:
            return False
        pieces = ["".join(piece) for piece in zip(*map(marked, texts), strict=True)]
        views = [tail + piece for tail, piece in zip(self._tails, pieces, strict=True)]
        self.finding = self._judge.judge_pieces((*self._before, *texts))
        return self.finding is not None or self._withheld(list(dict.fromkeys(views)))

    def _withheld(self, views: Sequence[str]) -> bool:
        """Judge texts and return whether one is withheld."""
        for view in views:
            self.finding = self._judge.judge(view)
            if self.finding is not None:
                return True
        return False

    def _verdict(self, channel: str, choice: int) -> Withhold:
        """Drop what is held and return the verdict."""
        assert self.finding is not None
        self._choices = {}
        return Withhold(self.finding.secret, self.finding.reason, channel, choice)


class StreamJudge:
    """Judges one channel of an answer while it arrives; :class:`ResponseJudge` joins several."""

    def __init__(
        self, secrets: Sequence[str] | WindowJudge, hold_tokens: int = HOLD_TOKENS
    ) -> None:
        """Begin; arguments as for :class:`WindowJudge` and :class:`ResponseJudge`."""
        judge = secrets if isinstance(secrets, WindowJudge) else WindowJudge(secrets)
        self._response = ResponseJudge(judge, hold_tokens)

    @property
    def held(self) -> int:
        """Tokens that are held."""
        return self._response.held

    @property
    def finding(self) -> Finding | None:
        """Why the answer is withheld, or None."""
        return self._response.finding

    def feed(self, delta: str) -> list[Release | Withhold]:
        """Take in a piece and return what may leave, or the verdict against the answer."""
        return self._response.feed(delta)

    def finish(self) -> list[Release | Withhold]:
        """Judge what is still held and return it, or the verdict against it."""
        return self._response.finish()


def judge_whole(texts: Sequence[str], judge: WindowJudge) -> Finding | None:
    """Return why an answer that is not streamed is withheld, or None: as if it were streamed.

    Args:
        texts: of all its channels and choices, in order.
        judge: of the secrets.
    """
    response = ResponseJudge(judge)
    for number, text in enumerate(texts):
        response.feed(text, f"{number}.text", 0)
    response.finish()
    return response.finding


def _marks_of(text: str, *, first: bool) -> list[int]:
    """Return the numbers of the marked pieces that may be in a part of an answer.

    Args:
        text: what is held of it.
        first: whether the answer starts with it.
    """
    return [
        *((0, 5) if first else ()),
        *((1,) if ":" in text else ()),
        *((2,) if QUOTED.search(text) else ()),
    ]


def _fine(text: str) -> bool:
    """Return whether one letter of a line, or capitals, may say something in what is held."""
    return text.count("\n") >= LINES or len(_CAPITAL.findall(text)) >= CAPITALS


def _released(pieces: Sequence[_Piece], choice: int) -> list[Release]:
    """Return pieces as they leave."""
    return [Release(piece.text, piece.channel, choice) for piece in pieces]


def _texts(state: _Choice) -> list[str]:
    """Return what is held of each channel of a choice."""
    out: dict[str, str] = {}
    for piece in state.pieces:
        out[piece.channel] = out.get(piece.channel, "") + piece.text
    return list(out.values())


def _last(state: _Choice) -> str:
    """Return the channel that arrived last."""
    return state.pieces[-1].channel if state.pieces else "content"
