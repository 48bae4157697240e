"""Graphs out of the dictionary: WordNet 3.1's nouns and how they point to one another.

Two data sets: one graph of noun senses from seven subjects, with many links between subjects; and
small graphs, each a sense with the senses below and around it.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.kit import cache
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

SUBJECTS = {
    "act": 4, "animal": 5, "artifact": 6, "body": 8, "cognition": 9, "communication": 10,
    "food": 13, "group": 14, "location": 15, "person": 18, "plant": 20, "substance": 27,
}  # fmt: skip
"""Numbers of some of WordNet's lexicographer files, by their names."""

MIXED = ("act", "artifact", "cognition", "communication", "group", "location", "person")
"""Subjects that point to one another often."""

PLAIN = ("animal", "artifact", "body", "food", "location", "person", "plant", "substance")

FAN = 3
"""Neighbours that a walk follows from one sense: it leaves a subject early."""

WORD = re.compile(r"[a-z]{3,}")


@dataclass(frozen=True, slots=True)
class Sense:
    """One noun sense: its subject's number, the senses it points to (by offset), its gloss."""

    subject: int
    points: tuple[str, ...]
    gloss: str


def nouns() -> dict[str, Sense]:
    """All noun senses of WordNet 3.1 by their offset in the file.

    Raises:
        MissingPack: the pack ``wordnet`` was not fetched yet.
        UsageError: its file of nouns is not in WordNet's format.
    """
    from hartley.data.packs import locate

    path = next(iter(sorted(locate("wordnet").rglob("data.noun"))), None)
    if path is None:
        raise UsageError("the pack wordnet must contain data.noun, got none")
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return dict(_sense(line) for line in lines if not line.startswith("  "))
    except (ValueError, IndexError) as error:
        raise UsageError(f"{path.name} must be a WordNet data file: {error}") from error


def _sense(line: str) -> tuple[str, Sense]:
    """Parse ``offset subject n words(hex) word id … p pointers, 4 fields each … | gloss``."""
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    at = 4 + 2 * int(fields[3], 16)
    points = [fields[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(fields[at]))]
    return fields[0], Sense(
        int(fields[1]),
        tuple(dict.fromkeys(p[1] for p in points if p[2] == "n" and p[1] != fields[0])),
        gloss.strip(),
    )


def mixed_senses(*, each: int = 400, words: int = 512) -> tuple[Graph, NDArray[np.int64]]:
    """A graph of senses from the seven subjects in ``MIXED``, linked within and between them.

    A walk from the sense of each subject that points most to others takes ``FAN`` new neighbours at
    a time, those of another subject first, until every subject has its number. Features say which
    of the commonest words are in the gloss.

    Args:
        each: senses a subject.
        words: features.

    Returns:
        The graph and the subject (nodes,) of each node, as a number in ``MIXED``.

    Raises:
        MissingPack: the pack ``wordnet`` was not fetched yet.
    """
    from hartley.data.packs import locate

    locate("wordnet")  # cached data of a removed pack are not used
    recipe = {"version": 1, "each": each, "words": words, "fan": FAN, "subjects": list(MIXED)}
    arrays = cache.cached("wordnet", recipe, lambda: _mixed(each, words))
    return Graph(arrays["features"], arrays["edges"]), arrays["labels"]


def _mixed(each: int, words: int) -> dict[str, NDArray[Any]]:
    numbers = [SUBJECTS[s] for s in MIXED]
    senses = {o: s for o, s in nouns().items() if s.subject in numbers}
    near = _near(senses)
    foreign = {o: sum(senses[p].subject != senses[o].subject for p in near[o]) for o in senses}
    first = [
        max((o for o, s in senses.items() if s.subject == n), key=lambda o: (foreign[o], o))
        for n in numbers
    ]
    waiting, visited, per_subject = deque(first), set(first), Counter[int]()
    offsets: list[str] = []
    while waiting:
        offset = waiting.popleft()
        subject = senses[offset].subject
        if per_subject[subject] >= each:
            continue
        per_subject[subject] += 1
        offsets.append(offset)
        order = sorted(near[offset], key=lambda o: (senses[o].subject == subject, o))
        fresh = [o for o in order if o not in visited][:FAN]
        visited.update(fresh)
        waiting.extend(fresh)
    place = {o: i for i, o in enumerate(offsets)}
    pairs = {tuple(sorted((place[a], place[b]))) for a in offsets for b in near[a] if b in place}
    return {
        "features": _bags([senses[o].gloss for o in offsets], words),
        "edges": np.array(sorted(pairs), dtype=np.int64).T.copy(),
        "labels": np.array([numbers.index(senses[o].subject) for o in offsets], dtype=np.int64),
    }


