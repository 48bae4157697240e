"""Defenses around a chat model: what it reads, which questions it refuses, what it gives out.

A defense of this kind is before every way to ask: conversations, rendered conversations that are
continued (an answer may be begun in them), next tokens, and scores of answers. So no attacker
passes by it who does not hold the weights. An answer that is begun by the user is the user's as
well; what it refuses is answered with the victim's own refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Model, Output, Scene
from hartley.core.errors import UsageError
from hartley.defenses._shared import wrap_answers
from hartley.games.withheld_secrets import Withheld
from hartley.kit.answer_units import log_probabilities
from hartley.kit.language.chat_template import ChatTemplate, Message
from hartley.kit.language.text import pad
from hartley.models.fine_tuning import RuledTuner

if TYPE_CHECKING:
    from numpy.typing import NDArray

Conversation = Sequence[Message]
Tokens = list[int]


@dataclass(frozen=True, slots=True, eq=False)
class ChatDefense:
    """What a defense does; each part may be left out.

    Attributes:
        refuses: conversations → which of them (n,) are refused without being answered.
        copies: a conversation → what the model reads in its place, one conversation or more.
        choose: a conversation and the answers to its copies → the answer; the first without it.
        withholds: conversations and their answers → which answers (n,) are not given out.
        tokens: a row of tokens that the model would read → the row that it reads.
    """

    refuses: Callable[[Sequence[Conversation]], NDArray[np.bool_]] | None = None
    copies: Callable[[Conversation], list[Conversation]] | None = None
    choose: Callable[[Conversation, list[str]], str] | None = None
    withholds: Callable[[Sequence[Conversation], Sequence[str]], NDArray[np.bool_]] | None = None
    tokens: Callable[[Tokens], Tokens] | None = None


def wrap_chat(scene: Scene, make: Callable[[Model], ChatDefense]) -> Scene:
    """Return the scene with such a defense around its model and those that its tuner deploys.

    Args:
        scene: with a victim that withholds secrets.
        make: the model without this defense → the defense.
    """
    part = scene.part(Withheld)

    def change(model: Model, who: str) -> Model:
        del who
        return _Defended(model, make(model), part).model()

    after = wrap_answers.models(scene, change)
    tuner = scene.find(RuledTuner)  # type: ignore[type-abstract]
    if tuner is None:
        return after
    return after.with_part(tuner.wrapped(lambda model: change(model, "tuned")))


def read(text: str, template: ChatTemplate) -> list[dict[str, str]]:
    """Return the messages of a rendered conversation; an answer that is begun comes last.

    A text that is not a conversation is read as what a user says.
    """
    rest, messages = text.removeprefix(template.start), []
    marks = [
        ("system", template.system_open, template.system_close),
        ("user", template.user_open, template.user_close),
        ("assistant", template.answer_open, template.answer_close),
    ]
    while rest:
        mark = next(((r, o, c) for r, o, c in marks if o and rest.startswith(o)), None)
        if mark is None:
            return [{"role": "user", "content": text}]
        role, opened, closed = mark
        content, _, rest = rest[len(opened) :].partition(closed)
        if content or rest or role != "assistant":
            messages.append({"role": role, "content": content})
    if not messages or messages[-1]["role"] == "system":
        return [{"role": "user", "content": text}]
    return messages


def said(conversation: Conversation) -> list[str]:
    """Return what the user says in a conversation, an answer that they begin included."""
    texts = [message["content"] for message in conversation if message["role"] == "user"]
    return [*texts, begun(conversation)] if begun(conversation) else texts


def begun(conversation: Conversation) -> str:
    """Return how the answer begins that a conversation ends with; empty where it does not."""
    last = conversation[-1]
    return last["content"] if last["role"] == "assistant" else ""


def rewritten(
    conversation: Conversation, change: Callable[[str], str], *, system: str | None = None
) -> list[dict[str, str]]:
    """Return a conversation with what the user says changed, and its system message.

    Args:
        conversation: to change.
        change: a user's message → the message that is read.
        system: message that comes first in place of the one that is there; None leaves it.
    """
    out = [
        {**message, "content": change(message["content"])}
        if message["role"] == "user"
        else {**message}
        for message in conversation
        if system is None or message["role"] != "system"
    ]
    return out if system is None else [{"role": "system", "content": system}, *out]


def owner_texts(scene: Scene) -> tuple[list[str], list[str]]:
    """Return questions of the owner that are refused, and harmless ones.

    They are what the owner aligned the victim with. A scene that does not hold them has the
    questions whose answers are public, and the benign ones, which are then measured too.

    Raises:
        UsageError: there are too few of either.
    """
    part, tuner = scene.part(Withheld), scene.find(RuledTuner)  # type: ignore[type-abstract]
    lessons = tuner.lessons if tuner is not None else None
    refused = [question for question, _ in (lessons.refused if lessons else ())]
    helpful = [question for question, _ in (lessons.helpful if lessons else ())]
    refused = refused or [question for question, _ in part.public_pairs]
    helpful = helpful or [*part.benign]
    for name, texts, least in (("refused", refused, 2), ("benign", helpful, 20)):
        if len(texts) < least:
            raise UsageError(f"{name} questions of the owner must be {least}, got {len(texts)}")
    return refused, helpful


def owner_answers(scene: Scene) -> tuple[list[str], list[str]]:
    """Return answers that the owner withholds, and harmless ones; as ``owner_texts``."""
    part, tuner = scene.part(Withheld), scene.find(RuledTuner)  # type: ignore[type-abstract]
    lessons = tuner.lessons if tuner is not None else None
    withheld = [answer for _, answer in (lessons.withheld if lessons else ())]
    helpful = [answer for _, answer in (lessons.helpful if lessons else ())]
    withheld = withheld or [answer for _, answer in part.public_pairs]
    return withheld, helpful or [*part.benign_answers]


@dataclass(frozen=True, slots=True, eq=False)
class _Defended:
    """A model behind a defense.

    Attributes:
        inner: the model without it.
        rules: what is done.
        part: how conversations are written and refused, and how long they may be.
    """

    inner: Model
    rules: ChatDefense
    part: Withheld

    def model(self) -> Model:
        """Return the model as others ask it."""
        calls = self.inner.calls
        ways: dict[str, Any] = {"moments": None}
        if "chat" in calls:
            ways["chat"] = self.chat
        if self.inner.codec is not None:
            others: dict[str, Any] = {
                "generate": self.generate,
                "query": self.query,
                "score": self.score,
                "tail_score": self.tail_score,
            }
            ways |= {name: way for name, way in others.items() if name in calls}
        return self.inner.with_(**ways, clear=self.inner.clear or self.inner)

    def chat(self, conversations: Sequence[Conversation], new: int, seed: int) -> list[str]:
        """Answer conversations behind the defense."""
        rows = [[{**message} for message in turns] for turns in conversations]
        return self._answered(rows, lambda some: self._continued(some, new, seed))

    def generate(self, tokens: NDArray[Any], new: int, seed: int) -> NDArray[np.int64]:
        """Go on with rendered conversations (n, t) behind the defense; (n, new)."""
        codec, template = self.inner.codec, self.part.template
        assert codec is not None
        rows = [read(text, template) for text in codec.decode(np.asarray(tokens))]
        answers = self._answered(rows, lambda some: self._continued(some, new, seed, chats=False))
        out = codec.encode([answer + template.answer_close for answer in answers])
        return pad([[i for i in row if i >= 0][:new] for row in np.asarray(out).tolist()], new)

    def _answered(
        self,
        conversations: list[list[dict[str, str]]],
        answer: Callable[[list[Conversation]], list[str]],
    ) -> list[str]:
        rules, out = self.rules, [self.part.refusals[0]] * len(conversations)
        versions = [self._versions(turns) for turns in conversations]
        fits = np.array([self._fits(copies) for copies in versions], bool)
        open_rows = np.flatnonzero(fits & ~self._refused(conversations))
        flat = [copy for i in open_rows for copy in versions[i]]
        answers = answer(flat) if flat else []
        for i in open_rows:
            some, answers = answers[: len(versions[i])], answers[len(versions[i]) :]
            out[i] = rules.choose(conversations[i], some) if rules.choose else some[0]
        if rules.withholds is not None and len(open_rows):
            kept_back = rules.withholds(
                [conversations[i] for i in open_rows], [out[i] for i in open_rows]
            )
            for i in open_rows[kept_back]:
                out[i] = self.part.refusals[0]
        return out

    def _refused(self, conversations: Sequence[Conversation]) -> NDArray[np.bool_]:
        if self.rules.refuses is None or not len(conversations):
            return np.zeros(len(conversations), bool)
        return self.rules.refuses(conversations)

    def _versions(self, conversation: Conversation) -> list[Conversation]:
        return self.rules.copies(conversation) if self.rules.copies else [conversation]

    def _fits(self, conversations: Sequence[Conversation]) -> bool:
        """Whether rewritten conversations fit into the context: changed words may be longer."""
        return not self._bounded() or self._fit(self._rows(conversations))

    def _fit(self, rows: list[Tokens]) -> bool:
        return not self._bounded() or max(map(len, rows)) < self.part.context

    def _bounded(self) -> bool:
        changes = self.rules.copies is not None or self.rules.tokens is not None
        return bool(changes and self.part.context and self.inner.codec is not None)

    def _rows(self, conversations: Sequence[Conversation]) -> list[Tokens]:
        """Return the tokens that the model reads of conversations."""
        codec = self.inner.codec
        assert codec is not None
        tokens = codec.encode([self.part.template.render(turns) for turns in conversations])
        rows = [[i for i in row if i >= 0] for row in np.asarray(tokens).tolist()]
        return rows if self.rules.tokens is None else [self.rules.tokens(row) for row in rows]

    def _continued(
        self, conversations: Sequence[Conversation], new: int, seed: int, *, chats: bool = True
    ) -> list[str]:
        calls, codec = self.inner.calls, self.inner.codec
        if chats and "chat" in calls and self.rules.tokens is None:
            return [*map(str, calls["chat"](conversations, new, seed))]
        assert codec is not None
        answers = codec.decode(np.asarray(calls["generate"](pad(self._rows(conversations)), new,
                                                            seed)))  # fmt: skip
        return [self.part.template.answer(answer) for answer in answers]

    def query(self, tokens: NDArray[Any]) -> NDArray[Any]:
        """Return the law of the next token of rows (n, t) behind the defense."""
        inner, rows = self.inner, np.asarray(tokens)
        splits = [self._split(row) for row in rows]
        out, read_rows = [], self._read_rows(splits)
        for (_, _, after), copies, refuses in zip(
            splits, read_rows, self._refusing(splits, read_rows), strict=True
        ):
            if refuses:
                flat = np.full(inner.classes, 0.0 if inner.output is Output.LOGITS else
                               1 / inner.classes)  # fmt: skip
                out.append(flat)
                continue
            answers = np.asarray(inner.query(pad([row + after for row in copies])))
            if len(answers) > 1:
                logs = _mean_of(log_probabilities(answers, inner.output))
                answers = (logs if inner.output is Output.LOGITS else np.exp(logs))[None]
            out.append(answers[0])
        return np.stack(out)

    def tail_score(
        self, tokens: NDArray[Any], first: Any, rough: bool = False
    ) -> NDArray[np.float64]:
        """Return log-probabilities (n,) of the tokens from ``first`` on, behind the defense.

        Tokens before the answer are scored as they are: they are what was asked, and say nothing.
        """
        inner, rows = self.inner.calls["tail_score"], np.asarray(tokens)
        starts = np.broadcast_to(first, len(rows)).tolist()
        splits = [self._split(row) for row in rows]
        read_rows, out = self._read_rows(splits), np.zeros(len(rows))
        refuses = self._refusing(splits, read_rows)
        asked_rows: list[Tokens] = []
        places: list[int] = []
        groups: list[tuple[int, int]] = []
        for i, (m, _, after) in enumerate(splits):
            skip = max(starts[i] - m, 0)
            if starts[i] < m:
                out[i] = float(np.asarray(inner(rows[i : i + 1, :m], starts[i], rough))[0])
            if refuses[i]:
                out[i] -= np.log(max(self.inner.classes, 1)) * (len(after) - skip)
            elif len(after) > skip:
                copies = read_rows[i]
                asked_rows += [row + after for row in copies]
                places += [len(row) + skip for row in copies]
                groups.append((i, len(copies)))
        if groups:
            scores = np.asarray(inner(pad(asked_rows), np.array(places), rough))
            for i, size in groups:
                out[i] += float(_mean_of(scores[:size]))
                scores = scores[size:]
        return out

    def score(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """Return log-probabilities (n, t−1) of tokens; those of answers behind the defense."""
        inner, rows = self.inner.calls["score"], np.asarray(tokens)
        out = np.asarray(inner(rows), dtype=np.float64).copy()
        splits = [self._split(row) for row in rows]
        read_rows = self._read_rows(splits)
        for i, ((m, _, after), copies, refuses) in enumerate(
            zip(splits, read_rows, self._refusing(splits, read_rows), strict=True)
        ):
            if not m or not after:
                continue
            here = slice(m - 1, m - 1 + len(after))
            if refuses:
                out[i, here] = -np.log(max(self.inner.classes, 1))
                continue
            scores = np.asarray(inner(pad([row + after for row in copies])))
            ends = np.stack([
                line[len(row) - 1 : len(row) - 1 + len(after)]
                for line, row in zip(scores, copies, strict=True)
            ])  # fmt: skip
            # The chance of what is written so far, averaged over the copies.
            so_far = _mean_of(np.cumsum(ends, axis=1))
            out[i, here] = np.diff(so_far, prepend=0.0)
        return out

    def _split(self, row: NDArray[Any]) -> tuple[int, list[dict[str, str]], Tokens]:
        """Return where the last answer of a row begins, the conversation before, and the answer.

        Where no answer is opened, all is what was asked, and the first number is 0.
        """
        codec, template = self.inner.codec, self.part.template
        assert codec is not None
        ids = [int(i) for i in row if i >= 0]
        (text,) = codec.decode(np.array([ids], np.int64))
        place = text.rfind(template.answer_open) + len(template.answer_open)
        if place < len(template.answer_open):
            return 0, read(text, template), []
        before = [i for i in np.asarray(codec.encode([text[:place]]))[0].tolist() if i >= 0]
        if ids[: len(before)] != before:
            # Its tokens are not those of its text: find the place token by token.
            texts = codec.decode(pad([ids[: k + 1] for k in range(len(ids))]))
            before = ids[: next(k for k, part in enumerate(texts, 1) if len(part) >= place)]
        return len(before), read(text[:place], template), ids[len(before) :]

    def _read_rows(
        self, splits: Sequence[tuple[int, list[dict[str, str]], Tokens]]
    ) -> list[list[Tokens]]:
        """Return the tokens that the model reads of what was asked, for each version of it."""
        return [self._rows(self._versions(turns)) for _, turns, _ in splits]

    def _refusing(
        self,
        splits: Sequence[tuple[int, list[dict[str, str]], Tokens]],
        read_rows: list[list[Tokens]],
    ) -> NDArray[np.bool_]:
        """Return which rows (n,) are refused, by what was asked."""
        fits = np.array([self._fit(rows) for rows in read_rows], bool)
        return np.asarray(~fits | self._refused([turns for _, turns, _ in splits]))


def _mean_of(logs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logarithm of the mean over the first axis of what logarithms are given of."""
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)))
