"""What the fuzzer feeds: mutations of real files, and grammars that know keys and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
from collections.abc import Callable
from typing import Any

ODD = (
    *("", " ", "0", "-0", "-1", "1e309", "-1e309", "nan", "inf", "NaN", "null", "None", "true"),
    *("-", "9" * 400, "9" * 5000, "0x1f", "1_000", "1e-400", "0.1e1", "007", "1.0", "2", "0.5"),
    *("1e18", "[]", "{}", "[[[[[[", "{" * 90, "[" * 3000, '"', "'", '"""', "\\", "\\u0000"),
    *("#", "=", ",", "\x00", "\x1b[31m", "\x7f", "\u202e", "\ufeff", "\r", "\n", "\t", "é"),
    *("😀", "a" * 300, "../../x", "/dev/zero", "/", ".", "~", "http://x", "%s", "{0}", "$HOME"),
    *("1979-05-27", "18446744073709551615", "9223372036854775808", "-9223372036854775809"),
    *("4294967296",),
)
"""Texts that readers stumble on."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**19, 10**400, 0.5, -0.5, 1e308, 1e-320, "", "x"),
    *("lira", [], {}, [None], [[]], {"": None}, "a" * 5000, "\x1b[31m", "\u202e", "pass"),
    *("measured",),
)
"""Values to put into a tree."""

Rng = random.Random


# --- mutations


def mutated(content: bytes, rng: Rng, others: list[bytes]) -> bytes:
    """Return a content with one to four mutations of its bytes and tokens."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(MUTATIONS)(content, rng, others)
        if len(content) > 2**20:
            content = content[: 2**20]
    return content


def _place(content: bytes, rng: Rng) -> tuple[int, int]:
    at = rng.randrange(len(content) + 1)
    return at, min(len(content), at + rng.choice((1, 1, 2, 4, 16, 64, 512)))