def small_graphs(*, each: int = 400, nodes: int = 12, width: int = 32) -> Data:
    """Small graphs, each a noun sense with those around it, and the subject of its middle.

    From senses drawn at random a walk in breadth takes up to ``nodes`` senses; a node's features
    are its gloss, as counts of words folded into ``width`` numbers by a fixed random map.

    Args:
        each: graphs a subject; there are eight (``PLAIN``).
        nodes: most senses in a graph.
        width: features a node.

    Returns:
        x float32 (n, nodes, nodes + width), y (n,) numbers in ``PLAIN``.

    Raises:
        MissingPack: the pack ``wordnet`` was not fetched yet.
    """
    from hartley.data.packs import locate

    locate("wordnet")
    recipe = {"version": 1, "each": each, "nodes": nodes, "width": width, "of": list(PLAIN)}
    arrays = cache.cached("synsets", recipe, lambda: _small(each, nodes, width))
    return Data("small graphs of WordNet", Modality.GRAPH, arrays["x"], arrays["y"])


def _small(each: int, nodes: int, width: int) -> dict[str, NDArray[Any]]:
    senses = nouns()
    near = _near(senses)
    rng = np.random.default_rng(0)
    xs, ys = [], []
    for label, subject in enumerate(PLAIN):
        offsets = [o for o, s in senses.items() if s.subject == SUBJECTS[subject] and near[o]]
        for at in rng.permutation(len(offsets))[:each]:
            xs.append(_ego(offsets[at], senses, near, nodes, width))
            ys.append(label)
    order = rng.permutation(len(xs))
    return {"x": np.stack(xs)[order], "y": np.array(ys, dtype=np.int64)[order]}


def _ego(
    middle: str,
    senses: Mapping[str, Sense],
    near: Mapping[str, Sequence[str]],
    nodes: int,
    width: int,
) -> NDArray[np.float32]:
    """One record: the first senses of a walk in breadth that follows few neighbours of each."""
    members, at = [middle], 0
    while at < len(members) and len(members) < nodes:
        fresh = [o for o in near[members[at]] if o not in members][:FAN]
        members.extend(fresh[: nodes - len(members)])
        at += 1
    place = {o: i for i, o in enumerate(members)}
    out = np.zeros((nodes, nodes + width), np.float32)
    for offset, i in place.items():
        for other in near[offset]:
            if other in place:
                out[i, place[other]] = 1
        out[i, nodes:] = _folded(senses[offset].gloss, width)
    return out


def _folded(gloss: str, width: int) -> NDArray[np.float32]:
    """Word counts folded into few numbers: each word has a fixed place and sign (hashing)."""
    import zlib

    out = np.zeros(width, np.float32)
    for word in WORD.findall(gloss.lower()):
        code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        out[code % width] += 1 if code >> 31 else -1
    return out


def _near(senses: Mapping[str, Sense]) -> dict[str, list[str]]:
    """The pointers of each sense, both ways; sorted, so that the order is fixed."""
    neighbours_of: dict[str, set[str]] = {o: set() for o in senses}
    for offset, sense in senses.items():
        for target in sense.points:
            if target in neighbours_of:
                neighbours_of[offset].add(target)
                neighbours_of[target].add(offset)
    return {o: sorted(targets) for o, targets in neighbours_of.items()}


def _bags(glosses: Iterable[str], words: int) -> NDArray[np.float32]:
    """Return which of the commonest words are in each gloss, as (n, words) zeros and ones."""
    bags = [set(WORD.findall(gloss.lower())) for gloss in glosses]
    counts = Counter(word for bag in bags for word in bag)
    common = sorted(counts, key=lambda word: (-counts[word], word))[:words]
    place = {word: i for i, word in enumerate(common)}
    out = np.zeros((len(bags), words), np.float32)
    for i, bag in enumerate(bags):
        for word in bag & place.keys():
            out[i, place[word]] = 1
    return out
