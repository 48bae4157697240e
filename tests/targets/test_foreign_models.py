"""Models of other people: seeds inside of seeds, labels of all kinds, answers in odd units."""

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import hartley
from hartley import catalog
from hartley.attacks.model_to_data.membership import entropy_metrics
from hartley.attacks.model_to_data.reference_models import margin
from hartley.core import Access, Data, Ensemble, Modality, Model, Output
from hartley.core.errors import BadModel, RunError, UsageError
from hartley.kit.answer_units import log_probabilities
from hartley.targets.sklearn import SklearnPipeline, from_sklearn
from hartley.targets.torch import from_torch
from hartley.testing import check_model

T = Modality.TABULAR
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5)).astype(np.float32)
Y = (X[:, 0] + RNG.normal(size=120) > 0).astype(np.int64)
POOL = Data("pool", T, X, Y)


def play(scene, attack, **more):
    return hartley.measure(hartley.play(catalog.load("attack", attack), scene, **more))


def deployed(model, members, others):
    return hartley.Scene(name="mine", modality=T, model=model, train=members, holdout=others)


# --- G: seeds inside of seeds


def forest(**params):
    return RandomForestClassifier(3, **params)


def noise(x):
    return x + np.random.normal(size=x.shape)  # noqa: NPY002


ESTIMATORS = {
    "forest": forest,
    "forest with a seed": lambda: forest(random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), forest()),
    "pipeline with a seed": lambda: make_pipeline(StandardScaler(), forest(random_state=0)),
    "pipeline in a pipeline": lambda: make_pipeline(make_pipeline(forest(random_state=0))),
    "calibrated": lambda: CalibratedClassifierCV(forest(), cv=2),
    "calibrated with a seed": lambda: CalibratedClassifierCV(forest(random_state=0), cv=2),
    "voting": lambda: VotingClassifier(
        [("a", forest()), ("b", forest(random_state=1))], voting="soft"
    ),
    "stacking": lambda: StackingClassifier(
        [("a", forest(random_state=0))], DecisionTreeClassifier(max_depth=3), cv=2
    ),
    "bagging": lambda: BaggingClassifier(DecisionTreeClassifier(random_state=0), 3),
    "one against the rest": lambda: OneVsRestClassifier(forest(random_state=0)),
    "search": lambda: GridSearchCV(forest(random_state=0), {"max_depth": [2, 3]}, cv=2),
    "folds with a seed": lambda: CalibratedClassifierCV(
        GaussianNB(), cv=StratifiedKFold(2, shuffle=True, random_state=0)
    ),
    "numpy's own generator": lambda: make_pipeline(FunctionTransformer(noise), GaussianNB()),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_part_of_an_estimator_is_seeded_by_the_models_own_number(name):
    include = np.ones((2, len(X)), bool)

    def fitted(seed):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        ensemble = SklearnPipeline(ESTIMATORS[name](), 2).fit(POOL, include, seed)
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(5)  # noqa: NPY002  # the answers, too, may draw from it
        answers = np.asarray(ensemble.query(X))
        np.random.set_state(state)  # noqa: NPY002
        return answers

    one, again, other = fitted(1), fitted(1), fitted(2)
    assert np.array_equal(one, again), "one seed has two models"
    assert not np.array_equal(one[0], one[1]), "two models of a fleet share a seed"
    assert not np.array_equal(one, other), "victims and references share a seed"


# --- F: labels


@pytest.mark.parametrize("names", [("ill", "well"), (False, True), (0.0, 1.0)])
def test_labels_that_are_not_whole_numbers_are_counted_in_their_order(names):
    plain = from_sklearn(GaussianNB().fit(X, Y), classes=2)
    model = from_sklearn(GaussianNB().fit(X, np.array(names)[Y]), classes=2)
    check_model(model, X)
    assert np.array_equal(model.query(X), plain.query(X))


