"""The records that the attacks of a run expose most, and how many of them chance explains.

A row of the run document lists its own (``channel.exposed_records``). Here one row is chosen, and
the choice is paid for: with m rows to choose from, the share that chance explains is m times as
large, unless the row certifies bits at the level of all m.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hartley.channel.exposed_records import BEYOND
from hartley.reference.schema import baseline_rows
from hartley.report.format_numbers import NOTHING, bits, count, number, percent, span


@dataclass(frozen=True, slots=True)
class WorstRecord:
    """A record of the user's, as the best attack exposes it. Its content is nowhere.

    Attributes:
        source: the file or the data set that it is in.
        row: its number there, from 0, a header aside.
        attack: that exposes it.
        bits: what the attack's scores say about this record's membership, mean over victims.
        low, high: its interval over victims; None for one victim.
        victims: models that were asked about it.
        members: those of them that were trained on it.
        auc: share of pairs of victims of which the one that was trained on it has the higher score;
            None of one victim.
        fpr: share of the records that the model was not trained on that score as high; None of
            several victims.
        chance: largest share of the list down to here that chance explains.
    """

    source: str
    row: int
    attack: str
    bits: float
    low: float | None
    high: float | None
    victims: int
    members: int
    auc: float | None
    fpr: float | None
    chance: float

    @property
    def beyond_chance(self) -> bool:
        """Whether chance explains at most a twentieth of the list down to this record."""
        return self.chance <= BEYOND

    def __str__(self) -> str:
        """Write the record in one line."""
        return f"{self.source} row {self.row}: {self.evidence}, by {self.attack}"

    @property
    def evidence(self) -> str:
        """How exposed it is, in words."""
        if self.fpr is not None:
            return f"{percent(self.fpr)} of the others score as high"
        area = "" if self.auc is None else f"AUC {number(self.auc)}, "
        return (
            f"{area}{bits(self.bits)} bit {span(self.low, self.high)} over "
            f"{count(self.victims, 'victim')}, {self.members} trained on it"
        )


@dataclass(frozen=True, slots=True)
class WorstRecords:
    """The most exposed records of a run.

    Attributes:
        attack: that exposes them.
        records: the worst first.
        n: records that were asked about; of one victim those that it was trained on.
        nonmembers: of one victim, the others; None of several victims.
        beyond: how many are exposed beyond chance; of an attack that does not certify bits among
            all attacks, how many of ``records``.
    """

    attack: str
    records: tuple[WorstRecord, ...]
    n: int
    nonmembers: int | None
    beyond: int


def worst_records(document: Mapping[str, Any], attack: str = "") -> WorstRecords | None:
    """Return the most exposed records of a run, or None where no sound row says which they are.

    Args:
        document: a run document.
        attack: whose records; empty: of the attack with the largest AUC.
    """
    rows = [
        row
        for row in baseline_rows(document)
        if row["status"] == "measured" and not row.get("flags") and row.get("exposed")
    ]
    named: list[Mapping[str, Any]] = [row for row in rows if not attack or row["attack"] == attack]
    if not named:
        return None
    # Not by what is certified: that grows with the scores of the few that are listed, so that the
    # attack with the most false ones among them would be chosen.
    best = max(named, key=_area)
    tries, exposed = len(rows), best["exposed"]
    factor = 1 if _certifies(best, tries) else tries
    records = tuple(
        WorstRecord(
            **{**record, "attack": best["attack"], "chance": min(1.0, factor * record["chance"])}
        )
        for record in exposed["records"]
    )
    listed = sum(record.beyond_chance for record in records)
    beyond = exposed["beyond"] if factor == 1 else listed
    return WorstRecords(best["attack"], records, exposed["n"], exposed["nonmembers"], beyond)


def _area(row: Mapping[str, Any]) -> float:
    """Return the AUC of a row; 0 where it has none."""
    area = (row.get("metrics") or {}).get("auc")
    return float(area["value"] if isinstance(area, Mapping) else area or 0.0)


def _certifies(row: Mapping[str, Any], tries: int) -> bool:
    """Whether a row certifies bits at its own error level over this many rows."""
    value = row["bits"]
    alpha = (value.get("alpha") or 0.05) / tries
    pairs = value.get("lows") or [[value.get("alpha") or 0.05, value.get("low") or 0.0]]
    return any(level <= alpha * (1 + 1e-9) and low > 0 for level, low in pairs)


def in_one_sentence(worst: WorstRecords | None) -> Iterator[str]:
    """Say how many records are exposed beyond chance, where any is."""
    if worst is not None and worst.beyond:
        yield (
            f"Of {number(worst.n)} records, {worst.attack} exposes {number(worst.beyond)} beyond "
            "chance."
        )


def explained(worst: WorstRecords, length: int) -> Iterator[str]:
    """Yield what a list of records means, a sentence each.

    Args:
        worst: the records.
        length: of the list.
    """
    first = worst.records[0]
    if worst.nonmembers is not None:
        yield (
            f"{worst.attack} was asked about {count(worst.n, 'record')} that the model was trained "
            f"on and {number(worst.nonmembers)} others. Listed are those of the first with the "
            "highest scores, each with the share of the others that score as high: a threshold "
            "that catches the record accuses that many falsely."
        )
    else:
        yield (
            f"{worst.attack} was asked about {count(worst.n, 'record')} by "
            f"{count(first.victims, 'model')}, each trained on a part of them. Listed are the "
            "records whose scores say best which models were trained on them: the AUC compares the "
            "scores of one record over the models; the bits are those that a reader of all scores "
            "gains, with an interval that allows for the choice of the worst."
        )
    alike = {record.fpr for record in worst.records[:length]}
    if worst.nonmembers and alike == {first.fpr} and first.fpr:
        yield "All of these scores are about equal: the order says little."
    last = worst.records[length - 1].chance
    expected = "all" if last >= 1.0 else f"about {number(length * last, 2)}"
    yield f"The worst of many look bad by chance: of these {length} it can explain {expected}."
    yield (
        f"{count(worst.beyond, 'record is', 'records are')} exposed beyond chance, which explains "
        f"at most {percent(BEYOND)} of these."
        if worst.beyond
        else "No record is exposed beyond chance."
    )
    yield "Rows are counted from 0, a header aside; no content of a record is stored or printed."


ONE = ("#", "data", "row", "others that score as high", "chance explains")
MANY = ("#", "data", "row", "AUC", "bits", "models trained on it", "chance explains")


def head(worst: WorstRecords) -> Sequence[str]:
    """Return the titles of the columns."""
    return MANY if worst.nonmembers is None else ONE


def lines(worst: WorstRecords, length: int) -> Iterator[list[str]]:
    """Yield the cells of a line for each record."""
    for place, record in enumerate(worst.records[:length], 1):
        known = f"up to {percent(record.chance)}"
        where = [str(place), record.source, str(record.row)]
        if worst.nonmembers is None:
            area = NOTHING if record.auc is None else number(record.auc)
            value = f"{bits(record.bits)} {span(record.low, record.high)}"
            yield [*where, area, value, f"{record.members} of {record.victims}", known]
        else:
            assert record.fpr is not None
            others = f"{number(round(record.fpr * worst.nonmembers))} of {number(worst.nonmembers)}"
            yield [*where, f"{percent(record.fpr)} ({others})", known]
