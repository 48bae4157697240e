"""What an audit returns: the run document, read without knowing its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hartley.channel.exposed_records import LISTED
from hartley.core.errors import UnknownName, UsageError
from hartley.program.wording import in_python
from hartley.reference.schema import baseline_rows, verdict_of
from hartley.report.format_numbers import bits, meaning, number, span
from hartley.report.render import FORMATS, render
from hartley.report.worst_records import WorstRecord, worst_records
from hartley.store import as_bytes, write_atomically

SUFFIXES = {
    **{f".{name}": name for name in ("html", "json", "md", "sarif")},
    ".xml": "junit",
}
"""The format of a report by the end of its file's name."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits that one use of a channel moves.

    Attributes:
        point: the estimate.
        low: certified lower bound; None where there is none.
        high: upper end of the readers that were tried; None where there is none.
        n: uses that were measured.
        unit: what one use is about, such as a record.
        confidence: of the interval.
    """

    point: float
    low: float | None
    high: float | None
    n: int
    unit: str
    confidence: float

    def __str__(self) -> str:
        """Write the number with its interval and its count."""
        ends = f"{span(self.low, self.high)} at {100 * self.confidence:.4g} %"
        return f"{bits(self.point)} bit per {self.unit}, {ends}, n = {number(self.n)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One attack of a run.

    Attributes:
        id: of the row, the same in every run.
        attack: its name.
        game: what was played.
        status: measured, skipped or failed.
        reason: why nothing was measured.
        bits: None where nothing was.
        metrics: usual ones, each a value with its interval, as in the run document.
        flags: what was noticed about the trials.
    """

    id: str
    attack: str
    game: str
    status: str
    reason: str
    bits: Bits | None
    metrics: Mapping[str, Any]
    flags: tuple[str, ...]

    def __str__(self) -> str:
        """Write the row in one line, with what makes it untrustworthy."""
        failed = "failed: " if self.status == "failed" else ""
        figure = f"{failed}{self.reason}" if self.bits is None else str(self.bits)
        return "; ".join([f"{self.attack}: {figure}", *(f"FLAGGED: {flag}" for flag in self.flags)])


