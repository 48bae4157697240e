"""Tables as other tools write them: one symbol spelled in many ways, odd types, odd files.

Every case is a file. What it holds is known, so that the right answer is, too.
"""

import datetime
import gzip
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hartley.channel.measure import measure
from hartley.channel.trials.compare_symbols import compare_symbols
from hartley.channel.trials.import_table import read_trials
from hartley.core.errors import BadTrials
from hartley.kit import binary_tables, table_files, text_tables
from hartley.kit.table_files import Column

N = 600
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, N)
RIGHT = RNG.random(N) < 0.8
GUESS = np.where(RIGHT, TRUTH, 1 - TRUTH)
ABSTAINS = RNG.random(N) < 0.1


def csv_of(path, name="t.csv", encoding="utf-8", delimiter=",", **columns):
    lines = [
        delimiter.join(columns),
        *(delimiter.join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    text = path / name
    text.write_bytes("\n".join(lines).encode(encoding))
    return text


def parquet_of(path, name="t.parquet", **columns):
    pq.write_table(pa.table(columns), path / name)
    return path / name


def spelled(codes, *words):
    return [words[code] for code in codes]


def same_guesses(trials, abstains=None):
    """Whether the trials have the secrets and guesses that every table here was written from."""
    order = trials.truth[0] == TRUTH[0]  # codes follow the spelling
    truth, guess = (TRUTH, GUESS) if order else (1 - TRUTH, 1 - GUESS)
    if abstains is not None:
        guess = np.where(abstains, -1, guess)
    return bool((trials.truth == truth).all() and (trials.guess == guess).all())


# --- A: symbols on a common type

SPELLINGS = {
    "numbers and numbers with a point": (("0", "1"), ("0.0", "1.0")),
    "PINs whose zeros were lost": (("0007", "0012"), ("7", "12")),
    "PINs whose zeros were lost to floats": (("0007", "0012"), ("7.0", "12.0")),
    "zeros that only one side has": (("7", "12"), ("0007", "0012")),
    "truth values and numbers": (("False", "True"), ("0", "1")),
    "numbers and truth values": (("0", "1"), ("false", "TRUE")),
    "truth values of two tools": (("False", "True"), ("false", "true")),
    "words of other case": (("no", "yes"), ("No", "YES")),
    "dates and times": (
        ("2024-01-01", "2024-01-02"),
        ("2024-01-01 00:00:00", "2024-01-02T00:00:00Z"),
    ),
    "exponents": (("10000000000000000", "20000000000000000"), ("1e+16", "2e+16")),
    "whole numbers beyond floats": (("9007199254740993", "9007199254740992"),) * 2,
    "spaces": (("in", "out"), (" in", "out ")),
}


@pytest.mark.parametrize("abstention", [None, "-1", "−1", "-1.0", "refused"])
@pytest.mark.parametrize("case", SPELLINGS)
def test_a_symbol_may_be_spelled_in_several_ways(tmp_path, case, abstention):
    truth, guess = SPELLINGS[case]
    answers = spelled(GUESS, *guess)
    abstains = None if abstention is None else ABSTAINS
    if abstention is not None:
        answers = [
            abstention if no else answer for answer, no in zip(answers, ABSTAINS, strict=True)
        ]
    trials = read_trials(csv_of(tmp_path, truth=spelled(TRUTH, *truth), guess=answers))
    assert same_guesses(trials, abstains)
    assert trials.spec.alphabet == 2
    assert bool(trials.notes) == (abstention == "refused")


TYPES = {
    "bytes": lambda c: [b"c%d" % x for x in c],
    "words": lambda c: [f"c{x}" for x in c],
    "bytes of a fixed width": lambda c: pa.array([b"c%d\0" % x for x in c], pa.binary(3)),
    "categories": lambda c: pa.array([f"c{x}" for x in c]).dictionary_encode(),
    "large words": lambda c: pa.array([f"c{x}" for x in c], pa.large_string()),
}
NUMBERS = {
    "int8": lambda c: pa.array(c, pa.int8()),
    "uint64": lambda c: pa.array(c, pa.uint64()),
    "float16": lambda c: pa.array(c.astype(np.float16)),
    "doubles": lambda c: pa.array(c, pa.float64()),
    "decimals": lambda c: [Decimal(int(x)).quantize(Decimal("0.01")) for x in c],
    "truth values": lambda c: c.astype(bool),
    "text": lambda c: [str(x) for x in c],
    "text with a point": lambda c: [f"{x}.0" for x in c],
    "bytes": lambda c: [b"%d" % x for x in c],
}
TIMES = {
    "dates": lambda c: [datetime.date(2024, 1, 1 + int(x)) for x in c],
    "times": lambda c: [datetime.datetime(2024, 1, 1 + int(x)) for x in c],
    "nanoseconds": lambda c: pa.array([f"2024-01-0{1 + x}" for x in c]).cast(pa.timestamp("ns")),
    "UTC": lambda c: pa.array(TIMES["times"](c), pa.timestamp("ms", "UTC")),
    "text": lambda c: [f"2024-01-0{1 + x}" for x in c],
}


@pytest.mark.parametrize("kinds", [TYPES, NUMBERS, TIMES], ids=["words", "numbers", "times"])
def test_columns_of_all_types_are_compared(tmp_path, kinds):
    for one, of_truth in kinds.items():
        for other, of_guess in kinds.items():
            trials = read_trials(parquet_of(tmp_path, truth=of_truth(TRUTH), guess=of_guess(GUESS)))
            assert same_guesses(trials), (one, other)


def test_leading_zeros_tell_secrets_apart(tmp_path):
    truth, guess = spelled(TRUTH, "01", "1"), spelled(GUESS, "01", "1")
    assert same_guesses(read_trials(csv_of(tmp_path, truth=truth, guess=guess)))
    # A number names neither of them: most guesses here are not a secret.
    with pytest.raises(BadTrials, match="`guess` says '001', `truth` says '01', '1'"):
        read_trials(csv_of(tmp_path, truth=truth, guess=["001"] * N))


def test_bytes_that_are_not_text_stay_apart(tmp_path):
    ids = [bytes([200, x, 255]) for x in (1, 2)]
    path = parquet_of(tmp_path, truth=spelled(TRUTH, *ids), guess=spelled(GUESS, *ids))
    assert same_guesses(read_trials(path))


VOCABULARIES = {
    "sides": (("nonmember", "member"), ("out", "in")),
    "numbers and words": (("0", "1"), ("no", "yes")),
    "class numbers from 1": (("a", "b"), ("1", "2")),
    "another id": (("5f", "25"), ("x", "y")),
}


@pytest.mark.parametrize("case", VOCABULARIES)
def test_two_vocabularies_are_refused_and_both_are_shown(tmp_path, case):
    truth, guess = VOCABULARIES[case]
    with pytest.raises(BadTrials, match="guesses must be secrets") as caught:
        read_trials(csv_of(tmp_path, truth=spelled(TRUTH, *truth), guess=spelled(GUESS, *guess)))
    message = str(caught.value)
    assert "\n" not in message and "-1 where the attacker abstains" in message
    assert all(repr(word) in message for word in (*truth, *guess)), message


def test_guesses_that_are_no_secret_are_counted_in_words(tmp_path):
    guess = np.where(ABSTAINS, "refused", np.array(spelled(GUESS, "out", "in")))
    channel = measure(read_trials(csv_of(tmp_path, truth=spelled(TRUTH, "out", "in"), guess=guess)))
    line = f"{ABSTAINS.sum()} of {N} guesses are not a secret ('refused') and count as abstaining"
    assert line in channel.bits.assumptions
    assert channel.bits.value > 0.15


@pytest.mark.parametrize("name", ["truth", "guess"])
def test_nested_cells_are_not_symbols(tmp_path, name):
    columns = {"truth": TRUTH, "guess": GUESS} | {name: [[0.9, 0.1]] * N}
    with pytest.raises(BadTrials, match=rf"`{name}` must be symbols, .* got \[0\.9, 0\.1\]"):
        read_trials(parquet_of(tmp_path, **columns))


@pytest.mark.parametrize("gap", ["", "nan", "NaN", "None", "<NA>"])
def test_a_gap_among_numbers_is_not_a_guess(tmp_path, gap):
    guess = [gap, *GUESS[1:]]
    with pytest.raises(BadTrials, match="got 1 empty or NaN, first in row 1; write -1 to abstain"):
        read_trials(csv_of(tmp_path, truth=TRUTH, guess=guess))


def test_a_word_for_a_gap_may_be_a_secret_among_words(tmp_path):
    countries = [spelled(side, "NA", "DE") for side in (TRUTH, GUESS)]
    assert same_guesses(read_trials(csv_of(tmp_path, truth=countries[0], guess=countries[1])))


def test_categories_that_no_row_has_are_not_secrets(tmp_path):
    def words(codes):
        return pa.DictionaryArray.from_arrays(pa.array(codes + 1), ["unused", "out", "in", "too"])

    trials = read_trials(parquet_of(tmp_path, truth=words(TRUTH), guess=words(GUESS)))
    assert same_guesses(trials) and trials.spec.alphabet == 2


# --- D: stray secrets


def four(n=2000, seed=16):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    return truth, np.where(rng.random(n) < 0.7, truth, rng.integers(0, 4, n))


@pytest.mark.parametrize("stray", ["9", "truth", "o"])
def test_a_misspelt_secret_is_set_aside_and_named(tmp_path, stray):
    truth, guess = four()
    clean = measure(read_trials(csv_of(tmp_path, truth=truth, guess=guess)))
    columns = {"cost_tokens": np.arange(2000), "uses": np.full(2000, 2)}
    odd = truth.astype(object)
    odd[7] = stray
    trials = read_trials(csv_of(tmp_path, truth=odd, guess=guess, **columns))
    assert len(trials) == 1999 and trials.spec.alphabet == 4 and trials.spec.uses == 2 * 1999
    assert 7 not in trials.costs["cost_tokens"] and 8 in trials.costs["cost_tokens"]
    channel = measure(trials)
    assert channel.n == 1999
    assert channel.bits.value == pytest.approx(clean.bits.value, abs=0.02)
    assert channel.bits.lower == pytest.approx(clean.bits.lower, abs=0.05)
    assert any(
        f"1 of 2000 rows are set aside: their secrets ({stray!r})" in a
        for a in channel.bits.assumptions
    )


def test_secrets_that_are_merely_unequal_are_all_measured(tmp_path):
    truth = np.repeat(np.arange(5), [1000, 500, 250, 150, 100])
    trials = read_trials(csv_of(tmp_path, truth=truth, guess=truth))
    assert len(trials) == 2000 and trials.spec.alphabet == 5 and not trials.notes


def test_two_secrets_always_stay(tmp_path):
    truth = np.r_[np.zeros(1999, int), 1]
    trials = read_trials(csv_of(tmp_path, truth=truth, guess=truth))
    assert len(trials) == 2000 and trials.spec.alphabet == 2


def test_a_code_that_was_guessed_for_a_stray_secret_is_an_abstention():
    truth, guess = (
        pa.array(["a"] * 500 + ["b"] * 500 + ["z"]),
        pa.array(["z"] + ["a"] * 499 + ["b"] * 500 + ["z"]),
    )
    symbols = compare_symbols("t.csv", Column("truth", truth), Column("guess", guess))
    assert symbols.names == ("a", "b") and symbols.measured.sum() == 1000
    assert symbols.guess[0] == -1 and (symbols.guess[1:1000] == symbols.truth[1:1000]).all()


# --- E: numbers and times

SCORE = np.round(RNG.normal(TRUTH, 1.0), 6)


def auc_of(trials):
    one, two = trials.guess[trials.truth == 1], trials.guess[trials.truth == 0]
    return (one[:, None] > two).mean() + 0.5 * (one[:, None] == two).mean()


EXACT = SCORE[TRUTH == 1][:, None] > SCORE[TRUTH == 0]
AUC = float(EXACT.mean() + 0.5 * (SCORE[TRUTH == 1][:, None] == SCORE[TRUTH == 0]).mean())
MICRO = np.round(SCORE * 1e6).astype(np.int64)
NANO = 1_700_000_000_000_000_000
SCORES = {
    "decimals": lambda: [Decimal(f"{x:.6f}") for x in SCORE],
    "decimals beyond floats": lambda: [Decimal(10**15) + Decimal(f"{x:.6f}") for x in SCORE],
    "nanoseconds": lambda: MICRO + NANO,
    "whole numbers over the whole range": lambda: np.where(
        MICRO < 0, -(2**62) + MICRO, 2**62 + MICRO
    ),
    "unsigned": lambda: (MICRO + 10**7).astype(np.uint64) + np.uint64(2**63),
    "times": lambda: pa.array(MICRO + NANO).cast(pa.timestamp("ns")),
    "times of the day": lambda: pa.array(MICRO + 10**9).cast(pa.time64("us")),
    "durations": lambda: pa.array(MICRO).cast(pa.duration("us")),
    "text": lambda: [repr(float(x)) for x in SCORE],
    "long whole numbers as text": lambda: [str(x) for x in MICRO + NANO],
    "categories": lambda: pa.array(SCORE).dictionary_encode(),
}


@pytest.mark.parametrize("kind", SCORES)
def test_scores_of_all_types_keep_their_order(tmp_path, kind):
    trials = read_trials(parquet_of(tmp_path, truth=TRUTH, score=SCORES[kind]()))
    assert auc_of(trials) == pytest.approx(AUC, abs=1e-12)


def test_nanoseconds_of_a_text_file_keep_their_order(tmp_path):
    assert auc_of(read_trials(csv_of(tmp_path, truth=TRUTH, score=MICRO + NANO))) == pytest.approx(
        AUC
    )


START = datetime.datetime(2024, 1, 1)
ORDERS = {
    "times": lambda k: START + datetime.timedelta(minutes=int(k)),
    "dates": lambda k: START.date() + datetime.timedelta(days=int(k)),
    "text": lambda k: (START + datetime.timedelta(seconds=int(k))).isoformat(),
    "nanoseconds": lambda k: NANO + int(k),
}


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("write", [csv_of, parquet_of])
def test_the_order_may_be_a_time(tmp_path, kind, write):
    places = np.random.default_rng(3).permutation(N)
    path = write(tmp_path, truth=TRUTH, score=SCORE, order=[ORDERS[kind](k) for k in places])
    assert (np.argsort(read_trials(path).order, kind="stable") == np.argsort(places)).all()


def test_seconds_may_be_durations(tmp_path):
    spent = pa.array([1500] * N, pa.duration("ms"))
    trials = read_trials(parquet_of(tmp_path, truth=TRUTH, score=SCORE, seconds=spent))
    assert trials.spec.seconds == 1.5 * N


ODD_TYPES = {
    "a list": (pa.array([[0.1]] * N), r"`score` must be numbers, got \[0\.1\]"),
    "a record": (pa.array([{"a": 1}] * N), "`score` must be numbers, got {'a': 1}"),
    "a word": (pa.array(["high"] * N), "`score` must be numbers, got 'high'"),
    "nothing": (pa.nulls(N), "`score` must have a value in every row"),
    "bytes": (pa.array([b"\x00\x01"] * N), "`score` must be numbers"),
    "infinity": (
        pa.array(np.where(TRUTH, np.inf, SCORE)),
        "infinity, first in row .* write a finite number",
    ),
}


@pytest.mark.parametrize("kind", ODD_TYPES)
def test_what_is_no_score_is_refused_in_one_line(tmp_path, kind):
    values, message = ODD_TYPES[kind]
    with pytest.raises(BadTrials, match=message) as caught:
        read_trials(parquet_of(tmp_path, truth=TRUTH, score=values))
    assert "\n" not in str(caught.value)


# --- E: files


def table_of(rows=N):
    return {"truth": TRUTH[:rows].tolist(), "score": SCORE[:rows].tolist()}


def npy(path, **columns):
    np.save(
        path, np.rec.fromarrays(list(columns.values()), names=",".join(columns)), allow_pickle=False
    )


FILES = {
    "t.tsv": lambda path: csv_of(path.parent, path.name, delimiter="\t", **table_of()),
    "t.CSV": lambda path: csv_of(path.parent, path.name, **table_of()),
    "t.csv.gz": lambda path: path.write_bytes(
        gzip.compress(csv_of(path.parent, **table_of()).read_bytes())
    ),
    "t.tsv.gz": lambda path: path.write_bytes(
        gzip.compress(csv_of(path.parent, delimiter="\t", **table_of()).read_bytes())
    ),
    "t.jsonl": lambda path: path.write_text(
        "\n".join(
            json.dumps({"truth": int(t), "score": float(s), "more": {"a": [1]}})
            for t, s in zip(TRUTH, SCORE, strict=True)
        )
    ),
    "t.jsonl.gz": lambda path: path.write_bytes(
        gzip.compress(
            b"".join(
                b'{"truth": %d, "score": "%.6f"}\n' % row for row in zip(TRUTH, SCORE, strict=True)
            )
        )
    ),
    "t.npy": lambda path: npy(path, truth=TRUTH, score=SCORE),
    "t.npz": lambda path: np.savez_compressed(
        path, truth=TRUTH.astype(">i4"), score=SCORE.astype(np.longdouble)
    ),
    "bom.csv": lambda path: csv_of(path.parent, path.name, encoding="utf-8-sig", **table_of()),
}


FILES["t.ndjson"] = FILES["t.jsonl"]


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_kind_are_read(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    trials = read_trials(path)
    assert (trials.truth == TRUTH).all()
    assert trials.guess == pytest.approx(SCORE, abs=1e-9)


def test_words_of_a_text_with_a_mark_and_of_arrays(tmp_path):
    words = {"truth": spelled(TRUTH, "no", "yes"), "guess": spelled(GUESS, "no", "yes")}
    assert same_guesses(read_trials(csv_of(tmp_path, encoding="utf-8-sig", **words)))
    for kind in ("U3", "S3"):
        npy(tmp_path / "t.npy", **{name: np.array(column, kind) for name, column in words.items()})
        assert same_guesses(read_trials(tmp_path / "t.npy"))


def test_json_lines_of_numbers_and_words(tmp_path):
    answers = ["refused" if no else int(g) for g, no in zip(GUESS, ABSTAINS, strict=True)]
    path = tmp_path / "t.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"truth": int(t), "guess": g}) for t, g in zip(TRUTH, answers, strict=True)
        )
    )
    assert same_guesses(read_trials(path), ABSTAINS)


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    folder = tmp_path / "trials.parquet"
    (folder / "kind=a").mkdir(parents=True)
    for name, rows in (
        ("part-0.parquet", slice(0, 200)),
        ("kind=a/part-1.snappy.parquet", slice(200, N)),
    ):
        pq.write_table(pa.table({"truth": TRUTH[rows], "score": SCORE[rows]}), folder / name)
    (folder / "_SUCCESS").write_text("")
    (folder / "_metadata.parquet").write_text("not read")
    (folder / ".part-0.parquet.crc").write_text("not read")
    trials = read_trials(folder)
    assert sorted(trials.guess) == sorted(SCORE)
    empty = tmp_path / "empty.parquet"
    empty.mkdir()
    with pytest.raises(BadTrials, match=r"must hold \.parquet files, got none"):
        read_trials(empty)


ENCODINGS = {
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "latin-1": "another encoding",
    "cp1252": "another encoding",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("place", ["header", "secret"])
def test_another_encoding_is_refused_by_name_and_read_when_named(tmp_path, encoding, place):
    words = ("Größe", "klein") if place == "secret" else ("gross", "klein")
    columns = {"truth": spelled(TRUTH, *words), "guess": spelled(GUESS, *words)}
    columns |= {"Größe": GUESS} if place == "header" else {}
    path = csv_of(tmp_path, encoding=encoding, **columns)
    with pytest.raises(
        BadTrials, match=f"must be UTF-8, got {ENCODINGS[encoding]};.*--encoding"
    ) as caught:
        read_trials(path)
    assert "\n" not in str(caught.value)
    assert same_guesses(read_trials(path, encoding=encoding))
    with pytest.raises(BadTrials, match="encoding must be one that Python knows"):
        read_trials(path, encoding="utf-61")


@pytest.mark.parametrize("pad", [4_000, 3_000_000])
def test_quoted_line_breaks_and_long_cells_of_a_big_file(tmp_path, pad):
    rows = 600 if pad < 10**4 else 2
    cell = 'lorem, ""ipsum"" ' * (pad // 16)
    text = "truth,score,prompt\n" + "".join(
        f'{TRUTH[i] if rows > 2 else i},{SCORE[i]:.6f},"{cell}\nline two {i}"\n'
        for i in range(rows)
    )
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert read_trials(path).guess == pytest.approx(SCORE[:rows], abs=1e-6)


def test_a_file_that_states_more_than_it_holds_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.parquet"
    # 1.3 MB on the disk, 300 million rows in memory.
    zeros = pa.array(np.zeros(1_000_000, np.int64))
    with pq.ParquetWriter(path, pa.schema([("truth", pa.int64())])) as writer:
        for _ in range(300):
            writer.write_table(pa.table({"truth": zeros}))
    assert path.stat().st_size < 2_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(BadTrials, match="at most 200,000,000 cells, got 300,000,000"):
        read_trials(path)
    assert pa.total_allocated_bytes() - before < 10**6


def test_a_text_that_a_parquet_file_stores_once_is_stored_once_in_memory(tmp_path):
    long = ["a" * 10**6, "b" * 10**6]
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(c), long)
        for name, c in (("truth", TRUTH), ("guess", GUESS))
    }
    path = parquet_of(tmp_path, **columns)
    columns = table_files.read_columns(path)
    assert columns["truth"].values.nbytes < 10**7
    assert same_guesses(read_trials(path))


def test_a_compressed_text_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    for readers in (text_tables, binary_tables):
        monkeypatch.setattr(readers, "LARGEST", 2**20)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"truth,score\n" + b"1,0.50000000\n" * 10**5))
    with pytest.raises(BadTrials, match="must unpack to at most"):
        read_trials(path)
    np.savez_compressed(tmp_path / "t.npz", truth=np.zeros(10**6))
    with pytest.raises(BadTrials, match="must unpack to at most"):
        read_trials(tmp_path / "t.npz")


