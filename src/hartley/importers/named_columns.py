"""Columns of a plain table under the names that its writer gave them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.trials.import_table import separator_hint
from hartley.channel.trials.table_doubts import printable
from hartley.channel.trials.table_numbers import numbers, present
from hartley.core.errors import BadTrials, UsageError
from hartley.importers.outcomes import Collected, Rates, share
from hartley.kit.table_files import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLER = (
    *("loss", "losses", "nll", "neg_log_likelihood", "cross_entropy", "ce_loss", "xent", "error"),
    *("perplexity", "ppl", "log_perplexity", "distance", "reconstruction_error"),
)
"""Names of scores of which a smaller one means member."""
SCORES = (*SMALLER, "confidence", "probability", "prob", "margin", "logit", "likelihood")
"""Names of a column that may be the score."""
MEMBER = ("member", "members", "in", "train", "training", "yes", "true")
OTHER = ("nonmember", "nonmembers", "out", "test", "holdout", "heldout", "no", "false")
"""Words for membership, without ``-``, ``_`` and spaces."""
ROLES = ("truth", "guess", "score", "cluster", "uses")
"""What a column may be of a table with a secret; each has a flag."""
MEMBERSHIP = (
    *("member", "is_member", "membership", "memberships", "in_train", "is_train", "label"),
    *("secret", "ismember", "in_training", "seen"),
)
"""Names of a column that may be the truth."""
SUCCESS = (
    *("success", "jailbroken", "is_jailbroken", "jailbreak", "attack_success", "successful"),
    *("succeeded", "hit", "unsafe", "harmful", "complied"),
)
"""Names of a column that says whether an attempt succeeded."""
SHARED = ("prompt", "seed_prompt", "behavior", "behaviour", "goal", "question", "objective")
"""Names of what several attempts may have in common."""
LEVEL, FEWEST, SORTED = 0.001, 10, 2
"""p-value below which neighbouring attempts are alike, the successes and the failures that this
takes, and the runs of a file that is sorted by its outcomes."""
WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class Names:
    """Which column of a table is what; an empty name is the usual one.

    Attributes:
        truth, guess, score, cluster, uses: names of the columns that are read as such.
        success: the column of outcomes, for a rate.
        by: the column of which each value has a rate of its own.
        smaller: whether a smaller score means truth 1; None: as the score's name says, else not.
    """

    truth: str = ""
    guess: str = ""
    score: str = ""
    cluster: str = ""
    uses: str = ""
    success: str = ""
    by: str = ""
    smaller: bool | None = None


def renamed(
    path: Path, columns: dict[str, Column], names: Names
) -> tuple[dict[str, Column], tuple[str, ...]]:
    """Return the columns under the names that ``import_table`` reads, and what is assumed.

    Raises:
        BadTrials: a column that was named is not there.
    """
    table = dict(columns)
    notes: list[str] = []
    roles = {role: getattr(names, role) for role in ROLES}
    for role, name in roles.items():
        if name:
            table[role] = _column(path, columns, name, role)
    for name in roles.values():
        if name and name not in roles:
            table.pop(name, None)
    _check_roles(path, columns, table)
    notes += _one_answer(table, names)
    if roles["cluster"] and roles["cluster"] != "run":
        table.pop("run", None)
    if names.smaller is not None and "score" not in table:
        flag = "smaller" if names.smaller else "larger"
        raise UsageError(f"--{flag}-is-member must come with a score, got a guess; leave it out")
    if "score" in table and "guess" not in table:
        if "truth" in table:
            table["truth"] = _memberships(table["truth"])
        table["score"], direction = _directed(path, table["score"], names)
        notes += direction
    return table, tuple(notes)


def _one_answer(table: dict[str, Column], names: Names) -> list[str]:
    """Drop a guess where a score was named, and the reverse; return what was dropped."""
    notes = []
    for role, other in (("score", "guess"), ("guess", "score")):
        if getattr(names, role) and not getattr(names, other) and other in table:
            del table[other]
            notes.append(f"the column `{other}` is not read, since --{role} names another")
    return notes


def _check_roles(path: Path, columns: dict[str, Column], table: dict[str, Column]) -> None:
    """Refuse a table without truth or answer, and say how to name them."""
    listed = printable(f"columns {', '.join(columns)}") if columns else "no columns"
    if "truth" not in table:
        near = next((name for name in columns if name.lower().strip() in MEMBERSHIP), "")
        near = f"--truth {near}?" if near else "--truth COLUMN"
        raise BadTrials(
            f"{path}: the table must have a column `truth`, got {listed}; name it with {near}"
            f"{separator_hint(columns)}"
        )
    if not {"guess", "score"} & table.keys():
        near = next((name for name in columns if name.lower().strip() in SCORES), "")
        which = f"--score {near}?" if near else "--guess COLUMN or --score COLUMN"
        raise BadTrials(
            f"{path}: the table must have a column `guess` or `score`, got {listed}; name it with "
            f"{which}"
        )


def _column(path: Path, columns: dict[str, Column], name: str, role: str) -> Column:
    if name in columns:
        return columns[name]
    near = get_close_matches(name, list(columns), n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    listed = ", ".join(columns)
    raise BadTrials(
        f"{path}: --{role} must name a column, got {name!r}, and the columns are "
        f"{printable(listed)}{separator_hint(columns) or hint}"
    )


def _memberships(truth: Column) -> Column:
    """Return memberships in words as 1 and 0; other columns as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = truth.values
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return truth
    words = {word: _plain(word) for word in pc.unique(values).to_pylist() if word is not None}
    if len(words) > len(MEMBER) + len(OTHER) or not all(
        word in (*MEMBER, *OTHER) for word in words.values()
    ):
        return truth
    codes = {word: int(plain in MEMBER) for word, plain in words.items()}
    return Column(truth.name, pa.array([codes.get(v) for v in values.to_pylist()], pa.int64()))


