"""A user's own model of a table: a file with a classifier, and the records it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Modality, Range, Scene, Settings, Stronger, recipe
from hartley.core.code_digest import code_of
from hartley.core.errors import HartleyError, UsageError, did_you_mean
from hartley.data.user_tables import (
    NUMBER,
    WHOLE,
    check_target,
    field_values,
    mixed_columns,
    read_tables,
    records,
)
from hartley.games.inversion.attribute_inference import SensitiveAttribute
from hartley.games.jailbreak.evasion import SHARE
from hartley.kit.cache import digest
from hartley.kit.file_digests import sha256_of
from hartley.kit.perturbation import Perturbation
from hartley.kit.table_files import read_columns
from hartley.scenes._assemble_vision import accuracy, accuracy_utility
from hartley.scenes._poisonable import poisonable
from hartley.scenes._user_files import check_there, described
from hartley.targets.estimator_file import PICKLES, load_estimator
from hartley.targets.onnx_file import load_onnx
from hartley.targets.sklearn import SklearnPipeline, from_sklearn

if TYPE_CHECKING:
    from hartley.core import Data, Model
    from hartley.data.user_tables import Floats, TableForm
    from hartley.kit.table_files import Column

ENOUGH = 50
"""Records from which on a model differs from a guess."""
LEAST = 16
"""Targets of attribute inference in one victim, at least."""


@recipe(modality=Modality.TABULAR)
def own_table(
    *,
    model: Annotated[str, Stronger.NEITHER] = "",
    train: Annotated[str, Stronger.NEITHER] = "",
    test: Annotated[str, Stronger.NEITHER] = "",
    target: Annotated[str, Stronger.NEITHER] = "",
    trust: Annotated[bool, Stronger.NEITHER] = False,
    retrain: Annotated[bool, Stronger.MORE] = True,
    references: Annotated[int, Range(0, 512)] = 0,
    sparing: Annotated[bool, Stronger.NEITHER] = True,
    sensitive: Annotated[str, Stronger.NEITHER] = "",
    poisoned: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """A classifier of your own from a file, and the tables that it was trained and tested on.

    Words, missing values and whole numbers reach the model as they are in the tables.

    Args:
        model: a fitted scikit-learn classifier or pipeline: .skops, or .joblib with trust; or a
            classifier as .onnx, which cannot be trained anew.
        train: the records that it was trained on: .csv, .parquet, .jsonl …
        test: others of the same kind that it never saw, with the same columns.
        target: the column that it predicts.
        trust: load a file that can run code, such as a pickle; only if you made it.
        retrain: let attackers train the same estimator anew, which the strong attacks (LiRA,
            RMIA) need. Without it they are left out.
        references: models that an attacker trains; 0 trains as many as still add to LiRA, up to
            what each attack says.
        sparing: where references is 0, leave out models that would add little. A plan that says how
            many references an attack has gets as many.
        sensitive: a column that attackers infer. For this the estimator is trained again on records
            whose column the auditor draws, so that the other columns say nothing about it.
        poisoned: also train the model on poisoned records, for the attacks of poisoning. A plan or
            --only that names them sets it. A third of the test records is then the attacker's, and
            a third trusted by the owner.

    Raises:
        UsageError: a file or a column is not there, or the model cannot read the records.
    """
    if model and Path(model).is_dir():
        raise UsageError(
            f"--model must be a file of a classifier, got the folder {model}; for a language model "
            "give --canaries, or --members and --nonmembers, not --train and --test; for what "
            "a chat model should not say, --withheld"
        )
    for flag, value in {"model": model, "train": train, "test": test}.items():
        if not value:
            raise UsageError(
                f"--{flag} must be a file, got none: hartley assess --model model.skops "
                "--train train.csv --test test.csv --target COLUMN"
            )
    if Path(train).resolve() == Path(test).resolve():
        raise UsageError(f"--test must be records that the model never saw, got {train} twice")
    check_there({"model": model, "train": train, "test": test})
    loaded = _columns([Path(train), Path(test)], target, sensitive)
    onnx = model.lower().endswith(".onnx")
    classifier: Any = load_onnx(Path(model)) if onnx else load_estimator(Path(model), trust=trust)
    labels = _labels_of(classifier, model)
    names = [str(name) for name in getattr(classifier, "feature_names_in_", ())]
    reads = int(getattr(classifier, "n_features_in_", 0))
    # A pipeline whose first step is the user's own states neither names nor a number: it gets the
    # table as it is, and takes of it what it reads.
    framed = not (names or reads or onnx)
    form, tables, targets = read_tables(
        [Path(train), Path(test)],
        loaded,
        target,
        names=names,
        reads=reads,
        framed=framed,
    )
    if form.named:
        form = _as_fitted(form, classifier, tables[0])
    if framed and not _answers(classifier, form, tables[0]):
        form = form.unnamed() or form
    members, others = (
        records(Path(path).name, x, values, labels)
        for path, x, values in zip((train, test), tables, targets, strict=True)
    )
    # A pickle may hold code besides attributes, and what no hash of attributes can read.
    pickled = Path(model).suffix.lower() in PICKLES
    identity = f"file:{sha256_of(Path(model))}" if pickled else None
    pipeline = SklearnPipeline(
        classifier,
        len(labels),
        decode=form.decode,
        form=digest([repr(form), code_of(form.decode)])[:32],
        identity=identity or "",
    )
    deployed: Model = from_sklearn(
        classifier,
        classes=len(labels),
        name=Path(model).name,
        offers=Access.LABELS | Access.SCORES | Access.TRAIN,
        # An ONNX file holds a model and not the estimator that learnt it.
        fit=pipeline.fit if retrain and not onnx else None,
        labels=labels,
        decode=form.decode,
        identity=identity,
    )
    accuracies = {
        f"{name} accuracy": _accuracy(deployed, part, form)
        for name, part in (("train", members), ("test", others))
    }
    _check_order(deployed, members, form)
    attribute: dict[str, Any] = {}
    titles: list[str] = []
    if sensitive:
        part, titles = _sensitive(form, sensitive, members, others, deployed)
        attribute = {"fit": pipeline.fit, "parts": (part,)}
    if poisoned:
        attribute |= poisonable(
            deployed.fit,
            members,
            others,
            labels,
            "leave out --no-retrain, and give .skops or .joblib",
        )
    attribute["parts"] = (*attribute.get("parts", ()), _evasion_rules(form, members.x))
    return Scene(
        name=Path(model).stem,
        modality=Modality.TABULAR,
        model=deployed,
        train=members,
        **{"holdout": others, "extra": {"test": others}, **attribute},
        utility=accuracy_utility,
        settings=Settings(
            references=references,
            sparing=sparing and not references and bool(deployed.identity),
            on_order=frozenset({"evasion"}),
        ),
        facts={
            **accuracies,
            "records": len(members),
            "columns": len(form.fields),
            **({"sensitive": f"{sensitive}: {', '.join(titles)}"} if sensitive else {}),
            **described({"model": model, "train": train, "test": test}),
        },
    )


def _sensitive(
    form: TableForm, name: str, members: Data, others: Data, model: Model
) -> tuple[SensitiveAttribute, list[str]]:
    """Return what attribute inference is about, and the names of the column's values.

    Raises:
        UsageError: the model cannot be trained again, or there are too few records.
    """
    if model.fit is None:
        raise UsageError(
            "--sensitive must go with an estimator that is trained again: leave out "
            "--no-retrain, and give .skops or .joblib"
        )
    places, codes, titles = field_values(form, name, members.x)
    if len(members) < 2 * LEAST:
        raise UsageError(
            f"--train must have at least {2 * LEAST} records for --sensitive, got {len(members)}"
        )
    redrawn = min(100, len(members) // 2)
    return SensitiveAttribute(places, codes, targets=redrawn, public=others), titles


def _columns(paths: list[Path], target: str, sensitive: str) -> list[dict[str, Column]]:
    """Read tables, and check what can be without the model, which may take a minute to load.

    Raises:
        UsageError: a file is not a table with rows, or has no such column.
    """
    tables = [read_columns(path) for path in paths]
    check_target(paths, tables, target)
    if sensitive and sensitive not in tables[0]:
        raise UsageError(
            f"--sensitive must be a column that the model reads, got {sensitive!r}"
            f"{did_you_mean(sensitive, tables[0])}"
        )
    return tables


def _answers(classifier: Any, form: TableForm, x: Floats) -> bool:
    """Whether a classifier takes records in this form: its own code says so in no other way."""
    try:
        classifier.predict_proba(form.decode(x[:2]))
    except Exception:
        return False
    return True


def _as_fitted(form: TableForm, classifier: Any, x: Floats) -> TableForm:
    """Return the form in which an estimator was fitted: its missing words, and its frames.

    Nothing but its steps says so: categories that they learnt, and whether they can read a frame.
    """
    words = [value for values in _categories(classifier) for value in values]
    if any(word is None for word in words):
        form = replace(form, absent="none")
    of_polars = replace(form, frames="polars")
    if _answers(classifier, form, x) or not _answers(classifier, of_polars, x):
        return form
    return of_polars


def _categories(estimator: Any) -> Iterator[list[Any]]:
    """Yield the categories of every step of an estimator that learnt some."""
    pending, visited = [estimator], set[int]()
    while pending:
        part = pending.pop()
        if id(part) in visited or not hasattr(part, "__dict__"):
            continue
        visited.add(id(part))
        learnt = vars(part).get("categories_")
        if isinstance(learnt, list):
            yield from (np.asarray(values).tolist() for values in learnt)
        for value in vars(part).values():
            for item in value if isinstance(value, list | tuple) else [value]:
                pending += item if isinstance(item, tuple) else [item]


def _accuracy(model: Model, data: Data, form: TableForm) -> float:
    """Return the accuracy of a model, asked about these records for the first time.

    Raises:
        UsageError: it cannot read them.
    """
    try:
        return accuracy(model, data)
    except HartleyError:
        raise
    except Exception as error:  # steps of the user's own can fail in any way
        reason = " ".join(str(error).split())
        cure = "; save the whole pipeline, with the step that fills them" * ("NaN" in reason)
        if mixed := mixed_columns(form):
            cure = f"; numbers and words are in one column: {', '.join(mixed)}"
        raise UsageError(
            f"{model.name} must read the records of {data.name}, got {type(error).__name__}: "
            f"{reason[:160]}{cure}"
        ) from error


def _check_order(model: Model, members: Data, form: TableForm) -> None:
    """Check that columns which the model does not name are in the order that it was fitted on.

    Raises:
        UsageError: of the records that it was trained on it recognises no more than a guess does,
            in the mean over classes, and it does not say the same of all.
    """
    if form.named or len(members) < ENOUGH:
        return
    predicted = np.asarray(model.query(members.x)).argmax(1)
    present = np.unique(members.labels)
    recall = np.mean([(predicted[members.labels == k] == k).mean() for k in present])
    if len(present) > 1 and len(np.unique(predicted)) > 1 and recall <= 1 / model.classes:
        raise UsageError(
            f"{model.name} must recognise the records of {members.name}, got {recall:.0%} of a "
            f"class in the mean, no more than a guess among {model.classes}: it names no columns, "
            f"and reads those of the table in their order ({_listed(form)}); write them in that of "
            "its training, or fit it on a data frame"
        )


def _listed(form: TableForm) -> str:
    return ", ".join(field.name for field in form.fields[:8]) + ", …" * (len(form.fields) > 8)


def _evasion_rules(form: TableForm, x: Floats) -> Perturbation:
    """Numbers may change by a twentieth of their range, within it; words and flags may not."""
    low, high = x.min(0), x.max(0)
    free = [field.kind in (NUMBER, WHOLE) for field in form.fields]
    starts = np.cumsum([0, *(field.width for field in form.fields)])[:-1]
    # The second number of a field says that its value is missing.
    values = np.isin(np.arange(x.shape[1]), starts[free])
    return Perturbation("linf", SHARE, low, high, np.where(values, high - low, 0.0))


def _labels_of(classifier: Any, path: str) -> list[Any]:
    """Return the values that a classifier predicts, in the order of its answers.

    Raises:
        UsageError: it is not a fitted classifier that gives probabilities.
    """
    kind = type(classifier).__name__
    if not hasattr(classifier, "predict"):
        raise UsageError(
            f"{path} must hold a scikit-learn classifier, got {kind}; save the whole pipeline, "
            "with the classifier as its last step"
        )
    try:
        labels = classifier.classes_
    except AttributeError:  # a pipeline asks its last step
        fitted = any(name.endswith("_") and not name.startswith("_") for name in vars(classifier))
        reason = "a model that predicts no classes" if fitted else "one that is not fitted"
        cure = "" if fitted else "; call its fit, and save it again"
        raise UsageError(
            f"{path} must hold a fitted classifier, got {reason} ({kind}){cure}"
        ) from None
    if not hasattr(classifier, "predict_proba"):
        raise UsageError(
            f"{path} must answer with probabilities (predict_proba), got {kind}; wrap it in "
            "sklearn.calibration.CalibratedClassifierCV, or save it with probability=True"
        )
    if isinstance(labels, list | tuple):
        raise UsageError(f"{path} must answer one label a record, got several from a {kind}")
    values: list[Any] = labels.tolist()
    return values
