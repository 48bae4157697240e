"""The first screen in words: what an attacker could learn, how sure that is, what to do now.

Every number in a sentence is one of a row of the run document, and the sentence names the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hartley import catalog
from hartley.channel.trials.split_quality import BLIND, explained
from hartley.reference.schema import baseline_rows
from hartley.report import rings, suspects
from hartley.report.findings import class_of
from hartley.report.format_numbers import (
    bits,
    certified_share,
    count,
    figure,
    highest,
    low_of_all,
    metric,
    number,
    percent,
    plain,
    span,
    widest,
)
from hartley.report.unplayed import listed, unplayed
from hartley.report.worst_records import in_one_sentence, worst_records

SECRETS = {
    "membership": "whether a record was in the training data",
    "inversion": "what a training record looks like",
    "link_inference": "whether two records of the training data are linked",
    "attribute_inference": "an attribute of a record that was kept back",
    "gradient_inversion": "which records a training step was computed from",
    "embedding_inversion": "which record an embedding was computed from",
    "memorization": "a secret that was planted in the training data",
    "extraction": "what is particular to this model, by copying it",
    "decryption": "what encrypted text says",
}
"""What a tap reads, by game or class."""

ACCESS = (
    ("weights", "holds the model's weights"),
    ("gradients", "sees the model's gradients"),
    ("embeddings", "sees the model's embeddings"),
    ("scores", "sees the model's scores"),
    ("labels", "sees the model's labels"),
)
"""What an attacker has, the most first."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The first screen.

    Attributes:
        sentences: what an attacker could learn, how sure that is, and beside what.
        gaps: what did not run although it could have, each with its cure.
        actions: what to do now.
    """

    sentences: tuple[str, ...]
    gaps: tuple[str, ...]
    actions: tuple[str, ...]


def summary(document: Mapping[str, Any]) -> Summary:
    """Return the first screen of a run.

    Args:
        document: a run document whose ``channels`` are those that limits judge.
    """
    rows = document["channels"]
    return Summary(
        (
            *suspects.sentences(document),
            *_of_channels_and_loops(rows, rings.sentences(document)),
            *in_one_sentence(worst_records(document)),
            *of_unlike_answers(document),
            *of_swapped_records(document),
        ),
        tuple(_gaps(rows)),
        tuple(_actions(document)),
    )


def limited(document: Mapping[str, Any]) -> str:
    """Say how many rows the limits cover, and which is the widest that they do not.

    Empty where there are no limits.
    """
    verdict = document["verdict"]
    checks = [c for c in verdict.get("checks") or () if c.get("limit") != "against"]
    if not checks:
        return ""
    document = {**document, "channels": baseline_rows(document)}
    named = {check.get("row") for check in checks}
    measured = [row for row in document["channels"] if row["status"] == "measured"]
    within_limits = sum(row["id"] in named for row in measured)
    words = (
        f"The limits speak of {within_limits} of {count(len(measured), 'measured channel')}."
        if measured
        else "The limits speak of none: nothing was measured."
    )
    other = widest([row for row in measured if row["id"] not in named])
    if other is None:
        return words
    return (
        f"{words} The widest that they do not speak of is {_row(other)}: {share_in_words(other)}."
    )


def of_one_training(document: Mapping[str, Any]) -> list[str]:
    """Say what one training certifies where it certifies no bits: of canaries that were planted.

    Their rows read [0, the ceiling], and what was learnt is in figures that no table of bits has.
    """
    measured = [row for row in baseline_rows(document) if row["status"] == "measured"]
    out: list[str] = []
    for cls in dict.fromkeys(class_of(row) for row in measured):
        rows = [row for row in measured if class_of(row) == cls]
        if not any(_low(row) > 0 for row in rows):
            sentences = _of_one_run([row for row in rows if not row.get("flags")])
            out += _in_turn(sentences, again=any(ONE_TRAINING in words for words in out))
    return out


def of_unlike_answers(document: Mapping[str, Any]) -> Iterator[str]:
    """Say that an endpoint answers one question differently, and by how much, where it does."""
    for name, words in (document["scene"].get("facts") or {}).items():
        subject, _, how = str(name).partition(", asked twice")
        if ", asked twice" in str(name) and words != "the same":
            yield f"Equal requests had unlike answers: {subject}{how} are {words}."


def of_swapped_records(document: Mapping[str, Any]) -> Iterator[str]:
    """Say that a model is right less often on what it was trained on, by more than chance."""
    facts = document["scene"].get("facts") or {}
    named = (facts.get(name) for name in ("train accuracy", "test accuracy", "records"))
    numbers = [float(one) for one in named if isinstance(one, int | float)]
    if len(numbers) < 3 or not numbers[2]:
        return
    train, test, n = numbers
    mean = (train + test) / 2
    if test - train > 3 * (2 * mean * (1 - mean) / n) ** 0.5:
        yield (
            f"The model is right on {train:.3f} of the records that it was trained on and on "
            f"{test:.3f} of the others: were the two swapped? If so, swap --train and --test."
        )


def _of_channels_and_loops(
    rows: Sequence[Mapping[str, Any]], loops: Sequence[str]
) -> Iterator[str]:
    """Yield the sentences of all classes and loops; a run of a loop alone is not empty."""
    if not loops or any(row["status"] == "measured" for row in rows):
        yield from _sentences(rows)
    yield from loops


def _sentences(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each class: its widest row, or that nothing was certified."""
    measured = [row for row in rows if row["status"] == "measured"]
    if not measured:
        yield "Nothing was measured, so nothing is known."
        return
    classes = dict.fromkeys(class_of(row) for row in measured)
    best = {cls: widest([r for r in measured if class_of(r) == cls]) for cls in classes}
    sound = [row for row in best.values() if row is not None]
    leaks = sorted(
        (row for row in sound if _low(row) > 0), key=lambda row: -certified_share(row)[1]
    )
    for row in leaks:
        alike = [r for r in measured if class_of(r) == class_of(row) and not r.get("flags")]
        yield _leak(row)
        yield from _with_less(row, alike)
        yield from _metrics(row)
        yield from _anchor(row)
    again = False
    for row in sound:
        if _low(row) <= 0:
            alike = [r for r in measured if class_of(r) == class_of(row)]
            yield _nothing(row, alike)
            yield from _difference([r for r in alike if not r.get("flags")])
            sentences = _of_one_run([r for r in alike if not r.get("flags")])
            yield from (in_turn := _in_turn(sentences, again=again))
            again |= any(ONE_TRAINING in words for words in in_turn)
    for cls in (cls for cls, row in best.items() if row is None):
        yield _unsettled([r for r in measured if class_of(r) == cls])
    flagged = [row for row in measured if row.get("flags")]
    if flagged and sound:
        rows_are = count(len(flagged), "row is", "rows are")
        yield f"{rows_are} flagged, and left out of these sentences."
    if leaks:
        yield from _certified(leaks, sum(not row.get("flags") for row in measured))
    elif sound:
        yield "A better attack may read more."


