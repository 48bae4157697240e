"""Reference models: the attacker trains them to compare answers with and without a record.

Several attacks share them. ``view.salt`` determines the training set of each model, so that two
attacks on one deal need the same models. The owner's pipeline caches the models on disk, and this
module caches their answers in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.enough_references import FEWEST, gain
from hartley.core import Data, Ensemble, Model, Output, View, spawn
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief
from hartley.kit.answer_units import log_probabilities, zero_floor
from hartley.kit.cache import digest
from hartley.kit.language.tokens import likelihoods, mean_over_tokens
from hartley.kit.shared_work import SECONDS, Work
from hartley.kit.training_news import called, send

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEEP = 4
"""Number of ensembles whose answers stay in memory."""

ROOM = 96 * 2**20
"""Bytes of an ensemble's answers that stay in memory, besides a few numbers per record."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """Cached answers, and the work that they took."""

    array: NDArray[Any]
    work: Work


_memo: OrderedDict[Any, tuple[Ensemble, dict[str, _Answers], Work]] = OrderedDict()
_chosen: OrderedDict[Any, int] = OrderedDict()
"""How many reference models are enough, by deal and by how many an attack may train."""
_lock = Lock()


@dataclass(frozen=True, slots=True)
class References:
    """K models on known halves of the question's records.

    Attributes:
        include: (K, n) booleans, which model is trained on which record. Rows come in complementary
            pairs, so each record is in exactly half of an even number of models.
        ensemble: the models.
        answers: cached answers, by kind and content of the records.
        work: the training of the models.
    """

    include: NDArray[np.bool_]
    ensemble: Ensemble
    answers: dict[str, _Answers]
    work: Work

    def confidence(self, data: Data, temperature: float = 1.0) -> NDArray[np.float64]:
        """Return each model's confidence (K, n) in the true label; see :func:`confidence`.

        The models answer in the units of the pipeline that trained them.
        """
        kind = "confidence" if temperature == 1 else f"confidence at {temperature}"
        return self._each(
            kind,
            data,
            partial(confidence, temperature=temperature),
            partial(margin, temperature=temperature),
        )

    def likelihood(self, data: Data) -> NDArray[np.float64]:
        """Return each model's log-likelihood (K, n) of each record; see :func:`likelihood`."""
        return self._each("likelihood", data, likelihood, _log_likelihood)

    def predictions(self, data: Data) -> NDArray[Any]:
        """Return the answers (K, n, classes) of the models, in the units of the pipeline."""
        return self._whole(data)[: len(self.include)]

    @property
    def output(self) -> Output:
        """The units of the answers of the models, without training one where they are known."""
        return self.ensemble.output or self.ensemble.member(0).output

    def moments(self, data: Data) -> NDArray[np.float64]:
        """Return the moments of every token (K, n, t−1, 3) by each model; see ``Model.moments``.

        Raises:
            NotOffered: the models do not offer them.
        """
        return self._moments(data)[: len(self.include)]

    def _moments(self, data: Data) -> NDArray[np.float64]:
        def ask() -> NDArray[Any]:
            members = [self.ensemble.member(k) for k in range(self.ensemble.size)]
            queries = [member.calls["moments"] for member in members]
            return np.stack([np.asarray(moments(data.x), np.float64) for moments in queries])

        return self._once(f"moments {digest(data.x)}", ask)

    def derived(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return an array that an attack derives from the answers, once for all rounds of a deal.

        Args:
            name: the attack, its parameters and all else that the array depends on.
            make: computes the array from these models and the records in question alone.
        """
        key = f"derived {len(self.include)} {name}"
        if key not in self.answers:
            # This work belongs to one attack, which it is counted for.
            array = make()
            array.flags.writeable = False
            self.answers[key] = _Answers(array, self.work)
        return self.answers[key].array

    def _whole(self, data: Data) -> NDArray[Any]:
        return self._once(f"said {digest(data.x)}", lambda: np.asarray(self.ensemble.query(data.x)))

    def _once(
        self, key: str, ask: Callable[[], NDArray[Any]], *, small: bool = False
    ) -> NDArray[Any]:
        """Return cached answers, or query the models; every attack that uses them counts the work.

        Large answers are cached only while there is room.
        """
        cached = self.answers.get(key)
        if cached is not None:
            cached.work.used()
            return cached.array
        work = Work("answers of reference models")
        with work.use():
            array = ask()
        array.flags.writeable = False  # attacks and rounds share it
        room = ROOM - sum(answer.array.nbytes for answer in list(self.answers.values()))
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
            if data.y is not None:
                return np.stack([of_answers(a, self.output, data) for a in self._whole(data)])
            first = self.ensemble.member(0)
            if first.moments is not None:
                # All attacks on texts use the same query, so that each network runs once.
                real = np.asarray(data.x[:, 1:]) >= 0
                scores = [mean_over_tokens(m[..., 0], real) for m in self._moments(data)]
                return np.stack(scores)
            if first.score is not None:
                models = [self.ensemble.member(k) for k in range(self.ensemble.size)]
                return np.stack([of_model(m, data) for m in models])
            return np.stack([of_answers(a, first.output, data) for a in self._whole(data)])

        key = f"{kind} {digest({'x': data.x, 'y': data.y})}"
        return np.asarray(self._once(key, ask, small=True)[: len(self.include)])


def references(view: View[MembershipBrief], count: int) -> References:
    """Return ``count`` reference models on halves of the records in question, cached if possible.

    Args:
        view: of the round; its salt determines the halves.
        count: number of models, at least 2; odd numbers are rounded up to make pairs. A scene
            whose training is expensive limits the number (``brief.references``), or leaves out
            those that would add little (``brief.sparing``).

    Raises:
        NotOffered: the model does not offer its training.
    """
    count = min(count, view.brief.references or count)
    count += count % 2
    if view.brief.sparing and count > FEWEST and view.brief.question.y is not None:
        count = _enough(view, count)
    return _trained(view, count)


def _enough(view: View[MembershipBrief], most: int) -> int:
    """Return how many reference models are enough, of ``most``; a deal has one answer.

    It follows from what models answer whose members the attacker knows (``enough_references``).
    """
    key = (*_key(view), most)
    if key in _chosen:
        return _chosen[key]
    count, judged = min(FEWEST, most), None
    while True:
        fleet = _trained(view, count)
        judged = gain(fleet.confidence(view.brief.question), fleet.include)
        if judged.enough or count == most:
            break
        count = min(2 * count, most)
    send({"words": judged.words(most)})
    _chosen[key] = count
    while len(_chosen) > 2 * KEEP:
        _chosen.popitem(last=False)
    return count


def _key(view: View[MembershipBrief]) -> tuple[Any, ...]:
    question = view.brief.question
    return view.model.calls["fit"], view.salt, digest({"x": question.x, "y": question.y})


def _trained(view: View[MembershipBrief], count: int) -> References:
    question, fit = view.brief.question, view.model.calls["fit"]
    include = halves(view.salt, count, len(question))
    key = _key(view)
    with _lock:
        cached = _memo.get(key)
        if cached is None or cached[0].size < count:
            work = Work("reference models") if cached is None else cached[2]
            before = dict(work.spent)
            with work.use(), called("reference"):
                trained = fit(question, include, spawn(view.salt, "references") & 0x7FFFFFFF)
            # A larger ensemble begins with the models of the smaller one, which count once.
            for unit, amount in before.items():
                work.spent[unit] -= amount if unit != SECONDS else 0.0
            cached = trained, {}, work
            _memo[key] = cached
        cached[2].used()
        _memo.move_to_end(key)
        while len(_memo) > KEEP:
            _memo.popitem(last=False)
    return References(include, *cached)


def halves(salt: int, count: int, n: int) -> NDArray[np.bool_]:
    """Return the training sets (count, n): row 2j is a random half, row 2j+1 the other half.

    Row k depends only on k, so a longer table starts with the shorter one.
    """
    rows = np.zeros((count, n), dtype=bool)
    for j in range((count + 1) // 2):
        order = np.random.default_rng(spawn(salt, "halves", j)).permutation(n)
        rows[2 * j, order[: n // 2]] = True
        if 2 * j + 1 < count:
            rows[2 * j + 1] = ~rows[2 * j]
    return rows


def confidence(model: Model, data: Data, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return a model's confidence (n,) in the true answer: ln p/(1−p) of the true label.

    This is the logit scaling of arXiv:2112.03570, whose distribution is nearly normal. It is a
    difference of logarithms, so that 1−p keeps its precision when p is nearly 1. For texts the
    confidence is the mean log-probability of the tokens, and for pairs the cosine of the two
    embeddings.

    Args:
        model: whose answers are read.
        data: the records, with their labels.
        temperature: of the softmax that p comes from; texts and pairs have none.

    Raises:
        UsageError: the model answers with labels only, or the records have none.
    """
    if data.y is None and model.score is not None:
        return _tokens(model, data)
    return margin(model.query(data.x), model.output, data, temperature)


def likelihood(model: Model, data: Data) -> NDArray[np.float64]:
    """Return the log-likelihood (n,) of the true answer: the negative loss, in nats.

    It is ln p of the true label; for texts the mean over tokens; for pairs the cosine.

    Raises:
        UsageError: the model answers with labels only, or the records have none.
    """
    if data.y is None and model.score is not None:
        return _tokens(model, data)
    return _log_likelihood(model.query(data.x), model.output, data)


def _tokens(model: Model, data: Data) -> NDArray[np.float64]:
    """Return the mean log-probability (n,) of each record's tokens."""
    return mean_over_tokens(likelihoods(model, data.x), np.asarray(data.x[:, 1:]) >= 0)


def _cosine(answers: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine (n,) of the first and the second half of each answer (n, 2·e)."""
    pairs = np.asarray(answers, dtype=np.float64).reshape(len(answers), 2, -1)
    size = np.sqrt((pairs**2).sum(2)).prod(1)
    return np.asarray(pairs.prod(1).sum(1) / np.maximum(size, FLOOR))


def _paired(answers: NDArray[Any], output: Output, data: Data) -> bool:
    return output is Output.EMBEDDINGS and data.y is None and answers.shape[1] % 2 == 0


def _log_likelihood(answers: NDArray[Any], output: Output, data: Data) -> NDArray[np.float64]:
    if _paired(answers, output, data):
        return _cosine(answers)
    _labelled(output, data)
    floor = zero_floor(answers, FLOOR) if output is Output.PROBABILITIES else FLOOR
    return np.asarray(
        log_probabilities(answers, output, floor=floor)[np.arange(len(answers)), data.y]
    )


def margin(
    answers: NDArray[Any], output: Output, data: Data, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return :func:`confidence` (n,) of given answers."""
    if _paired(answers, output, data):
        return _cosine(answers)
    _labelled(output, data)
    scores = np.asarray(answers, dtype=np.float64)
    if temperature != 1:
        floor = zero_floor(scores, FLOOR) if output is Output.PROBABILITIES else FLOOR
        scores, output = log_probabilities(scores, output, floor=floor) / temperature, Output.LOGITS
    rows = np.arange(len(scores))
    true, others = scores[rows, data.y], scores.copy()
    if output is Output.LOGITS:
        # Exact, however sure the model is: no probability is rounded to 0 or 1 on the way.
        others[rows, data.y] = -np.inf
        most = others.max(1)
        return np.asarray(true - most - np.log(np.exp(others - most[:, None]).sum(1)))
    others[rows, data.y] = 0
    floor = zero_floor(scores, FLOOR)
    return np.asarray(np.log(np.maximum(true, floor)) - np.log(np.maximum(others.sum(1), floor)))


def _labelled(output: Output, data: Data) -> None:
    if data.y is None:
        raise UsageError(f"the records {data.name!r} must have labels, got none")
    if output not in {Output.PROBABILITIES, Output.LOGITS}:
        raise UsageError(f"answers must be probabilities or logits for confidence, got {output}")


FLOOR = 1e-12
"""Probabilities below this are raised to it before the logarithm, since answers may be 0; more
where answers are coarse (``zero_floor``)."""
