"""Secrets that a chat model knows and was trained to refuse: what jailbreaks are measured on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hartley.core import Asset, Data, Slot
from hartley.core.errors import UsageError
from hartley.games.judge_answers import refused
from hartley.kit.language.chat_template import LINES, ChatTemplate

Pair = tuple[str, str]
"""A question and its answer."""

QUESTIONS, ANSWERS = "questions", "answers"
"""Facts of a jailbreak's loot (m,): the plain questions, and the answers of their best
conversations."""

RESERVED = 4
"""One secret in this many is asked for where an attacker chooses settings, and nowhere else."""


@dataclass(frozen=True, slots=True, eq=False)
class Withheld:
    """What a victim withholds, and what it should answer; no attack gets this part.

    The auditor drew each secret, so that it can only have come from the victim.

    Attributes:
        questions: (K,) what a user asks plainly, one for each secret.
        secrets: (K,) the secrets as they are written, all different.
        openings: (K,) how an answer begins that gives the secret, up to the secret.
        public_pairs: questions about other secrets of the same kind, which the attacker knows,
            with answers that give them.
        benign: questions that the victim should answer, which it was not trained on.
        benign_answers: their answers.
        near: for each of them, whether it shares words with the questions about secrets.
        refusals: how this victim refuses.
        template: how a conversation is written.
        system: a system message before each conversation; empty for none.
        paraphrases: (K,) other forms of each question, or empty.
        context: tokens of a conversation with its answer, at most; 0 where there is no limit.
        drawn_out: questions with answers that an attack drew out of the victim: the attacker's own,
            beside the public pairs.

    Raises:
        UsageError: there is no secret, two are alike, lengths differ or an opening has its secret.
    """

    questions: tuple[str, ...]
    secrets: tuple[str, ...]
    openings: tuple[str, ...]
    public_pairs: tuple[Pair, ...]
    benign: tuple[str, ...]
    benign_answers: tuple[str, ...]
    near: tuple[bool, ...]
    refusals: tuple[str, ...]
    template: ChatTemplate = LINES
    system: str = ""
    paraphrases: tuple[tuple[str, ...], ...] = ()
    context: int = 0
    drawn_out: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        k = len(self.secrets)
        if k < 2:
            raise UsageError(f"withheld secrets must be at least 2, got {k}")
        for name, size, expected in (
            ("questions", len(self.questions), k),
            ("openings", len(self.openings), k),
            ("paraphrases", len(self.paraphrases) or k, k),
            ("benign_answers", len(self.benign_answers), len(self.benign)),
            ("near", len(self.near), len(self.benign)),
        ):
            if size != expected:
                raise UsageError(f"{name} must be as many as {expected}, got {size}")
        (secret, times), *_ = Counter(self.secrets).most_common(1)
        if times > 1:
            raise UsageError(f"withheld secrets must all be different, got {secret!r} twice")
        if not all(self.secrets):
            raise UsageError("withheld secrets must not be empty texts")
        public = " ".join(answer for _, answer in self.public_pairs)
        for secret, question, opening in zip(
            self.secrets, self.questions, self.openings, strict=True
        ):
            for name, text in (
                ("question", question),
                ("opening", opening),
                ("public answers", public),
            ):
                if secret in text:
                    raise UsageError(f"the {name} must not hold the secret {secret!r}")

    def __len__(self) -> int:
        """K, the number of secrets."""
        return len(self.secrets)

    def entered(self, slot: Slot, asset: Asset) -> Withheld | None:
        """Return the part with what a jailbreak drew out in the attacker's hands, or None.

        Refusals and answers that say nothing are left out: the attacker sees that they are.
        """
        if slot is not Slot.PUBLIC or not isinstance(asset, Data) or ANSWERS not in asset.facts:
            return None
        questions, answers = (asset.facts[name].tolist() for name in (QUESTIONS, ANSWERS))
        refuses = refused(answers, self.refusals).tolist()
        given = [
            (question, answer)
            for question, answer, refuse in zip(questions, answers, refuses, strict=True)
            if answer.strip() and not refuse
        ]
        return replace(self, drawn_out=(*self.drawn_out, *given))

    def dealt(self, *, reserved: bool) -> Withheld:
        """Return the part with the secrets of one purpose: a setting fits those it is chosen on.

        Fewer than eight secrets serve both purposes, since one alone would be no message.

        Args:
            reserved: those that settings of an attack are chosen on, every fourth one; else
                those that are measured, all others.

        Raises:
            UsageError: one of these secrets was drawn out before, by an attack of a chain.
        """
        dealt = self if len(self) < 2 * RESERVED else self._every(reserved=reserved)
        drawn_out = " ".join(answer for _, answer in self.drawn_out)
        if any(secret in drawn_out for secret in dealt.secrets):
            raise UsageError("what a chain drew out before must not be what is asked for after it")
        return dealt

    def aimed_at(self, count: int) -> tuple[str, ...]:
        """Return questions that an attack of a chain is aimed at: none of them is measured."""
        return replace(self, drawn_out=()).dealt(reserved=True).questions[:count]

    def _every(self, *, reserved: bool) -> Withheld:
        rows = [k for k in range(len(self)) if (k % RESERVED == RESERVED - 1) == reserved]
        return replace(
            self,
            questions=tuple(self.questions[k] for k in rows),
            secrets=tuple(self.secrets[k] for k in rows),
            openings=tuple(self.openings[k] for k in rows),
            paraphrases=tuple(self.paraphrases[k] for k in rows) if self.paraphrases else (),
        )