def _plain(word: str) -> str:
    return "".join(c for c in word.lower() if c not in "-_ ")


def _directed(path: Path, score: Column, names: Names) -> tuple[Column, list[str]]:
    """Return scores of which a larger one means truth 1, and which way was assumed."""
    import pyarrow as pa

    smaller = names.smaller
    by_name = bool(names.score) and names.score.lower() in SMALLER
    if smaller is None:
        smaller = by_name
    if not smaller:
        if not names.score:
            return score, []
        return score, [f"a larger `{names.score}` means truth 1 (else: --smaller-is-member)"]
    why = " by its name (else: --larger-is-member)" if names.smaller is None else ""
    name = names.score or "score"
    negative = pa.array(-numbers(path, score))
    return Column("score", negative), [f"a smaller `{name}` means truth 1{why}"]


def rates_of_table(path: Path, columns: dict[str, Column], names: Names) -> Rates:
    """Return the outcomes of a plain table without a secret.

    Raises:
        BadTrials: no column says which attempts succeeded, or several do, or a value is not an
            outcome.
    """
    success = _column(path, columns, names.success or _success(path, columns), "success")
    values = np.array([_outcome(path, success.name, v) for v in success.values.to_pylist()])
    if not len(values):
        raise BadTrials(f"{path}: the table must have rows, got 0 rows to measure")
    notes: list[str] = []
    name = names.cluster or next((n for n in ("cluster", "run") if n in columns), "")
    if not name and (name := _seed_prompt(columns, len(values))):
        notes.append(f"attempts of one `{name}` belong together, by its name (else: --cluster)")
    if not name:
        notes += _neighbours(values)
    cluster = _labels(path, columns, name, "cluster") if name else list(range(len(values)))
    by = _labels(path, columns, names.by, "by") if names.by else [success.name] * len(values)
    collected = Collected()
    for group, value, unit in zip(by, values, cluster, strict=True):
        collected.add(str(group), float(value), unit)
    return Rates(
        collected.groups(),
        quantity=f"share of attempts whose `{success.name}` is true",
        unit="attempt",
        shared=f"`{name}`" if name else "",
        notes=tuple(notes),
    )


def success_column(columns: dict[str, Column]) -> str:
    """Return the only column that is named after an outcome, or an empty name."""
    outcomes = [name for name in columns if name.lower().strip() in SUCCESS]
    return outcomes[0] if len(outcomes) == 1 else ""


def _success(path: Path, columns: dict[str, Column]) -> str:
    name = success_column(columns)
    if not name:
        listed = ", ".join(columns)
        raise BadTrials(
            f"{path}: a rate must have one column that says which attempts succeeded, such as "
            f"`success` or `jailbroken`, got columns {printable(listed)}; name it with "
            "--success COLUMN"
        )
    return name


def _outcome(path: Path, name: str, value: Any) -> float:
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            value = WORDS[text] if text in WORDS else float(text)
        except ValueError:
            value = value.strip()
    number = share(value)
    if number is None:
        raise BadTrials(
            f"{path}: `{name}` must be true or false, 1 or 0, or a share between them in every "
            f"row, got {printable(repr(value), 60)}"
        )
    return number


def _labels(path: Path, columns: dict[str, Column], name: str, role: str) -> list[Any]:
    """Return (n,) what a column says that rows have in common."""
    return [
        str(value) if isinstance(value, list | dict) else value
        for value in present(path, _column(path, columns, name, role)).to_pylist()
    ]


def _seed_prompt(columns: dict[str, Column], rows: int) -> str:
    """Return the column that, by its name, says which attempts belong together; or nothing.

    Of several, such as a goal and the prompts that were made of it, it is that of fewest values.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    distinct = {
        name: len(pc.unique(column.values))
        for name, column in columns.items()
        if name.lower().strip() in SHARED and not pa.types.is_nested(column.values.type)
    }
    repeated = [name for name, count in distinct.items() if count < rows]
    return min(repeated, key=lambda name: distinct[name], default="")


def _neighbours(values: NDArray[np.float64]) -> list[str]:
    """Ask what neighbouring attempts have in common, where they succeed and fail together.

    Wald and Wolfowitz's test of the number of runs. It does not show that attempts depend on one
    another: attempts that are sorted by their difficulty look like this too.
    """
    hits = values > values.mean()
    ones, zeros = int(hits.sum()), int((~hits).sum())
    runs = 1 + int(np.count_nonzero(np.diff(hits)))
    n = ones + zeros
    if min(ones, zeros) < FEWEST or runs <= SORTED:
        return []
    expected = 1.0 + 2.0 * ones * zeros / n
    spread = math.sqrt((expected - 1.0) * (expected - 2.0) / (n - 1.0))
    p = 0.5 * math.erfc((expected - runs) / spread / math.sqrt(2.0))
    if p >= LEVEL:
        return []
    return [
        f"neighbouring attempts succeed and fail together (p = {p:.1g}): if they share a prompt or "
        "a conversation, name it with --cluster"
    ]
