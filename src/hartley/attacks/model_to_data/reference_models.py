"""Reference models: what an attacker trains to learn how a record behaves when it is in, and out.

Several attacks need the same thing, so it is made once: which model trains on what follows from
``view.salt`` alone, model by model, so that two attacks on one deal ask for the same models (the
owner's pipeline keeps them on disk) and their answers on the same records are kept here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Model, Output, View, spawn
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.cache import digest
from hartley.kit.language.tokens import likelihoods, mean_over_tokens
from hartley.kit.shared_work import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEEP = 4
"""Fleets whose answers stay in memory."""

ROOM = 96 * 2**20
"""Bytes of one fleet's answers that stay in memory, beside a few numbers a record."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers that were asked for once, and what that took."""

    array: NDArray[Any]
    work: Work


_memo: OrderedDict[Any, tuple[Ensemble, dict[str, _Answers], Work]] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class References:
    """K models on known halves of the question's records.

    Attributes:
        include: (K, n) booleans: who trained on what. Rows come in pairs that complement one
            another, so each record is in exactly half of an even number of models.
        ensemble: the models.
        answers: answers already asked for, by kind and content of the records.
        work: their training.
    """

    include: NDArray[np.bool_]
    ensemble: Ensemble
    answers: dict[str, _Answers]
    work: Work

    def confidence(self, data: Data) -> NDArray[np.float64]:
        """Confidence (K, n) of each model in the true label of each record; see :func:`confidence`.

        The models answer in the units of the pipeline that trained them.
        """
        return self._each("confidence", data, confidence, margin)

    def likelihood(self, data: Data) -> NDArray[np.float64]:
        """Log-likelihood (K, n) of each record under each model; see :func:`likelihood`."""
        return self._each("likelihood", data, likelihood, _log_likelihood)

    def said(self, data: Data) -> NDArray[Any]:
        """The answers (K, n, classes) themselves, in the units of the pipeline."""
        return self._whole(data)[: len(self.include)]

    def moments(self, data: Data) -> NDArray[np.float64]:
        """What each model says of every token (K, n, t−1, 3); see ``Model.moments``.

        Raises:
            NotOffered: the models do not say it.
        """
        return self._moments(data)[: len(self.include)]

    def _moments(self, data: Data) -> NDArray[np.float64]:
        def ask() -> NDArray[Any]:
            members = [self.ensemble.member(k) for k in range(self.ensemble.size)]
            asked = [member.calls["moments"] for member in members]
            return np.stack([np.asarray(moments(data.x), np.float64) for moments in asked])

        return self._once(f"moments {digest(data.x)}", ask)

    def derived(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What an attack makes of these answers, made once for all rounds of a deal.

        Args:
            name: the attack, its parameters and whatever else the array depends on.
            make: makes it, of nothing but these models and the records in question.
        """
        key = f"derived {len(self.include)} {name}"
        if key not in self.answers:
            # One attack's own work, whose time is that attack's.
            self.answers[key] = _Answers(make(), self.work)
        return self.answers[key].array

    def _whole(self, data: Data) -> NDArray[Any]:
        return self._once(f"said {digest(data.x)}", lambda: np.asarray(self.ensemble.query(data.x)))

    def _once(
        self, key: str, ask: Callable[[], NDArray[Any]], *, small: bool = False
    ) -> NDArray[Any]:
        """Ask, or recall what was answered; that is work of all who ask the same.

        Whole answers are kept while there is room: one who asks about many versions fills it.
        """
        held = self.answers.get(key)
        if held is not None:
            held.work.used()
            return held.array
        work = Work("answers of reference models")
        with work.use():
            array = ask()
        room = ROOM - sum(one.array.nbytes for one in list(self.answers.values()))
        if small or array.nbytes <= room:
            self.answers[key] = _Answers(array, work)
        return array

    def _each(
        self,
        kind: str,
        data: Data,
        of_model: Callable[[Model, Data], NDArray[np.float64]],
        of_answers: Callable[[NDArray[Any], Output, Data], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        def ask() -> NDArray[Any]:
            first = self.ensemble.member(0)
            if first.moments is not None and data.y is None:
                # The question that every attack on texts asks: each network reads them once.
                real = np.asarray(data.x[:, 1:]) >= 0
                each = [mean_over_tokens(told[..., 0], real) for told in self._moments(data)]
                return np.stack(each)
            if first.score is not None and data.y is None:
                models = [self.ensemble.member(k) for k in range(self.ensemble.size)]
                return np.stack([of_model(m, data) for m in models])
            return np.stack([of_answers(a, first.output, data) for a in self._whole(data)])

        key = f"{kind} {digest({'x': data.x, 'y': data.y})}"
        return np.asarray(self._once(key, ask, small=True)[: len(self.include)])


def references(view: View[MembershipBrief], count: int) -> References:
    """Train ``count`` reference models on halves of the records in question, or recall them.

    Args:
        view: of the round; its salt settles the halves.
        count: how many models, two at least; odd numbers are rounded up to make pairs. Where one
            training is expensive the scene says how many are enough (``brief.references``), and no
            more are made.

    Raises:
        NotOffered: the model does not offer its training.
    """
    asked, fit = view.brief.question, view.model.calls["fit"]
    count = min(count, view.brief.references or count)
    count += count % 2
    include = halves(view.salt, count, len(asked))
    key = (fit, view.salt, digest({"x": asked.x, "y": asked.y}))
    with _lock:
        held = _memo.get(key)
        if held is None or held[0].size < count:
            work = Work("reference models")
            with work.use():
                trained = fit(asked, include, spawn(view.salt, "references") & 0x7FFFFFFF)
            held = trained, {}, work
            _memo[key] = held
        held[2].used()
        _memo.move_to_end(key)
        while len(_memo) > KEEP:
            _memo.popitem(last=False)
    return References(include, *held)


def halves(salt: int, count: int, n: int) -> NDArray[np.bool_]:
    """Who trains on what: (count, n) booleans; row 2j is a random half, row 2j+1 the other half.

    Row k depends on its number alone, so a longer table begins with the shorter one.
    """
    rows = np.zeros((count, n), dtype=bool)
    for j in range((count + 1) // 2):
        order = np.random.default_rng(spawn(salt, "halves", j)).permutation(n)
        rows[2 * j, order[: n // 2]] = True
        if 2 * j + 1 < count:
            rows[2 * j + 1] = ~rows[2 * j]
    return rows


def confidence(model: Model, data: Data) -> NDArray[np.float64]:
    """Confidence (n,) of a model in the true answer: ln p/(1−p) of the true label.

    This is the logit scaling of arXiv:2112.03570, near normal where a loss is not. It is computed
    as a difference of logarithms, so that 1−p keeps its precision when p is nearly 1. A language
    model without labels gives the mean log-probability of a record's tokens, two towers the cosine
    of the two halves of a pair.

    Raises:
        UsageError: the model answers with labels only, or the records carry none.
    """
    if data.y is None and model.score is not None:
        return _tokens(model, data)
    return margin(model.query(data.x), model.output, data)


def likelihood(model: Model, data: Data) -> NDArray[np.float64]:
    """Log-likelihood (n,) of the true answer, the negative of the loss, in nats.

    ln p of the true label; for a language model the mean over tokens; the cosine of a pair.

    Raises:
        UsageError: the model answers with labels only, or the records carry none.
    """
    if data.y is None and model.score is not None:
        return _tokens(model, data)
    return _log_likelihood(model.query(data.x), model.output, data)


def log_probabilities(answers: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Log-probabilities (…, classes) of answers in declared units, kept above ln FLOOR.

    Raises:
        UsageError: the answers are no scores of classes.
    """
    scores = np.asarray(answers, dtype=np.float64)
    if output is Output.LOGITS:
        scores = scores - scores.max(-1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(-1, keepdims=True)))
    if output is Output.PROBABILITIES:
        return np.asarray(np.log(np.maximum(scores, FLOOR)))
    raise UsageError(f"log-probabilities need scores of classes, not {output}")


