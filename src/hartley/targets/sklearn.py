"""A scikit-learn classifier as a model, and as a pipeline that trains many of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Modality, Model, Output, spawn
from hartley.core.errors import UsageError
from hartley.kit.cache import digest
from hartley.kit.ensemble_of import separate
from hartley.kit.fleet.workers import spread
from hartley.kit.lazy_ensemble import one_by_one
from hartley.models.forest import grow, same
from hartley.targets.identity import of_object

if TYPE_CHECKING:
    from numpy.typing import NDArray


def from_sklearn(
    classifier: Any,
    *,
    classes: int,
    name: str = "",
    modality: Modality = Modality.TABULAR,
    offers: Access = Access.LABELS | Access.SCORES,
    fit: Fit | None = None,
    identity: str | None = None,
    labels: Sequence[Any] = (),
    decode: Callable[[NDArray[Any]], Any] | None = None,
) -> Model:
    """Wrap a fitted classifier as a model that answers with probabilities.

    Labels are 0..classes−1; a class that the classifier never saw gets probability 0. Labels that
    are words are 0, 1, … in the order of ``classes_``, which is alphabetical.

    Args:
        classifier: a fitted scikit-learn classifier with ``predict_proba``.
        classes: number of classes.
        name: name in reports; the class's name if empty.
        modality: what the records are; they are flattened to (n, features).
        offers: capabilities that an attacker may use.
        fit: the training that the attacker knows.
        identity: a digest that is unique to this classifier; None computes it from all its
            attributes, an empty string declares none.
        labels: the values among ``classes_`` that are labels 0, 1, …, where they are others.
        decode: records (n, features) → what the classifier reads, such as a data frame.

    Raises:
        UsageError: the classifier has no predict_proba, is not fitted, answers several labels a
            record, or was fitted on other labels.
    """
    if not hasattr(classifier, "predict_proba"):
        raise UsageError(f"a classifier must have predict_proba, got {type(classifier).__name__}")
    label_values = _columns_of(classifier, classes, labels)
    read = decode or (lambda x: np.asarray(x).reshape(len(x), -1))

    def query(x: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((len(x), classes))
        if len(x):
            out[:, label_values] = classifier.predict_proba(read(x))
        return out

    return Model(
        name or type(classifier).__name__,
        modality,
        query,
        Output.PROBABILITIES,
        classes,
        # What decodes records says itself how many numbers each has.
        reads=int(getattr(classifier, "n_features_in_", 0)) if decode is None else 0,
        identity=of_object(classifier) if identity is None else identity,
        fit=fit if offers & Access.TRAIN else None,
        offers=offers if fit is not None else offers & ~Access.TRAIN,
    )


def _columns_of(classifier: Any, classes: int, values: Sequence[Any]) -> NDArray[np.int64]:
    """Return which of the labels 0..classes−1 each column of ``predict_proba`` is."""
    kind = type(classifier).__name__
    if not hasattr(classifier, "classes_"):
        raise UsageError(f"a classifier must be fitted first, got a {kind} that is not")
    names = classifier.classes_
    if isinstance(names, list | tuple) or getattr(classifier, "multilabel_", False):
        raise UsageError(f"a classifier must answer one label a record, got several from a {kind}")
    names = np.asarray(names)
    if len(values):
        place = {value: k for k, value in enumerate(values)}
        return np.array([place[name] for name in names.tolist()], dtype=np.int64)
    words = names.dtype.kind not in "biuf"
    labels = np.arange(len(names)) if words else names.astype(np.int64)
    outside = len(labels) and not 0 <= labels.min() <= labels.max() < classes
    if outside or (not words and (labels != names).any()):
        raise UsageError(
            f"the classifier must be fitted on labels 0..{classes - 1}, got {names.tolist()}"
        )
    return labels.astype(np.int64)


SEEDS = {"random_state", "random_seed"}
"""Names of a seed among the parameters of an estimator."""


@dataclass(frozen=True, slots=True, eq=False)
class SklearnPipeline:
    """Trains clones of one classifier on subsets of the same records.

    The facts of its models say how each was ``grown``: by scikit-learn's ``fit``, or (a random
    forest, where that gives the very same) by its ``tree builder`` driven directly.

    Attributes:
        classifier: an unfitted classifier; its ``random_state`` and those of its parts (steps of a
            pipeline, members of an ensemble) are set for each model from the model's own number.
        classes: number of classes.
        modality: what the records are.
        workers: processes; the results do not depend on it. With one, a model is trained when it
            is first asked.
        decode: records (n, features) → what the classifier reads, such as a data frame.
        form: a digest of what ``decode`` does.
        identity: a digest of the classifier; empty computes it from all its attributes.
    """

    classifier: Any
    classes: int
    modality: Modality = Modality.TABULAR
    workers: int = 1
    decode: Callable[[NDArray[Any]], Any] | None = None
    form: str = ""
    identity: str = ""

    def fit(self, data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        """Train K classifiers; ``include`` is (K, n) booleans."""
        if data.y is None:
            raise UsageError(f"{data.name!r} must have labels to train on, got y=None")
        started = time.perf_counter()
        x = np.ascontiguousarray(np.asarray(data.x).reshape(len(data), -1))
        finite = bool(np.isfinite(x).all()) and self.decode is None
        quick = (
            finite and len(include) > 0 and same(self.classifier, x[include[0]], data.y[include[0]])
        )
        shared = self.classifier, x, data.y, finite, quick, self.decode
        known = self.identity or of_object(self.classifier)
        recipe = [known, self.classes, x, np.asarray(data.y), self.form]
        stamp = digest(recipe) if recipe[0] and bool(self.form) == bool(self.decode) else ""
        parts = [(k, row, spawn(seed, "sklearn", k) % 2**31) for k, row in enumerate(include)]
        names = [
            f"trained:{digest([stamp, row, own_seed])[:32]}" if stamp else ""
            for _, row, own_seed in parts
        ]
        # Both ways grow the same models; ``facts`` says which one ran, since the quick one reaches
        # into modules that another scikit-learn may have moved.
        facts = {"grown": "tree builder" if quick else "fit"}

        def wrapped(k: int, classifier: Any) -> Model:
            model = from_sklearn(
                classifier,
                classes=self.classes,
                modality=self.modality,
                offers=Access.LABELS | Access.SCORES | Access.TRAIN,
                fit=self.fit,
                identity=names[k],
                decode=self.decode,
            )
            return replace(model, facts=facts)

        if self.workers <= 1:
            costs = {"strategy": "sklearn", **facts}
            return one_by_one(
                lambda k: wrapped(k, _train(shared, parts[k])),
                names,
                costs,
                output=Output.PROBABILITIES,
            )
        fitted = spread(_train, shared, parts, workers=self.workers)
        seconds = time.perf_counter() - started
        costs = {"strategy": "sklearn", **facts}
        return separate(
            [wrapped(k, model) for k, model in enumerate(fitted)], {**costs, "seconds": seconds}
        )


def _train(shared: Any, part: Any) -> Any:
    from sklearn import config_context
    from sklearn.base import clone

    classifier, x, y, finite, quick, decode = shared
    k, row, seed = part
    if quick:
        return grow(classifier, x[row], y[row], seed)
    copy = clone(classifier)
    _seed_all(copy, seed)
    # A step that draws from numpy's one generator draws from the model's own number, too.
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        # The records were checked once for all, the parameters by the first model.
        with config_context(assume_finite=finite, skip_parameter_validation=k > 0):
            return copy.fit(x[row] if decode is None else decode(x[row]), y[row])
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _seed_all(estimator: Any, seed: int) -> None:
    """Seed an estimator and every part of it, whatever seeds they were given.

    Args:
        estimator: unfitted; its parts are found by the names of their parameters.
        seed: of the estimator itself; parts get numbers that follow from it and their names.
    """
    seeds = {}
    for name, value in estimator.get_params(deep=True).items():
        part_seed = seed if "__" not in name else spawn(seed, name) % 2**31
        if name.rpartition("__")[2] in SEEDS:
            seeds[name] = part_seed
        elif not hasattr(value, "get_params") and not isinstance(value, type):
            # Splitters of cross-validation have a seed and no parameters.
            for key in SEEDS & vars(value).keys() if hasattr(value, "__dict__") else ():
                setattr(value, key, part_seed)
    estimator.set_params(**seeds)