BROKEN = {
    "plain.npy": (lambda path: np.save(path, np.zeros((5, 2))), "must have named fields"),
    "pickled.npy": (
        lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
        "cannot be read as npy",
    ),
    "complex.npy": (
        lambda path: npy(path, truth=TRUTH, score=SCORE + 1j),
        "`score` must be one number .* complex",
    ),
    "matrix.npz": (
        lambda path: np.savez(path, score=np.zeros((N, 2)), truth=TRUTH),
        "`score` must be one number",
    ),
    "unequal.npz": (lambda path: np.savez(path, truth=TRUTH, score=SCORE[1:]), "equally many rows"),
    "cut.csv.gz": (
        lambda path: path.write_bytes(gzip.compress(b"truth,score\n" * 99)[:40]),
        "cannot be read as csv",
    ),
    "text.jsonl": (lambda path: path.write_text("truth,score\n1,2\n"), "cannot be read as jsonl"),
    "list.jsonl": (
        lambda path: path.write_text('{"truth": 1, "guess": 1}\n{"truth": 1, "guess": "a"}\n[1]\n'),
        "cannot be read as jsonl",
    ),
    # Arrow 26 ends the process at the first two.
    "null.jsonl": (
        lambda path: path.write_text("null\n"),
        "every line must be an object, got None",
    ),
    "nulls.jsonl": (
        lambda path: path.write_bytes(
            b"\xef\xbb\xbf \t null\n" + b'{"truth": 1, "guess": 1}\n' * 9
        ),
        "cannot be read as jsonl",
    ),
    "later.jsonl": (
        lambda path: path.write_text('{"truth": 1, "guess": 1}\n' * 50_000 + "\n  null\n"),
        "every line must be an object, got None",
    ),
    "word.jsonl": (
        lambda path: path.write_text('{"truth": 1, "score": 2}\n\n{"truth": 0, "score": x}\n'),
        "line 3 is not JSON: Expecting value at character 23",
    ),
    "ragged.csv": (lambda path: path.write_text("truth,score\n1,2\n0\n"), "as many cells as"),
    "spain.csv": (lambda path: path.write_text("truth;score\n1;1,08\n"), "separated by something"),
    "cut.parquet": (lambda path: path.write_bytes(b"PAR1" + b"x" * 40), "no whole Parquet file"),
    "text.npy": (lambda path: path.write_text("truth"), "cannot be read as npy"),
    "text.npz": (lambda path: path.write_text("truth"), "cannot be read as npz"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_one_line(tmp_path, name):
    write, message = BROKEN[name]
    path = tmp_path / name
    write(path)
    with pytest.raises(BadTrials, match=message) as caught:
        read_trials(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