def _tokens(model: Model, data: Data) -> NDArray[np.float64]:
    """Mean log-probability (n,) of each record's tokens."""
    return mean_over_tokens(likelihoods(model, data.x), np.asarray(data.x[:, 1:]) >= 0)


def _cosine(answers: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine (n,) of the first and the second half of each answer (n, 2·e)."""
    pairs = np.asarray(answers, dtype=np.float64).reshape(len(answers), 2, -1)
    size = np.sqrt((pairs**2).sum(2)).prod(1)
    return np.asarray(pairs.prod(1).sum(1) / np.maximum(size, FLOOR))


def _paired(answers: NDArray[Any], output: Output, data: Data) -> bool:
    return output is Output.EMBEDDINGS and data.y is None and answers.shape[1] % 2 == 0


def _log_likelihood(answers: NDArray[Any], output: Output, data: Data) -> NDArray[np.float64]:
    if _paired(answers, output, data):
        return _cosine(answers)
    _labelled(output, data)
    return np.asarray(log_probabilities(answers, output)[np.arange(len(answers)), data.y])


def margin(answers: NDArray[Any], output: Output, data: Data) -> NDArray[np.float64]:
    """:func:`confidence` (n,) of answers that are there already, in declared units."""
    if _paired(answers, output, data):
        return _cosine(answers)
    _labelled(output, data)
    scores = np.asarray(answers, dtype=np.float64)
    if output is Output.LOGITS:
        scores = np.exp(scores - scores.max(1, keepdims=True))
    rows = np.arange(len(scores))
    true = scores[rows, data.y]
    others = scores.copy()
    others[rows, data.y] = 0
    return np.asarray(np.log(np.maximum(true, FLOOR)) - np.log(np.maximum(others.sum(1), FLOOR)))


def _labelled(output: Output, data: Data) -> None:
    if data.y is None:
        raise UsageError(f"the records {data.name!r} carry no labels to be sure of")
    if output not in {Output.PROBABILITIES, Output.LOGITS}:
        raise UsageError(
            f"confidence needs scores: probabilities or logits; the model answers with {output}"
        )


FLOOR = 1e-12
"""Probabilities are raised to this before a logarithm: a model may round its answers to 0."""