@dataclass(frozen=True, slots=True)
class Behind:
    """What an attack reads behind a defense that was added; limits do not judge it.

    Attributes:
        defense: its name.
        attack: its name; the row's id where several rows are of one attack.
        row: id of the row without the defense.
        without: bits without the defense; None where nothing was measured.
        static: bits of an attacker who does not know of the defense; None where not measured.
        adaptive: bits of one who does; None where not measured.
        setting: what the adaptive attacker chose among the settings of the attack; empty where
            there is nothing to choose.
        covered: the share of the leak that the defense takes from the stronger of the attackers
            that were measured, as ``point``, ``low`` and ``high``; None where it is not known.
        reason: why something was not measured.
    """

    defense: str
    attack: str
    row: str
    without: Bits | None
    static: Bits | None
    adaptive: Bits | None
    setting: Mapping[str, Any]
    covered: Mapping[str, Any] | None
    reason: str

    def __str__(self) -> str:
        """Write the row in one line."""
        known = {"without it": self.without, "static attacker": self.static}
        known[" ".join(["adaptive attacker", *self._settings()])] = self.adaptive
        parts = [f"{who} {figure}" for who, figure in known.items() if figure is not None]
        if self.covered is not None:
            parts.append(f"covered {self.covered['point']:.0%} (≥{self.covered['low']:.0%})")
        text = "; ".join([*parts, *([self.reason] if self.reason else [])])
        return f"{self.attack} behind {self.defense}: {text}"

    def _settings(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.setting.items()]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the limits hold.

    Attributes:
        status: pass, over or inconclusive; none where no limits were set.
        reasons: one sentence for each limit that is not kept, or that nothing settles.
        means: what the verdict means.
    """

    status: str
    reasons: tuple[str, ...]
    means: str

    def __str__(self) -> str:
        """Write the verdict and what it means."""
        return "\n".join([f"{self.status}: {self.means}", *self.reasons])


class Report:
    """A run that was played, measured and judged.

    Attributes:
        document: the run document, as ``hartley report --format json`` writes it.
        store: the folder of all runs.
    """

    def __init__(self, document: Mapping[str, Any], store: Path) -> None:
        """Keep a run document and where it is."""
        self.document, self.store = document, store

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.store / str(self.document["id"])

    @property
    def verdict(self) -> Verdict:
        """What the limits say."""
        verdict = self.document["verdict"]
        reasons = tuple(map(in_python, verdict["reasons"]))
        return Verdict(verdict_of(verdict), reasons, in_python(meaning(verdict)))

    def rows(self, name: str = "") -> tuple[Row, ...]:
        """Return rows without added defenses, in the order of the run.

        Args:
            name: of an attack, a game or a row's id; empty: all.

        Raises:
            UnknownName: no row has this name.
        """
        every = baseline_rows(self.document)
        plain = {row["id"]: row["attack"] for row in self.document["channels"]}
        named = [{*(plain[row["id"]], row["game"], row["id"])} for row in every]
        chosen = [row for row, names in zip(every, named, strict=True) if not name or name in names]
        if name and not chosen:
            raise UnknownName("row", name, sorted({n for names in named for n in names}))
        alpha = self.document["plan"].get("alpha", 0.05)
        return tuple(_row(row, plain[row["id"]], 1 - alpha) for row in chosen)

    def behind(self, defense: str = "", *, attack: str = "") -> tuple[Behind, ...]:
        """Return what each attack reads behind each defense that was added, in the run's order.

        Args:
            defense: its name; empty: all.
            attack: a name, or the id of a row; empty: all.

        Raises:
            UnknownName: no defense was added that has this name, or no row behind it that.
        """
        added = self.document.get("defenses") or ()
        names = sorted({str(one["name"]) for one in added})
        if defense and defense not in names:
            raise UnknownName("added defense", defense, names)
        plain = {row["id"]: row for row in self.document["channels"]}
        alpha = self.document["plan"].get("alpha", 0.05)
        rows, attacks = [], set()
        for one in added:
            for row_id, left in (one.get("residual") or {}).items():
                if defense not in ("", one["name"]):
                    continue
                origin = plain.get(row_id, {})
                called = {str(left.get("attack", row_id)), str(origin.get("attack")), row_id}
                attacks |= called
                if attack and attack not in called:
                    continue
                unit = str(origin.get("unit") or "use")
                static, adaptive, without = (
                    None if left.get(who) is None else _bits(left[who], unit, 1 - alpha)
                    for who in ("static", "adaptive", "undefended")
                )
                rows.append(
                    Behind(
                        defense=str(one["name"]),
                        attack=str(left.get("attack", row_id)),
                        row=row_id,
                        without=without,
                        static=static,
                        adaptive=adaptive,
                        setting=(left.get("tuned") or {}).get("setting", {}),
                        covered=(one.get("coverage") or {}).get(row_id),
                        reason=in_python(str(left.get("reason") or "")),
                    )
                )
        if attack and not rows:
            raise UnknownName("row behind a defense", attack, sorted(attacks))
        return tuple(rows)

    def worst_records(self, count: int = 20, *, attack: str = "") -> tuple[WorstRecord, ...]:
        """Return the records that are most exposed, the worst first; their content is nowhere.

        Empty where no row that is sound says which records its uses are about. The first of many
        look bad by chance: ``beyond_chance`` and ``chance`` of each say how far.

        Args:
            count: records at most, from 1 to 50.
            attack: whose records; empty: of the attack with the largest AUC.

        Raises:
            UnknownName: no row is of this attack.
            UsageError: another count.
        """
        if not 1 <= count <= LISTED:
            raise UsageError(f"count must be from 1 to {LISTED} records, got {count}")
        names = {row["attack"] for row in self.document["channels"]}
        if attack and attack not in names:
            raise UnknownName("attack", attack, sorted(names))
        worst = worst_records(self.document, attack)
        return () if worst is None else worst.records[:count]

    def suspect_records(self) -> tuple[Mapping[str, Any], ...]:
        """Return the records that look poisoned, the most suspicious first; empty without a scan.

        Each has its ``source`` and ``row`` (of a folder its ``file``), the share of clean records
        that look as bad (``fpr``), the ``detectors`` that flag it, and how much of the list down to
        it ``chance`` explains.
        """
        return tuple((self.document.get("suspects") or {}).get("records", ()))

    def save(self, path: str | Path, *, format: str = "") -> Path:
        """Write the report to a file.

        Args:
            path: its end says the format: .html, .md, .json, .sarif, .xml (JUnit).
            format: one of ``hartley report``; empty: by the file's end.

        Raises:
            UsageError: no format of this name, or no such folder.
        """
        path = Path(path)
        format = format or SUFFIXES.get(path.suffix.lower(), "")
        if not format:
            raise UsageError(
                f"the report's file must end in {', '.join(SUFFIXES)}, or name a format "
                f"(format={' | '.join(FORMATS)}), got {path}"
            )
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
        write_atomically(path, as_bytes(render(self.document, format)))
        return path

    def __str__(self) -> str:
        """Write the verdict and one line for each row that was measured or failed.

        After them come the rows behind each defense, and why one was not measured.
        """
        from hartley.report import suspects
        from hartley.report.summary import (
            of_one_training,
            of_swapped_records,
            of_unlike_answers,
        )

        rows = [str(row) for row in self.rows() if row.status != "skipped"]
        known = [
            *map(str, self.behind()),
            *(
                f"{one['name']}: not measured: {in_python(str(one['reason']))}"
                for one in self.document.get("defenses") or ()
                if one.get("reason")
            ),
            *suspects.sentences(self.document),
            *of_one_training(self.document),
            *of_unlike_answers(self.document),
            *of_swapped_records(self.document),
        ]
        return "\n".join([f"run {self.document['id']}", *rows, *known, str(self.verdict)])

    def __repr__(self) -> str:
        """Write the same where a notebook or a prompt shows the last value of a cell."""
        return str(self)


def _bits(known: Mapping[str, Any], unit: str, confidence: float) -> Bits:
    return Bits(known["point"], known["low"], known["high"], known["n"], unit, confidence)


def _row(row: Mapping[str, Any], attack: str, confidence: float) -> Row:
    measured = None
    if row["status"] == "measured":
        measured = _bits({**row["bits"], "n": row["n"]}, row["unit"], confidence)
    return Row(
        id=row["id"],
        attack=attack,
        game=row["game"],
        status=row["status"],
        reason=in_python(row["reason"] or ""),
        bits=measured,
        metrics=row.get("metrics") or {},
        flags=tuple(row["flags"]),
    )
