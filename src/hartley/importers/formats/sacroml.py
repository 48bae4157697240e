"""Records that SACRO-ML attacked: membership and the attack's score for each.

Read in the source of SACRO-ML 2.0 (``attacks/report.py``, ``likelihood_attack.py``,
``qmia_attack.py``, ``worst_case_attack.py``, ``meta_attack.py``), and checked on files of 2.0.1.
With ``report_individual=True`` an attack writes ``individual.member_prob`` and
``individual.member`` into ``report_arrays_<id>_instance_0.npz`` beside ``report.json``, whose
``arrays_file`` names it; before 2.0 they are in ``report.json``. Larger ``member_prob`` means
member, also where it is a log-likelihood ratio. The meta attack has ``mia_mean`` and ``is_member``.
A worst-case attack splits the same records again for each instance.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.importers.formats.lira_arrays import ONE_MODEL, columns
from hartley.importers.outcomes import Columns
from hartley.importers.source import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

READS = "SACRO-ML report (report.json, report_arrays_*.npz)"
FIELDS = (("member", "member_prob"), ("is_member", "mia_mean"))
"""Names of the membership and of the score, in attacks and in the meta attack."""
PREFIX = "individual."


def recognises(source: Source) -> bool:
    """Whether the archive has arrays of records, or the document attacks of SACRO-ML."""
    if source.is_zip:
        return any(name.startswith(PREFIX) for name in source.array_names())
    return bool(_attacks(source.document))


def read(source: Source) -> Columns:
    """Return membership and score of each record of one attack."""
    if source.is_zip:
        return _from_arrays(source)
    attacks = _attacks(source.document)
    instances = {
        f"{name} / {key}": instance
        for name, attack in attacks.items()
        for key, instance in _instances(attack).items()
        if isinstance(instance, dict) and ("arrays_file" in instance or "individual" in instance)
    }
    if not instances:
        raise source.broken(
            "a report of SACRO-ML must have scores of the records",
            f"{', '.join(attacks) or 'it'} has none; run the attack with report_individual=True",
        )
    instance = instances[source.chosen(list(instances), "attack")]
    if "individual" in instance:
        return _columns(source, instance["individual"])
    name = str(instance["arrays_file"])
    if PurePosixPath(name).name != name or "\\" in name:
        raise source.broken("arrays_file must be a file beside the report", f"got {name!r}")
    return _from_arrays(Source(source.path.parent / name))


def _attacks(document: Any) -> dict[str, dict[str, Any]]:
    """Return the attacks of a report, by the name that it gives them."""
    if not isinstance(document, dict):
        return {}
    return {
        str(name): attack
        for name, attack in document.items()
        if isinstance(attack, dict) and "attack_experiment_logger" in attack
    }


def _instances(attack: dict[str, Any]) -> dict[str, Any]:
    logger = attack["attack_experiment_logger"]
    instances = logger.get("attack_instance_logger") if isinstance(logger, dict) else None
    return instances if isinstance(instances, dict) else {}


def _from_arrays(source: Source) -> Columns:
    present = {
        name.removeprefix(PREFIX) for name in source.array_names() if name.startswith(PREFIX)
    }
    wanted = [name for pair in FIELDS for name in pair if name in present]
    arrays = source.arrays(f"{PREFIX}{name}" for name in wanted)
    return _columns(source, {name.removeprefix(PREFIX): values for name, values in arrays.items()})


def _numbers(source: Source, name: str, values: Any) -> NDArray[Any]:
    """Return one number for each record, of an array or of a list of JSON."""
    if isinstance(values, np.ndarray):
        return values
    if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
        raise source.broken(f"`{name}` must be a list of numbers", "it is not")
    try:
        return np.array(values, np.float64)
    except OverflowError as error:
        raise source.broken(f"`{name}` must be a list of numbers", error) from error


def _columns(source: Source, individual: Any) -> Columns:
    fields = individual if isinstance(individual, dict) else {}
    for member, score in FIELDS:
        if member in fields and score in fields:
            truth, scores = (_numbers(source, name, fields[name]) for name in (member, score))
            return columns(source, scores, truth, notes=(ONE_MODEL,))
    raise source.broken(
        "the records of SACRO-ML must have `member` and `member_prob`",
        f"got {', '.join(map(str, fields)) or 'nothing'}; structural and attribute attacks have "
        "neither",
    )