def _unsettled(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what the rows of a class say of which every one is flagged.

    A flawed split settles nothing that it could explain; what is certified beyond that is a leak
    (``split_quality.unsettling``), as the gate has it.
    """
    cls, flag = plain(class_of(rows[0])), str(rows[0]["flags"][0])
    beyond = {
        row["id"]: _low(row) - explained(row)
        for row in rows
        if all(str(flag).startswith(BLIND) for flag in row["flags"])
    }
    best = max(rows, key=lambda row: beyond.get(row["id"], 0.0))
    if beyond.get(best["id"], 0.0) <= 0.0:
        return f"About {cls} nothing is settled: every row of it is flagged ({flag})."
    return (
        f"About {cls}, members and others differ without any model, which could explain "
        f"{bits(explained(best))} bit; {best['attack']} certifies {bits(_low(best))}, so that at "
        f"least {bits(beyond[best['id']])} bit per {best.get('unit') or 'use'} is a leak."
    )


def _with_less(best: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what an attacker reads who has less than the widest row's: often nearly as much."""
    has = set(best.get("access") or ())
    weaker = [r for r in rows if set(r.get("access") or ()) < has]
    row = widest(weaker)
    if row is None or certified_share(row)[1] < certified_share(best)[1] / 2:
        return
    words = access_in_words(row)
    if words != access_in_words(best):
        yield f"{words} reads {share_in_words(row)}, by {row['attack']}."


def _difference(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say that a class shows although no bit is certified, where its AUC shows it.

    The AUC is certified at the level of all rows together: one of many is above ½ by chance.
    """
    shows = [row for row in rows if (low_of_all(_metric_of(row, "auc"), len(rows)) or 0.0) > 0.5]
    if not shows:
        return
    row = max(shows, key=lambda r: r["metrics"]["auc"]["value"])
    yield (
        f"A difference shows all the same: the AUC of {row['attack']} is "
        f"{figure(row['metrics']['auc'])}, where chance is 0.5."
    )


def _metric_of(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = (row.get("metrics") or {}).get(name)
    return value if isinstance(value, Mapping) else {}


def _certified(leaks: Sequence[Mapping[str, Any]], rows: int) -> Iterator[str]:
    """Say at which confidence the lower ends hold, for one row and as the widest of all."""
    yield (
        f"“At least” is certified: it holds with {_level(leaks[0])} for one row, for what its "
        "attack reads. A better attack may read more."
    )
    if rows < 2:
        return
    lows = {row["attack"]: low_of_all(row["bits"], rows, _alpha(row)) for row in leaks[:3]}
    known = [f"{name} at least {bits(low)}" for name, low in lows.items() if low is not None]
    if known:
        yield (
            f"What is named is the widest of {rows} rows: at the level of all of them together, "
            f"{', '.join(known)} bit."
        )


def _leak(row: Mapping[str, Any]) -> str:
    return (
        f"{access_in_words(row)} {_what_happens(row)}: {_amount(row)}{_units(row)}; by {_row(row)}."
    )


def _nothing(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    sound = [r for r in rows if not r.get("flags")]
    highs = [r["bits"]["high"] for r in sound if r["bits"].get("high") is not None]
    ends = "their upper ends are at most" if len(highs) > 1 else "its upper end is"
    most = f"; {ends} {bits(max(highs))} bit" if highs else ""
    attacks = count(len(sound), "attack that was", "attacks that were")
    return f"Of {plain(class_of(row))}, no bit is certified by the {attacks} played{most}."


ONE_TRAINING = "One training certifies no mean over trainings. Of this one"


def _in_turn(sentences: Iterable[str], *, again: bool) -> list[str]:
    """Say what is true of one training only the first time that it is spoken of."""
    return [s.replace(ONE_TRAINING, "Of the same training") if again else s for s in sentences]


def _of_one_run(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what one training certifies: it rests on the auditor's draws alone, on no mean."""
    alone = [r for r in rows if r.get("planted", True) and r.get("clusters") == 1]
    capable = [row for row in alone if row.get("leakage")]
    if capable:
        best = max(capable, key=lambda row: row["leakage"])
        yield (
            f"{ONE_TRAINING} it is certified that "
            f"{best['attack']} read at least {bits(best['leakage'])} bit per "
            f"{best.get('unit') or 'use'} (min-capacity) of secrets that were drawn at random."
        )
    private = [row for row in alone if (row.get("metrics") or {}).get("epsilon_lower")]
    if private:
        best = max(private, key=lambda row: row["metrics"]["epsilon_lower"])
        delta = best["metrics"].get("epsilon_delta")
        at = f" at δ = {delta:g}" if delta else ""
        yield (
            f"{best['attack']} refutes any claim of differential privacy about a "
            f"{best.get('unit') or 'use'} with ε below "
            f"{number(best['metrics']['epsilon_lower'], 2)}{at}."
        )
    if max(len(capable), len(private)) > 1:
        yield (
            f"That is the largest figure of {len(alone)} attacks; each of them alone holds with "
            f"{_level(alone[0])}."
        )
        yield from _together(alone)
    for row in alone:
        yield from _by_copies(row)


def _together(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what rows of one training certify at the level of all of them together."""
    known = []
    for name, words in (("epsilon", "ε at least {}"), ("min_capacity", "min-capacity {} bit")):
        values = [(row.get("beside") or {}).get(name) or {} for row in rows]
        lows = [low_of_all(v, len(rows), _alpha(rows[0])) for v in values]
        best = max((low for low in lows if low is not None), default=0.0)
        if best > 0.0:
            known.append(words.format(number(best, 2) if name == "epsilon" else bits(best)))
    if known:
        yield f"At the level of all of them together: {', '.join(known)}."


def _by_copies(row: Mapping[str, Any]) -> Iterator[str]:
    """Say how exposure grows with the copies of a canary, by the attack of that name."""
    metrics = row.get("metrics") or {}
    copies = {int(name.split("_")[1]): value for name, value in metrics.items()
              if re.fullmatch(r"exposure_\d+_copies", name)}  # fmt: skip
    if row["attack"] != "exposure" or not copies:
        return
    each = ", ".join(f"{bits(copies[k])} bit planted {_times(k)}" for k in sorted(copies))
    never = metrics.get("exposure_unplanted")
    beside = "" if never is None else f", {bits(never)} never planted"
    yield f"Mean exposure: {each}{beside}; chance is {bits(metrics.get('exposure_null'))}."


def _times(count_: int) -> str:
    return "once" if count_ == 1 else f"{count_} times"


def access_in_words(row: Mapping[str, Any]) -> str:
    """Say who could play a row's attack."""
    access = tuple(row.get("access") or ())
    has = [words for name, words in ACCESS if name in access][:1]
    if "poison" in access:
        has.append("can put records into the training data")
    if "train" in access:
        has.append("can train models like it")
    if "tune" in access:
        has.append("can have the model fine-tuned on their examples")
    if has == [dict(ACCESS)["labels"]] and row.get("modality") == "language":
        has = ["sees what the model answers"]
    if not has:
        return "Someone with the released data alone"
    return f"Someone who {' and '.join(has)}"


def what_is_read(row: Mapping[str, Any]) -> str:
    """Name the secret of a row in words."""
    cls = class_of(row)
    return SECRETS.get(str(row.get("game")), SECRETS.get(cls, f"the secret of {plain(cls)}"))


WITHHELD = ("jailbreak", "blocked_class", "finetuning", "class_unblocking")
"""Games whose message is which of the things that a model withholds comes out."""


def _what_happens(row: Mapping[str, Any]) -> str:
    role, cls = row.get("role"), class_of(row)
    if role == "inject" and row.get("game") in WITHHELD:
        return f"makes the model give what it was made to withhold ({plain(cls)})"
    if role == "inject":
        return f"gets messages of their own into the system's behaviour ({plain(cls)})"
    if role == "jam":
        return f"destroys what the owner's own channel carries ({plain(cls)})"
    return f"could learn {what_is_read(row)}"


def _amount(row: Mapping[str, Any]) -> str:
    """Write a row's bits as a share of its secret, then in bits."""
    value, unit = row["bits"], row.get("unit") or "use"
    return (
        f"{share_in_words(row)} "
        f"({bits(value.get('point'))} bit per {unit}, at least {bits(value.get('low'))})"
    )


def share_in_words(row: Mapping[str, Any]) -> str:
    """Write a row's certified bits as a share of its secret."""
    candidates, certified = certified_share(row)
    return f"at least {percent(certified)} of a secret that is 1 in {number(candidates)}"


def _units(row: Mapping[str, Any]) -> str:
    n, clusters = row.get("n"), row.get("clusters")
    uses = f"; {number(n)} uses"
    return uses if clusters in (None, n) else f"{uses} in {count(clusters, 'cluster')}"


def _row(row: Mapping[str, Any]) -> str:
    return f"{row['attack']} ({plain(class_of(row))})"


def _metrics(row: Mapping[str, Any]) -> Iterator[str]:
    """Say what the share means where alarms must be rare."""
    metrics = row.get("metrics") or {}
    rate = metrics.get("tpr_at_fpr_1e2")
    if class_of(row) == "membership" and isinstance(rate, Mapping):
        yield _rate_in_words(row, rate)
    epsilon = metrics.get("epsilon_lower")
    value = epsilon.get("value") if isinstance(epsilon, Mapping) else epsilon
    delta = metrics.get("epsilon_delta")
    at = f" at δ = {delta:g}" if delta else ""
    if class_of(row) == "membership" and value:
        yield f"It refutes any claim of differential privacy with ε below {number(value, 2)}{at}."


def _rate_in_words(row: Mapping[str, Any], rate: Mapping[str, Any]) -> str:
    low, high = rate.get("low"), rate.get("high")
    if low is not None and high is not None and low <= 0.01 and high >= 0.99:
        return (
            f"How many members {row['attack']} names with one false alarm in a hundred is not "
            "known from these few records."
        )
    ends = "" if low is None or high is None else f" [{percent(low)}, {percent(high)}]"
    return (
        f"With one false alarm in a hundred, {row['attack']} names {percent(rate['value'])}{ends} "
        "of the members, where chance names 1\u00a0%."
    )


def _anchor(row: Mapping[str, Any]) -> Iterator[str]:
    """Compare with differential privacy: the ε whose best channel carries what was certified."""
    low = _low(row)
    if class_of(row) != "membership" or (row.get("alphabet") or 2) != 2 or not 0 < low < 1:
        return
    yield (
        f"For comparison: chance is 0 bits, and no training with pure differential privacy at an ε "
        f"below {number(epsilon_of_bits(low), 2)} can leak {bits(low)} bit of a fair coin."
    )


def epsilon_of_bits(value: float) -> float:
    """Return the ε at which randomised response carries this many bits about a fair coin.

    Of all ε-private channels of a fair coin it carries most (Kairouz et al., arXiv:1407.1338).
    """
    from hartley.infotheory.binary_channel import bits as channel_bits

    low, high = 0.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2.0
        right = 1.0 / (1.0 + 2.718281828459045**-middle)
        if float(channel_bits(right, 1.0 - right)) < value:
            low = middle
        else:
            high = middle
    return high


def _gaps(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what did not run and its cure: failures, and what fits but lacks something."""
    failed: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == "failed":
            failed.setdefault(str(row.get("reason")), []).append(str(row["attack"]))
    for reason, names in failed.items():
        yield f"{listed(names)} failed: {reason}."
    for left_out in unplayed(rows):
        yield f"{left_out.title} did not run: {left_out.reason}."


def _actions(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what to do now: defenses against what leaks, gaps, limits."""
    rows = document["channels"]
    for cls, leaking in _leaking(rows).items():
        yield from _against(cls, leaking, document)
    if any(row["status"] == "failed" for row in rows):
        yield "Find out why rows failed, and run the same command again: it plays only those."
    verdict = document["verdict"]
    if any(row.get("flags") for row in rows):
        yield "Mend what the flags name: a flagged row settles nothing (hartley explain flagged)."
    if not verdict.get("checks"):
        # What `hartley measure --json` printed has no plan, and no journal of its own.
        command = f"{document['id']} --limits limits.toml --save"
        if not document.get("plan"):
            command = "FILE.json --limits limits.toml --accept-unverified"
        yield f"Write down how many bits are too many, and judge the run: hartley gate {command}."
    elif verdict.get("status") == "inconclusive":
        yield "What is inconclusive needs more trials, or what is named as missing."


def _leaking(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows that certify something and are not flagged, by class."""
    leaks: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["status"] == "measured" and not row.get("flags") and _low(row) > 0:
            leaks.setdefault(class_of(row), []).append(row)
    return leaks


def measured_effects(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each defense of a run leaves of each class that leaks, and what it costs."""
    for leaking in _leaking(document["channels"]).values():
        for _, sentence in _effects(leaking, document):
            yield sentence


def _against(
    cls: str, leaking: Sequence[Mapping[str, Any]], document: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what was measured against a class that leaks, then what fits and was not measured."""
    tried: set[str] = set()
    for name, sentence in _effects(leaking, document):
        tried |= set(name.split("+"))
        yield sentence
    games = {str(row.get("game")) for row in leaking}
    modality = str(document["scene"].get("modality") or "")
    protecting = [
        entry
        for entry in catalog.entries("defense")
        if not entry.error
        and entry.name not in tried
        and any(game in entry.protects for game in games)
        and (not modality or not entry.modalities or modality in map(str, entry.modalities))
    ]
    # A run of an earlier version does not say what its scene takes.
    takes = document["scene"].get("fitting")
    fitting = [e.name for e in protecting if takes is None or e.name in takes]
    if fitting:
        example = "dp_sgd" if "dp_sgd" in fitting else fitting[0]
        yield (
            f"Against {plain(cls)}, not measured here: {listed(fitting, 8)}. "
            f"Measure one: the same command with --defense {example}, or in a plan "
            f'[defenses] use = ["{example}"].'
        )
    elsewhere = [e.name for e in protecting if e.name not in fitting and e.stage == "training"]
    if elsewhere and (document.get("plan") or {}).get("scene") == "own_table":
        # They change the steps of a network's training, which an estimator does not have.
        yield (
            f"Against {plain(cls)}, in a training of your own, which this run cannot change: "
            "regularise the estimator more (of trees: less depth, more records in a leaf). Train "
            "it so, assess the new model, and compare the two runs (hartley compare)."
        )
    elif elsewhere:
        yield (
            f"Against {plain(cls)}, in a training of your own, which this run cannot change: "
            f"{listed(elsewhere, 8)}. Train with one, assess the new model, and compare the two "
            "runs (hartley compare)."
        )


def _effects(
    leaking: Sequence[Mapping[str, Any]], document: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield each defense that was measured against a class, and its effect in words.

    What leaves least comes first.
    """
    best = widest(list(leaking))
    assert best is not None
    ids = {row["id"] for row in leaking}
    effects = []
    for defense in document.get("defenses") or ():
        left = [
            (residual.get("adaptive") or residual.get("static"), residual)
            for row_id, residual in (defense.get("residual") or {}).items()
            if row_id in ids and (residual.get("adaptive") or residual.get("static"))
        ]
        if left:
            most = max(bits_left["point"] for bits_left, _ in left)
            effects.append((most, str(defense["name"]), _effect(best, left, defense)))
    for _, name, sentence in sorted(effects, key=lambda effect: effect[0]):
        yield name, sentence


def _effect(
    best: Mapping[str, Any],
    left: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    defense: Mapping[str, Any],
) -> str:
    """Say what a defense leaves to the attack that then reads most, and what it costs.

    Args:
        best: the widest row without the defense.
        left: what each attack reads behind it, and the residual that says so.
        defense: of the run document.
    """
    most, residual = max(left, key=lambda pair: pair[0]["point"])
    who = "who knows of it" if residual.get("adaptive") else "who does not know of it"
    # Another attack may read more in truth: the end is that of all of them.
    high = highest(bits_left for bits_left, _ in left)
    less = high is not None and high < _low(best)
    price = _price(defense.get("utility") or {})
    return (
        f"Against {plain(class_of(best))}, measured here: behind {defense['name']} the widest is "
        f"{residual['attack']} with {bits(most['point'])} bit "
        f"{span(most.get('low'), high)}, of an attacker {who} "
        f"({best['attack']} reads {bits(best['bits']['point'])} without it)"
        f"{'' if less else ': that it lessens the leak is not shown'}; "
        f"{price}."
    )


def _price(utility: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what a defense costs: the measures of utility that it changes."""
    if not utility:
        return "its cost was not measured"
    lower: list[str] = []
    others: list[str] = []
    for name, pair in utility.items():
        if pair["before"] != pair["after"]:
            words = f"{metric(name)} {figure(pair['before'])} → {figure(pair['after'])}"
            (others if _risen(pair) else lower).append(words)
    if lower or others:
        parts = [f"it costs {'; '.join(lower)}"] if lower else []
        parts += [f"it does not lower {'; '.join(others)}"] if others else []
        return ", and ".join(parts)
    same = "; ".join(f"{metric(n)} {figure(pair['after'])}" for n, pair in utility.items())
    return f"it changed nothing that was measured ({same})"


def _risen(pair: Mapping[str, Any]) -> bool:
    """Whether a measure of utility is larger behind a defense, and both are known."""
    before, after = (
        v.get("value") if isinstance(v, Mapping) else v for v in (pair["before"], pair["after"])
    )
    return before is not None and after is not None and after > before


def _low(row: Mapping[str, Any]) -> float:
    return float(row["bits"].get("low") or 0.0)


def _alpha(row: Mapping[str, Any]) -> float:
    return float(row["bits"].get("alpha") or 0.05)


def _level(row: Mapping[str, Any]) -> str:
    return f"{100 * (1 - _alpha(row)):g}\u00a0% confidence"
