"""scikit-learn's random forest, grown without the work that ``fit`` repeats for every tree.

On a few hundred records scikit-learn grows a tree in a fifth of the time that it spends around it:
cloning, inspecting signatures, checking labels, and building two random generators from the
system's entropy only to seed them anew. Here the same builder is driven directly, from the same
seeds. It lives in modules that scikit-learn does not promise to keep, so ``same`` grows two trees
both ways first, and the caller takes ``fit`` where they differ in a single split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FREE = ("n_estimators", "random_state", "n_jobs", "max_depth", "max_features", "criterion")
"""Parameters that may differ from scikit-learn's defaults; with any other the caller uses fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """A grown forest, as far as a model needs it.

    Attributes:
        trees: scikit-learn's own tree structures.
        classes_: (classes,) labels, ascending.
    """

    trees: tuple[Any, ...]
    classes_: NDArray[np.int64]

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n, classes) mean probabilities; the very numbers of scikit-learn's forest."""
        x = np.ascontiguousarray(x, np.float32)
        total = np.zeros((len(x), len(self.classes_)))
        for tree in self.trees:
            total += tree.predict(x)[:, : len(self.classes_)]
        total /= len(self.trees)
        return total


def grow(classifier: Any, x: NDArray[Any], y: NDArray[Any], seed: int) -> Forest:
    """Grow the forest that ``classifier.fit(x, y)`` grows with ``random_state=seed``.

    Args:
        classifier: a RandomForestClassifier with no parameter set but those of ``FREE``.
        x: (n, features) finite records.
        y: (n,) labels.
        seed: 0 to 2³²−1.
    """
    from sklearn.tree._classes import CRITERIA_CLF
    from sklearn.tree._splitter import BestSplitter
    from sklearn.tree._tree import DepthFirstTreeBuilder, Tree

    x = np.ascontiguousarray(x, np.float32)
    classes, encoded = np.unique(y, return_inverse=True)
    labels, (n, features) = encoded.astype(np.float64).reshape(-1, 1), x.shape
    counts = np.array([len(classes)], dtype=np.intp)
    deepest = np.iinfo(np.int32).max
    depth = deepest if classifier.max_depth is None else classifier.max_depth
    max_features = _tried(classifier.max_features, features)
    # Seeding a generator anew gives the stream of a new one, in a tenth of the time.
    seeds, stream = np.random.RandomState(seed), np.random.RandomState(0)
    trees = []
    for _ in range(classifier.n_estimators):
        tree_seed = seeds.randint(deepest)
        stream.seed(tree_seed)
        weight = np.bincount(stream.randint(0, n, n), minlength=n).astype(np.float64)
        stream.seed(tree_seed)
        criterion = CRITERIA_CLF[classifier.criterion](1, counts)
        splitter = BestSplitter(criterion, max_features, 1, 0.0, stream, None)
        tree = Tree(features, counts, 1)
        builder = DepthFirstTreeBuilder(splitter, 2, 1, 0.0, depth, 0.0)
        builder.build(tree, x, labels, weight, None)
        trees.append(tree)
    return Forest(tuple(trees), classes)


def same(classifier: Any, x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether ``grow`` applies to this classifier, and grows what ``fit`` grows here and now."""
    from sklearn.base import clone
    from sklearn.ensemble import RandomForestClassifier

    if type(classifier) is not RandomForestClassifier or not np.isfinite(x).all():
        return False
    defaults = RandomForestClassifier().get_params()
    if any(v != defaults[k] for k, v in classifier.get_params().items() if k not in FREE):
        return False
    reference = clone(classifier).set_params(n_estimators=2, random_state=7).fit(x, y)
    try:
        forest = grow(reference, x, y, 7)
        splits = [
            np.array_equal(a.tree_.__getstate__()["nodes"], b.__getstate__()["nodes"])
            for a, b in zip(reference.estimators_, forest.trees, strict=True)
        ]
        return all(splits) and np.array_equal(reference.predict_proba(x), forest.predict_proba(x))
    except (ImportError, AttributeError, KeyError, TypeError, ValueError):
        return False  # another version of scikit-learn: its own fit will do


def _tried(most: Any, features: int) -> int:
    """Return the number of features that a split considers, as scikit-learn computes it."""
    if most == "sqrt":
        return max(1, int(np.sqrt(features)))
    if most == "log2":
        return max(1, int(np.log2(features)))
    if most is None:
        return features
    return int(most) if isinstance(most, int | np.integer) else max(1, int(most * features))