REFUSED = {
    "three words": (
        lambda: GaussianNB().fit(X, np.array(["a", "b", "c"])[RNG.integers(0, 3, 120)]),
        "labels 0..1, got ['a', 'b', 'c']",
    ),
    "numbers from 1": (lambda: GaussianNB().fit(X, Y + 1), "labels 0..1, got [1, 2]"),
    "two outputs": (lambda: forest().fit(X, np.c_[Y, 1 - Y]), "one label a record, got several"),
    "wrapped outputs": (
        lambda: MultiOutputClassifier(GaussianNB()).fit(X, np.c_[Y, 1 - Y]),
        "one label a record, got several",
    ),
    "several labels at once": (
        lambda: OneVsRestClassifier(LogisticRegression()).fit(X, np.c_[Y, 1 - Y, Y]),
        "one label a record, got several",
    ),
    "not fitted": (GaussianNB, "must be fitted first"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_labels_that_cannot_be_read_are_refused_in_one_line(case):
    make, message = REFUSED[case]
    with pytest.raises(UsageError) as caught:
        from_sklearn(make(), classes=2)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_records_without_labels_are_asked_about_where_no_label_is_needed():
    members, others = (
        Data(n, T, X[rows], None) for n, rows in (("m", slice(60)), ("o", slice(60, 120)))
    )
    tree = from_sklearn(DecisionTreeClassifier(random_state=0).fit(X[:60], Y[:60]), classes=2)
    scene = deployed(tree, members, others)
    play(scene, "entropy_metrics", params={"metric": "entropy", "per_class": False})
    for attack in ("loss_threshold", "label_only_membership", "entropy_metrics"):
        with pytest.raises(UsageError, match="must have"):
            play(scene, attack)


def test_a_data_frame_and_a_sparse_matrix_are_the_arrays_that_they_hold():
    import scipy.sparse

    class Frame:
        """What a data frame offers; pandas is not needed for it."""

        def to_numpy(self):
            return X

        def __len__(self):
            return len(X)

    for table in (Frame(), scipy.sparse.csr_matrix(X)):
        data = Data("pool", T, table, Y)
        assert np.array_equal(data.x, X) and len(data) == 120
        ensemble = SklearnPipeline(GaussianNB(), 2).fit(data, np.ones((1, 120), bool), 0)
        assert np.asarray(ensemble.query(data.x)).shape == (1, 120, 2)


# --- F: units of answers


def one_column(last):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 1), last)


@pytest.mark.parametrize("flat", [False, True])
def test_a_module_of_one_number_is_a_model_of_two_classes(flat):
    end = torch.nn.Flatten(0) if flat else torch.nn.Identity()
    logit, chance = (
        torch.nn.Sequential(one_column(m), end) for m in (torch.nn.Identity(), torch.nn.Sigmoid())
    )
    grants = {"offers": Access.SCORES | Access.GRADIENTS}
    of_logit = from_torch(logit, classes=2, modality=T, **grants)
    of_chance = from_torch(chance, classes=2, modality=T, gives=Output.PROBABILITIES, **grants)
    check_model(of_logit, X)
    np.testing.assert_allclose(of_logit.query(X), of_chance.query(X), atol=1e-6)
    np.testing.assert_allclose(
        of_logit.query(X)[:, 1], chance(torch.from_numpy(X)).detach().numpy().reshape(-1), atol=1e-6
    )
    np.testing.assert_allclose(of_logit.grad(X, Y), of_chance.grad(X, Y), atol=1e-5)


def test_probabilities_that_are_declared_as_logits_are_refused():
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Softmax(1))
    with pytest.raises(BadModel, match=r"declare gives=Output\.PROBABILITIES"):
        from_torch(module, classes=3, modality=T).query(X)
    from_torch(module, classes=3, modality=T, gives=Output.PROBABILITIES).query(X)