def _flip(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    for _i in range(rng.choice((1, 1, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    at, end = _place(content, rng)
    return content[:at] + content[end:]


def _truncate(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _double(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    at, end = _place(content, rng)
    return content[:at] + content[at:end] * rng.choice((2, 2, 3, 300)) + content[end:]


def _insert(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    at, end = _place(content, rng)
    odd = rng.choice(ODD).encode() if rng.random() < 0.7 else rng.randbytes(rng.choice((1, 4, 40)))
    return content[:at] + odd + content[rng.choice((at, end)) :]


def _token(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    places = list(re.finditer(rb"[A-Za-z0-9_.+-]+", content[:20000]))
    if not places:
        return content
    place = rng.choice(places)
    return content[: place.start()] + rng.choice(ODD).encode() + content[place.end() :]


def _splice(content: bytes, rng: Rng, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _swap_lines(content: bytes, rng: Rng, _: list[bytes]) -> bytes:
    lines = content.split(b"\n")
    i, k = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[k] = lines[k], lines[i]
    return b"\n".join(lines)


MUTATIONS = (
    _flip,
    _cut,
    _truncate,
    _double,
    _insert,
    _insert,
    _token,
    _token,
    _splice,
    _swap_lines,
)


def spoilt_tree(content: bytes, rng: Rng) -> bytes:
    """Return a JSON text of which some parts are removed, doubled or have other values."""
    tree = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        node, key = tree, None
        for _depth in range(rng.choice((1, 2, 3, 3, 4, 5, 6, 8))):
            if key is not None and isinstance(node[key], dict | list) and node[key]:
                node = node[key]
            if isinstance(node, dict) and node:
                key = rng.choice(list(node))
            elif isinstance(node, list) and node:
                key = rng.randrange(len(node))
        if key is None:
            continue
        way = rng.random()
        if way < 0.25:
            del node[key]
        elif way < 0.35 and isinstance(node, list):
            node += [json.loads(json.dumps(node[key]))] * rng.choice((1, 40))
        elif way < 0.4 and isinstance(node, dict):
            node[rng.choice(ODD)] = json.loads(json.dumps(node[key]))  # not inside itself
        else:
            node[key] = rng.choice(VALUES)
    return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


# --- grammars


KEYS = (
    *("scene", "seed", "only", "skip", "alpha", "budget", "deployed", "replicates", "strict"),
    *("use", "attacks", "games", "scenes", "defenses", "chains", "limits", "executor"),
    *("adaptive", "workers", "membership", "inversion", "lira", "loss_threshold", "rounding"),
    *("digits", "references", "slots", "params", "rounds", '"attack:lira"'),
    *('"axis:model_to_data"', "membership.auc", "x.y.z"),
)


def toml_text(rng: Rng) -> bytes:
    """Return a text of TOML's grammar: keys of plans, and values that are right now and then."""
    lines = []
    for _ in range(rng.randrange(1, 14)):
        way = rng.random()
        if way < 0.25:
            name = ".".join(rng.choices(KEYS, k=rng.choice((1, 1, 2, 3))))
            lines.append(f"[[{name}]]" if way < 0.05 else f"[{name}]")
        else:
            lines.append(f"{rng.choice(KEYS)} = {_toml_value(rng, 3)}")
    return "\n".join(lines).encode()


def _toml_value(rng: Rng, depth: int) -> str:
    way = rng.random()
    if depth and way < 0.15:
        return f"[{', '.join(_toml_value(rng, depth - 1) for _ in range(rng.randrange(4)))}]"
    if depth and way < 0.25:
        pairs = (f"{rng.choice(KEYS)} = {_toml_value(rng, depth - 1)}" for _ in range(2))
        return f"{{{', '.join(pairs)}}}"
    if way < 0.5:
        words = (
            *KEYS,
            *ODD,
            "live:membership",
            "entropy_metrics",
            "axis:model_to_data",
            "rounding+top_k",
        )
        return json.dumps(rng.choice(words), ensure_ascii=False)
    if way < 0.7:
        return rng.choice(ODD)
    return rng.choice(
        ("0", "1", "3", "0.05", "-1", "true", "false", "1e3", "inf", "07:32:00", "0o7")
    )


NAMES = (
    *("truth", "guess", "score", "cluster", "run", "uses", "seconds", "item", "split", "order"),
    *("logq", "gain", "p_null", "observed", "trial", "cost_queries", "cost_tokens", "x", ""),
    *("Truth",),
)


def _columns(rng: Rng) -> list[str]:
    needed = ["truth", rng.choice(("guess", "score"))] if rng.random() < 0.8 else []
    return [*needed, *rng.choices(NAMES, k=rng.randrange(4))]


def _cell(rng: Rng, name: str) -> str:
    if rng.random() < 0.06:
        return rng.choice(ODD)
    if name in ("truth", "guess", "split", "observed"):
        return str(rng.randrange(2))
    return str(rng.choice((rng.random(), rng.randrange(8), -rng.random())))


def delimited(delimiter: str) -> Callable[[Rng], bytes]:
    """Return the grammar of a text of rows, whose cells are right most of the time."""

    def grammar(rng: Rng) -> bytes:
        names = _columns(rng)
        rows = [names]
        for _ in range(rng.choice((0, 1, 2, 8, 30))):
            row = [_cell(rng, name) for name in names]
            rows.append(row if rng.random() < 0.98 else row[:-1])
        return "\n".join(delimiter.join(row) for row in rows).encode("utf-8", "surrogatepass")

    return grammar


def json_lines(rng: Rng) -> bytes:
    """Return lines of JSON."""
    names, lines = _columns(rng), []
    for _ in range(rng.choice((0, 1, 2, 8, 30))):
        row = {name: _json_cell(rng, name) for name in names if rng.random() < 0.98}
        lines.append(json.dumps(row, ensure_ascii=rng.random() < 0.5))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _json_cell(rng: Rng, name: str) -> Any:
    if rng.random() < 0.04:
        return rng.choice(VALUES)
    return rng.randrange(2) if name in ("truth", "guess") else rng.random()


def parquet(rng: Rng) -> bytes:
    """Return a Parquet file of columns of all types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = rng.choice((0, 1, 2, 30))
    types = (
        *(pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_()),
        *(pa.string(), pa.binary(), pa.date32(), pa.timestamp("ns"), pa.duration("us"), pa.null()),
        *(
            pa.decimal128(10, 2),
            pa.list_(pa.int64()),
            pa.struct([("a", pa.int64())]),
            pa.time64("us"),
        ),
        *(
            pa.map_(pa.string(), pa.int64()),
            pa.dictionary(pa.int32(), pa.string()),
            pa.large_string(),
        ),
    )
    columns = {}
    for name in _columns(rng):
        kind = rng.choice(types) if rng.random() < 0.5 else pa.float64()
        values = [rng.randrange(2) if name == "truth" else rng.randrange(5) for _ in range(rows)]
        array = pa.array([None if rng.random() < 0.03 else v for v in values])
        try:
            columns[name] = array.cast(kind)
        except pa.ArrowException:
            columns[name] = pa.nulls(rows, kind) if rng.random() < 0.5 else array
    sink = io.BytesIO()
    with contextlib.suppress(pa.ArrowException):
        pq.write_table(pa.table(columns), sink, compression=rng.choice(("zstd", "none", "snappy")))
    return sink.getvalue()


def numpy_file(ending: str) -> Callable[[Rng], bytes]:
    """Return the grammar of .npy or .npz files, with types of all kinds."""

    def grammar(rng: Rng) -> bytes:
        import numpy as np

        rows = rng.choice((0, 1, 2, 30))
        kinds = (
            "i1",
            "i8",
            "u8",
            "f2",
            "f4",
            "f8",
            "c16",
            "?",
            "U3",
            "S3",
            "M8[ns]",
            "m8[D]",
            ">f8",
        )
        arrays = {}
        for name in dict.fromkeys(_columns(rng)):
            kind = rng.choice(kinds) if rng.random() < 0.4 else "f8"
            arrays[name] = np.array([rng.randrange(2) for _ in range(rows)]).astype(kind)
        sink = io.BytesIO()
        if ending == "npz":
            (np.savez if rng.random() < 0.5 else np.savez_compressed)(sink, **arrays)
        else:
            dtype = [(name, array.dtype) for name, array in arrays.items() if name]
            table = np.zeros(rows, dtype if dtype and rng.random() < 0.9 else "f8")
            for name in (table.dtype.names or ()) if dtype else ():
                table[name] = arrays.get(name, 0)
            np.save(sink, table)
        return sink.getvalue()

    return grammar
