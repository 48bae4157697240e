"""A user's own network: a module in a Python file with its weights, and their training loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Modality, Range, Scene, Settings, Stronger, recipe
from hartley.core.errors import UsageError
from hartley.data.user_arrays import UserRecords, classified, read_arrays, records_of
from hartley.kit.cache import digest
from hartley.scenes._assemble_vision import accuracy, accuracy_utility
from hartley.scenes._poisonable import poisonable
from hartley.scenes._user_files import check_there, described
from hartley.targets.network_file import (
    Gives,
    Network,
    check_units,
    checked_device,
    described_device,
    identity_of,
    load_network,
    probed,
)
from hartley.targets.network_training import NetworkTraining
from hartley.targets.python_object import is_object, load_object
from hartley.targets.user_training import UserTraining

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Data

ENOUGH = 50
"""Records from which an accuracy at the level of a guess is not chance."""
EXAMPLE = (
    "hartley assess --model net.py:Net --weights model.safetensors --train train.npz --test "
    "test.npz --fit train.py:fit"
)


@recipe(modality=Modality.VISION)
def own_network(
    *,
    model: Annotated[str, Stronger.NEITHER] = "",
    weights: Annotated[str, Stronger.NEITHER] = "",
    fit: Annotated[str, Stronger.NEITHER] = "",
    train: Annotated[str, Stronger.NEITHER] = "",
    test: Annotated[str, Stronger.NEITHER] = "",
    gives: Annotated[Gives, Stronger.NEITHER] = "auto",
    modality: Annotated[Literal["auto", "vision", "tabular", "audio"], Stronger.NEITHER] = "auto",
    device: Annotated[str, Stronger.NEITHER] = "cpu",
    references: Annotated[int, Range(0, 512)] = 0,
    sparing: Annotated[bool, Stronger.NEITHER] = True,
    opened: Annotated[bool, Stronger.MORE] = False,
    poisoned: Annotated[bool, Stronger.MORE] = False,
    pictures: Annotated[bool, Stronger.NEITHER] = False,
) -> Scene:
    """A network of your own from a Python file, and the records that it was trained and tested on.

    Args:
        model: FILE.py:NAME of a torch module, its class or a function that returns one; or of a
            function of the records that returns scores.
        weights: the file with the network's trained weights: .safetensors, or a state dict (.pt).
        fit: FILE.py:NAME of your training loop, fit(x, y) → the trained module. The strong attacks
            (LiRA, RMIA) need it to train reference models, and are left out without it.
        train: the records that it was trained on: .npz with x and y, a folder of pictures or of
            sounds with a sub-folder for each class, or FILE.py:NAME of (x, y), a Dataset or a
            DataLoader. Sounds are float32 (channels, samples) in −1…1, of one length.
        test: others of the same kind that it never saw.
        gives: what the model returns; auto is logits of a network, probabilities of a function.
        modality: what the records are; auto reads it off their shape.
        device: a torch device, for the model and its references: cpu, cuda, mps.
        references: models that an attacker trains; 0 trains as many as still add to LiRA, up to
            what each attack says.
        sparing: where references is 0, leave out models that would add little. A plan that says how
            many references an attack has gets as many.
        opened: also give attackers the gradients, which white-box evasion needs.
        poisoned: also train the model on poisoned records, for the attacks of poisoning. A plan or
            --only that names them sets it. A third of the test records is then the attacker's, and
            a third trusted by the owner.
        pictures: let the report show one test record, clean and attacked. Without it a report holds
            no content of a record.

    Raises:
        UsageError: a file or something in it is not there, does not fit the rest, or fails.
    """
    for flag, value in {"model": model, "train": train, "test": test}.items():
        if not value:
            raise UsageError(f"--{flag} must be given, got none: {EXAMPLE}")
    if not is_object(model) and model.endswith((".skops", ".onnx")):
        raise UsageError(
            f"the records of an estimator in a file must be tables, got --train {train}: hartley "
            f"assess --model {model} --train train.csv --test test.csv --target COLUMN"
        )
    if not is_object(model):
        raise UsageError(
            f"--model must be FILE.py:NAME of the code that builds the network, got {model}: "
            f"{EXAMPLE}"
        )
    if train == test or Path(train).resolve() == Path(test).resolve():
        raise UsageError(f"--test must be records that the model never saw, got {train} twice")
    check_there({"model": model, "weights": weights, "fit": fit, "train": train, "test": test})
    what = f"--model {model}"
    if device != "cpu":
        checked_device(device)
    answer, build = load_network(model, weights, device)
    files = {"train": train, "test": test}
    kind, data, notes = classified(
        {f"--{flag} {text}": _records(flag, text) for flag, text in files.items()}, modality
    )
    members, others = data.values()
    output, classes = probed(answer, what, members.x[:2], device, gives)
    most = max(int(part.y.max()) for part in (members, others) if part.y is not None) + 1
    if classes and most > classes:
        raise UsageError(
            f"the labels must be from 0 to {classes - 1}, one for each of the {classes} answers of "
            f"{model}, got {most - 1}"
        )
    network = Network(model, answer, build, device, output, classes or most, kind)
    answers = np.concatenate(
        [
            check_units(network.model(answer, what, identity=""), what, part.x)
            for part in (members, others)
        ]
    )
    training = UserTraining.load(fit, network) if fit else None
    deployed = network.model(
        answer,
        what,
        identity=_identity(network, answers, training),
        fit=None if training is None else training.fit,
        opened=opened,
    )
    correct = accuracy(deployed, members)
    _check_accuracy(correct, network, members)
    fields: dict[str, Any] = {"holdout": others, "extra": {"test": others}}
    if poisoned:
        cure = "give your training loop as --fit train.py:fit"
        fit_again = None if training is None else training.fit
        fields = poisonable(fit_again, members, others, range(network.classes), cure)
    return Scene(
        name=Path(model.rpartition(":")[0]).stem,
        modality=kind,
        model=deployed,
        train=members,
        **fields,
        training=NetworkTraining(network, bool(weights), training),
        utility=accuracy_utility,
        settings=Settings(
            pictures=pictures,
            references=references,
            sparing=sparing and not references and bool(deployed.identity),
            opens=Access.NOTHING if opened else network.could_open,
            opening="--opened",
            # Who opens a network wants it attacked so.
            on_order=frozenset() if opened else frozenset({"evasion"}),
        ),
        facts={
            "train accuracy": correct,
            "test accuracy": accuracy(deployed, others),
            "records": len(members),
            "shape of a record": " × ".join(map(str, members.x.shape[1:])),
            "gives": str(output),
            "device": described_device(device),
            **notes,
            **described({"model": model, **files}),
            **described({k: v for k, v in {"weights": weights, "fit": fit}.items() if v}),
        },
    )


def _records(flag: str, text: str) -> UserRecords:
    what = f"--{flag} {text}"
    if is_object(text):
        return records_of(load_object(text, f"--{flag}"), what)
    return read_arrays(Path(text), what)


def _identity(network: Network, answers: NDArray[Any], training: UserTraining | None) -> str:
    """Return the deployed model's identity; another training makes another scene of it."""
    identity = identity_of(network, answers)
    if training is None:
        return identity
    return f"{identity} {digest([training.text, training.code])[:16]}"


def _check_accuracy(correct: float, network: Network, members: Data) -> None:
    """Refuse a model that knows nothing of the records that it was trained on.

    Raises:
        UsageError: it does no better than a guess among its classes. Its loss then says nothing
            about its training, and a test of it passes for the wrong reason.
    """
    if network.classes > 1 and correct <= 1 / network.classes and len(members) >= ENOUGH:
        raise UsageError(
            f"{network.text} must recognise the records of --train, got an accuracy of "
            f"{correct:.3f} with {network.classes} classes: are their scale, the order of their "
            "channels and their labels those of its training?"
        )