def test_complex_answers_are_refused_before_a_part_of_them_is_lost():
    model = Model("c", T, lambda x: np.full((len(x), 2), 0.5 + 0j), Output.PROBABILITIES, 2)
    scene = deployed(model, Data("m", T, X[:60], Y[:60]), Data("o", T, X[60:], Y[60:]))
    with pytest.raises(BadModel, match="real numbers, got type complex128"):
        play(scene, "loss_threshold")


@pytest.mark.parametrize("column", ["guess", "posterior"])
def test_complex_guesses_are_refused(column):
    from hartley.games.membership.membership import membership

    @hartley.attack(
        game=membership,
        access=Access.SCORES,
        term=hartley.Term.NOISE,
        modalities=(T,),
        paper="hartley",
    )
    def complex_attack(view, rng):
        """Answer with complex numbers."""
        answers = {"guess": rng.random(len(view.brief.question))}
        answers |= {column: rng.random(len(view.brief.question)) + 0.5j}
        return hartley.Outcome(**answers, asset=view.brief.question)

    tree = from_sklearn(GaussianNB().fit(X[:60], Y[:60]), classes=2)
    scene = deployed(tree, Data("m", T, X[:60], Y[:60]), Data("o", T, X[60:], Y[60:]))
    with pytest.raises(RunError, match="real numbers, got type complex128"):
        hartley.play(complex_attack, scene)


# --- I: very sure models


def test_log_odds_of_logits_are_exact_however_sure_the_model_is():
    z = np.array([[40.0, 0, 0], [60.0, 0, 0], [0, 60.0, 0], [900.0, 0, -900.0]])
    y = np.zeros(4, int)
    exact = [40 - np.log(2), 60 - np.log(2), -60.0, 900.0]
    np.testing.assert_allclose(margin(z, Output.LOGITS, Data("d", T, z, y)), exact, rtol=1e-12)
    logs = log_probabilities(z, Output.LOGITS)[:3, 0]
    np.testing.assert_allclose(logs, [-2 * np.exp(-40), -2 * np.exp(-60), -60.0], rtol=1e-12)


def sure_scene():
    n = 120
    x, y = np.arange(n, dtype=np.float32)[:, None], np.zeros(n, int)

    def fit(data, include, seed):
        models = []
        for k, row in enumerate(include):
            z = np.where(row, 60.0, 40.0) + 3 * np.random.default_rng([seed, k]).normal(size=n)
            table = np.c_[z, np.zeros(n)]

            def query(q, table=table):
                return table[np.asarray(q)[:, 0].astype(int)]

            offers = Access.LABELS | Access.SCORES | Access.TRAIN
            models.append(Model("net", T, query, Output.LOGITS, 2, fit=fit, offers=offers))
        return Ensemble(
            len(models), lambda q: np.stack([m.query(q) for m in models]), lambda k: models[k], {}
        )

    pool = Data("pool", T, x, y)
    model = fit(pool, np.ones((1, n), bool), 1).member(0)
    return hartley.Scene(name="s", modality=T, model=model, fit=fit, extra={"pool": pool})


@pytest.mark.parametrize(
    ("attack", "params"),
    [
        ("lira", {"references": 8}),
        ("entropy_metrics", {"per_class": False}),
        ("entropy_metrics", {"metric": "entropy", "per_class": False}),
    ],
)
def test_members_of_a_very_sure_model_are_told_apart(attack, params):
    row = play(sure_scene(), attack, params=params, game_params={"rounds": 3})
    assert row.metrics["auc"]["value"] > 0.99


def test_the_entropy_metrics_of_probabilities_keep_their_values():
    logs = log_probabilities(
        np.array([[0.9, 0.1], [1.0, 0.0], [0.2, 0.8]]), Output.PROBABILITIES, floor=1e-12
    )
    p = np.array([0.9, 1.0, 0.2])
    exact = (1 - p) * np.log(p) + (1 - p) * np.log(p)
    np.testing.assert_allclose(entropy_metrics.modified(logs, np.zeros(3, int)), exact, atol=1e-9)
