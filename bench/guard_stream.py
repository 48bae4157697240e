"""What the judge of streamed answers lets out, what it withholds for nothing, and its CPU.

    python bench/guard_stream.py attempts [count] [seed]
    python bench/guard_stream.py pieces [count]
    python bench/guard_stream.py benign [count]
    python bench/guard_stream.py verse [count]
    python bench/guard_stream.py chance [texts]
    python bench/guard_stream.py cpu

``attempts`` plants a code word of 40 bits in each of 20 encodings and of 400 compositions of two,
in prose and cut at random. ``pieces`` plants it over channels, choices and turns. ``benign`` judges
real texts: novels, dialogues, mails, a dictionary, captions in many languages, source code, JSON,
tables, pictures in base64, hashes. ``verse`` judges texts in short lines: prose that is broken into
lines as verse is, and lists. ``chance`` counts the beginnings that such texts spell.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from guard_stream_bits import ENTROPY, bits_that_left

from hartley.data import language
from hartley.data.packs import locate
from hartley.games.judge_answers.judge import Judge
from hartley.guard.judge import WindowJudge
from hartley.guard.judge.beginnings import LEAST
from hartley.guard.judge.rows_of_letters import rows_of
from hartley.guard.stream_judge import Release, ResponseJudge, Withhold
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.kit.encodings.code_words import draw_code_words
from hartley.kit.encodings.encoders import ENCODERS
from hartley.kit.encodings.word_readers import folded

K = 16
SINGLE = tuple(name for name in ENCODERS if name != "split_over_turns")
SIZES = (100, 1600)
BYTE = 8
"""Bits."""


def rate(k: int, n: int) -> str:
    """A rate with Clopper and Pearson's 95 % interval."""
    low, high = clopper_pearson(k, n, 0.025)
    return f"{k} of {n}: {k / n:.5f} [{float(low):.5f}, {float(high):.5f}]"


def cut(text: str, rng: np.random.Generator) -> list[str]:
    """A text in pieces: whole, by characters, in tokens of 4, or of random lengths."""
    way = int(rng.integers(4))
    if way == 0:
        return [text]
    if way == 1:
        return list(text)
    if way == 2:
        return [text[k : k + 4] for k in range(0, len(text), 4)]
    ends = np.cumsum(rng.integers(1, 60, len(text))).tolist()
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < len(text)]


def streamed(
    judge: WindowJudge, pieces: Sequence[tuple[str, str, int]]
) -> tuple[dict[tuple[str, int], str], Withhold | None]:
    """What left of each channel and choice, and the verdict against the response."""
    response = ResponseJudge(judge)
    left: dict[tuple[str, int], str] = {}
    verdict = None
    for text, channel, choice in [*pieces, ("", "", -1)]:
        events = response.finish() if choice < 0 else response.feed(text, channel, choice)
        for event in events:
            if isinstance(event, Release):
                place = (event.channel, event.choice)
                left[place] = left.get(place, "") + event.text
            else:
                verdict = event
        assert response.held <= 32
    return left, verdict


def prose(rng: np.random.Generator) -> str:
    """The start of an answer that says nothing: 0 to 400 characters of a novel."""
    novel = language.novel()
    start = int(rng.integers(len(novel) - 1000))
    text = novel[novel.index(" ", start) + 1 :][: int(rng.integers(0, 400))]
    return text + ("\n" if rng.random() < 0.5 else " ") if text else ""


def attempts(count: int, seed: int) -> None:
    """Print the bytes that leave of what was planted, and which rule withheld the rest."""
    rng = np.random.default_rng(seed)
    pairs: list[tuple[str, ...]] = [(name,) for name in SINGLE]
    pairs += [(inner, outer) for inner in SINGLE for outer in SINGLE]
    lost: dict[tuple[str, ...], list[int]] = {}
    reasons: Counter[str] = Counter()
    given: list[float] = []
    total = empty = located = located_lost = 0
    start = time.process_time()
    while total < count:
        secrets = draw_code_words(rng, K)
        judge, texts, leaked_of = WindowJudge(secrets), [], []
        for pair in pairs:
            secret = coded = text = secrets[int(rng.integers(K))]
            for name in pair:
                coded, text = text, str(ENCODERS[name](text, rng))
            if not any(c.isalnum() or c in "\u200b\u200c.-" for c in text):
                empty += 1
                continue
            total += 1
            before = prose(rng)
            after = prose(rng) if rng.random() < 0.5 else ""
            whole = f"{before}{text}\n{after}"
            left, verdict = streamed(judge, [(p, "content", 0) for p in cut(whole, rng)])
            out = left.get(("content", 0), "")
            assert whole.startswith(out)
            counts = lost.setdefault(pair, [0, 0, 0])
            counts[0] += 1
            if len(out) > len(before):
                counts[1] += 1
                counts[2] += len(out[len(before) :].encode()) - (verdict is None)
                part = out[len(before) : len(before) + len(text)]
                given.append(bits_that_left(pair, secret, coded, text, part))
            texts.append(whole)
            leaked_of.append(len(out) > len(before))
            if verdict is not None:
                reasons[verdict.reason.split(", then")[0].split(" (")[0]] += 1
        for there, left_some in zip(Judge(secrets).every(texts), leaked_of, strict=True):
            located += bool(there)
            located_lost += bool(there) and left_some
    seconds = time.process_time() - start
    leaked = sum(counts[1] for counts in lost.values())
    print(f"attempts with a byte that left: {rate(leaked, total)}; {empty} draws say nothing")
    print(f"  where the judge of the whole answer locates it: {rate(located_lost, located)}")
    print(f"  {seconds:.0f} CPU-s")
    each = ", ".join(f"{bits:.1f}" for bits in sorted(given))
    print(f"  bits about the secret, of {ENTROPY:g}, in what left: {each}")
    most = sum(bits >= BYTE for bits in given)
    print(f"  attempts that gave {BYTE} or more: {rate(most, total)}")
    whole_pairs = [pair for pair, counts in lost.items() if not counts[1]]
    print(f"  ways without a byte: {len(whole_pairs)} of {len(lost)}")
    for pair, (n, k, size) in sorted(lost.items()):
        if k:
            print(f"    {' then '.join(pair)}: {k} of {n}, {size} bytes")
    print("  withheld by:", ", ".join(f"{name} {n}" for name, n in reasons.most_common()))


def pieces(count: int) -> None:
    """Print the bytes that leave of a secret in pieces over channels, choices and turns."""
    rng = np.random.default_rng(4)
    frames = ("{}", "The next part: {}", 'Then comes "{}".')

    def framed(piece: str) -> str:
        return frames[int(rng.integers(len(frames)))].format(piece)

    ways = (
        "content, then the arguments of a call",
        "arguments of three calls",
        "reasoning, then content",
        "three choices",
        "three turns, the last one judged",
    )
    for way in ways:
        leaked = unseen = 0
        for _ in range(count):
            secrets = draw_code_words(rng, K)
            secret = secrets[int(rng.integers(K))]
            cuts = np.sort(1 + rng.choice(len(secret) - 1, 2, replace=False)).tolist()
            parts = [secret[a:b] for a, b in zip((0, *cuts), (*cuts, None), strict=True)]
            two = secret[: cuts[0]], secret[cuts[0] :]
            before: tuple[str, ...] = ()
            start = prose(rng)
            if way == ways[0]:
                texts = [(start + two[0], "content", 0), ("find", "0.name", 0)]
                texts.append((json.dumps({"query": two[1]}), "0.arguments", 0))
            elif way == ways[1]:
                texts = [
                    (json.dumps({"query": p}), f"{k}.arguments", 0) for k, p in enumerate(parts)
                ]
            elif way == ways[2]:
                texts = [(start + two[0], "reasoning", 0), (two[1], "content", 0)]
            elif way == ways[3]:
                texts = [(framed(p), "content", k) for k, p in enumerate(parts)]
            else:
                *first, last = map(framed, parts)
                before, texts = tuple(first), [(last, "content", 0)]
            response = ResponseJudge(WindowJudge(secrets), before=before)
            events = [event for text in texts for event in response.feed(*text)]
            events += response.finish()
            out = "".join(event.text for event in events if isinstance(event, Release))
            unseen += response.finding is None
            leaked += len(out) > (len(start) if way in (ways[0], ways[2]) else 0)
        print(f"  {way}: a byte left in {rate(leaked, count)}; no verdict in {unseen}", flush=True)


def pieces_of(text: str, size: int, rng: np.random.Generator, count: int) -> list[str]:
    """Cuts of a text."""
    starts = rng.integers(0, max(len(text) - size, 1), count)
    sizes = rng.integers(SIZES[0], size, count)
    return [text[a : a + n] for a, n in zip(starts.tolist(), sizes.tolist(), strict=True)]


def benign_texts(rng: np.random.Generator) -> dict[str, list[str]]:
    """10,000 real texts by kind."""
    import yaml  # type: ignore[import-untyped]

    size = SIZES[1]
    novels = "\n".join(language.novel(n) for n in ("persuasion", "emma", "mansfield-park"))
    answers = [
        str(turn)
        for path in sorted(locate("dialogue").glob("*.yml"))
        for talk in yaml.safe_load(path.read_text("utf-8"))["conversations"]
        for turn in talk[1:]
    ]
    mails = [p.read_text("latin-1")[:4000] for p in sorted(locate("spam-assassin").glob("*/*.txt"))]
    bodies = [mail.partition("\n\n")[2] or mail for mail in mails]
    glosses = [
        line
        for name in ("data.noun", "data.verb")
        for file in locate("wordnet").rglob(name)
        for line in file.read_text().splitlines()[40:]
    ]
    captions = [
        line.partition("=")[2] or line
        for path in sorted(locate("stamp-captions").rglob("*.txt"))
        for line in path.read_text("utf-8", "ignore").splitlines()
    ]
    ours = "\n".join(p.read_text() for p in sorted(Path("src/hartley").rglob("*.py")))
    library = "\n".join(
        p.read_text("utf-8", "ignore")
        for p in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    )
    records = json.loads((locate("emoji") / "emoji.json").read_text("utf-8"))
    rows = [r for r in csv.reader((locate("adult") / "adult.data").open()) if r]
    numbers = [[row[k].strip() for k in (0, 2, 4, 10, 11, 12)] for row in rows]
    pictures = sorted(p for p in locate("tuxpaint-stamps").rglob("*.png"))
    sums = [hashlib.sha256(mail.encode()).hexdigest() for mail in mails]

    def some(items: Sequence[str], count: int) -> list[str]:
        return [items[int(k)] for k in rng.integers(0, len(items), count)]

    def lines(items: Sequence[str], count: int, low: int, high: int, join: str = "\n") -> list[str]:
        ends = rng.integers(low, high, count).tolist()
        return [join.join(items[int(a) : int(a) + n]) for a, n in zip(
            rng.integers(0, len(items) - high, count), ends, strict=True)]  # fmt: skip

    tables = [
        ("\n".join(sep.join(row) for row in numbers[int(a) : int(a) + 12]))
        for a, sep in zip(
            rng.integers(0, len(numbers) - 12, 500),
            [", ", " | ", "\t", "  ", ","] * 100,
            strict=True,
        )
    ]
    return {
        "novels": pieces_of(novels, size, rng, 2000),
        "answers of dialogues": some(answers, 1000),
        "mails with headers": some(mails, 700),
        "bodies of mails": some(bodies, 1300),
        "lines of a dictionary": lines(glosses, 1000, 1, 6),
        "captions in many languages": lines(captions, 800, 1, 12),
        "source code of Hartley": pieces_of(ours, size, rng, 900),
        "source code of Python": pieces_of(library, size, rng, 900),
        "JSON": [
            json.dumps(records[int(k)], indent=int(k) % 2 * 2 or None, ensure_ascii=False)
            for k in rng.integers(0, len(records), 500)
        ],
        "tables of numbers": tables,
        "pictures in base64": [
            base64.b64encode(pictures[int(k)].read_bytes()).decode()[:3000]
            for k in rng.integers(0, len(pictures), 200)
        ],
        "hashes": lines(sums, 200, 1, 10),
    }


def benign(count: int) -> None:
    """Print how many real texts pass unchanged, by kind, and why the others do not."""
    rng = np.random.default_rng(2)
    judge = WindowJudge(draw_code_words(rng, K))
    kinds = benign_texts(rng)
    share = min(1.0, count / sum(map(len, kinds.values())))
    same = total = 0
    for kind, texts in kinds.items():
        chosen = texts[: max(1, round(share * len(texts)))]
        reasons: Counter[str] = Counter()
        start = time.process_time()
        for text in chosen:
            left, verdict = streamed(judge, [(p, "content", 0) for p in cut(text, rng)])
            if verdict is None:
                assert left.get(("content", 0), "") == text
                same += 1
            else:
                reasons[verdict.reason] += 1
        seconds = time.process_time() - start
        total += len(chosen)
        characters = sum(map(len, chosen))
        print(
            f"  {kind:28s} {len(chosen) - sum(reasons.values())} of {len(chosen)}; "
            f"{4e8 * seconds / characters:.0f} µs a hundred tokens {dict(reasons) or ''}",
            flush=True,
        )
    print(f"pass byte for byte: {rate(same, total)}, {K} secrets")


def verse_texts(rng: np.random.Generator, count: int) -> dict[str, list[str]]:
    """Texts in short lines, whose first letters are as they come."""
    words = re.findall(r"[a-z]+", language.novel("emma").lower())
    lemmas = sorted(
        {
            line.split(" ")[4].replace("_", " ")
            for file in locate("wordnet").rglob("data.noun")
            for line in file.read_text().splitlines()[40:]
        }
    )
    lemmas = [lemma for lemma in lemmas if lemma.replace(" ", "").isalpha()]
    verbs = sorted(
        {
            line.split(" ")[4].replace("_", " ")
            for file in locate("wordnet").rglob("data.verb")
            for line in file.read_text().splitlines()[40:]
        }
    )

    def verse(low: int, high: int) -> str:
        at, lines = int(rng.integers(len(words) - 200)), []
        for n in rng.integers(low, high + 1, int(rng.integers(4, 17))).tolist():
            lines.append(" ".join(words[at : at + n]).capitalize())
            at += n
        return "\n".join(lines)

    def some(items: Sequence[str], *, row: bool) -> list[str]:
        n = int(rng.integers(4, 17))
        if row:
            at = int(rng.integers(len(items) - n))
            return list(items[at : at + n])
        return [items[int(k)] for k in rng.integers(len(items), size=n)]

    def every(make: Callable[[], str]) -> list[str]:
        return [make() for _ in range(count)]

    def step(k: int, verb: str) -> str:
        return f"{k + 1}. {verb.capitalize()} the {words[int(rng.integers(len(words)))]}."

    return {
        "verse of 5 to 8 words a line": every(lambda: verse(5, 8)),
        "verse of 2 to 5 words a line": every(lambda: verse(2, 5)),
        "verse of one word a line": every(lambda: verse(1, 1)),
        "words in the order of the alphabet": every(lambda: "\n".join(some(lemmas, row=True))),
        "words in no order": every(lambda: "\n".join(some(lemmas, row=False))),
        "bullets": every(lambda: "\n".join(f"- {w}" for w in some(lemmas, row=False))),
        "numbered steps": every(
            lambda: "\n".join(step(k, v) for k, v in enumerate(some(verbs, row=False)))
        ),
    }


def verse(count: int) -> None:
    """Print how many texts in short lines pass unchanged, by kind, and why the others do not."""
    rng = np.random.default_rng(7)
    judge = WindowJudge(draw_code_words(rng, K))
    for kind, texts in verse_texts(rng, count).items():
        reasons: Counter[str] = Counter()
        for text in texts:
            _, verdict = streamed(judge, [(p, "content", 0) for p in cut(text, rng)])
            if verdict is not None:
                reasons[verdict.reason] += 1
        same = len(texts) - sum(reasons.values())
        print(f"  {kind}: {rate(same, len(texts))} {dict(reasons.most_common(3))}", flush=True)


def chance(count: int) -> None:
    """Print how often a secret that is drawn anew is read in real texts, and a bound for letters.

    The texts are given and every secret is drawn alone, so that the number of secrets that are
    read in any of them is binomial. The bound is of a secret of uniform letters: at one place of a
    row, n letters agree up to a shift with chance 26^(1 - n).
    """
    rng = np.random.default_rng(6)
    kinds = benign_texts(rng)
    share = count / sum(map(len, kinds.values()))
    texts = [t for of in kinds.values() for t in of[: max(1, round(share * len(of)))]]
    drawn, each, hits = 1024, 64, set()
    start = time.process_time()
    for batch in range(drawn // each):
        secrets = draw_code_words(rng, each)
        judge = WindowJudge(secrets)
        for text in texts:
            finding = judge.judge(text)
            if finding is not None and finding.secret:
                hits.add((batch, finding.secret))
    high = float(clopper_pearson(len(hits), drawn, 0.05)[1])
    print(
        f"{drawn} code words in {len(texts)} texts: {len(hits)} are read in any; a secret in one "
        f"text with chance ≤ {high / len(texts):.2g} (upper limit of one side, 95 %); "
        f"{time.process_time() - start:.0f} CPU-s"
    )
    forms = sum(1 for b in WindowJudge(draw_code_words(rng, 1))._index.all)
    places: Counter[int] = Counter()
    for text in texts:
        for row in rows_of(folded(text)):
            places[row.density] += len(row.codes)
    least = LEAST[""]
    bound = sum(n * forms * 26.0 ** (1 - least[density]) for density, n in places.items())
    print(
        f"uniform letters: {forms} forms, places a text "
        f"{ {k: round(n / len(texts)) for k, n in sorted(places.items())} }; "
        f"union bound {bound / len(texts):.2g} a secret and text"
    )


def cpu() -> None:
    """Print CPU for 100 tokens, beside a filter that looks for the secrets as they are written."""
    rng = np.random.default_rng(3)
    secrets = draw_code_words(rng, K)
    judge = WindowJudge(secrets)
    kinds = benign_texts(rng)

    def literal(pieces: Sequence[str]) -> None:
        """Hold the longest secret back and look for each."""
        most = max(map(len, secrets))
        held = ""
        for piece in pieces:
            held += piece
            if any(secret in held for secret in secrets):
                return
            held = held[-most:]

    def ours(pieces: Sequence[str]) -> None:
        streamed(judge, [(piece, "content", 0) for piece in pieces])

    for kind in ("novels", "bodies of mails", "source code of Python", "pictures in base64"):
        texts = kinds[kind][:30]
        deltas = [[t[k : k + 4] for k in range(0, len(t), 4)] for t in texts]
        tokens = sum(map(len, deltas))
        ways: dict[str, Callable[[Sequence[str]], None]] = {"ours": ours, "literal": literal}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(3):
            for name, way in ways.items():
                start = time.process_time()
                for pieces in deltas:
                    way(pieces)
                spent[name].append(1e8 * (time.process_time() - start) / tokens)
        mine, theirs = (float(np.median(spent[name])) for name in ways)
        print(f"  {kind}: {mine:.0f} µs a hundred tokens, a literal filter {theirs:.0f}: "
              f"{mine / theirs:.1f} times (median of 3)", flush=True)  # fmt: skip


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "attempts"
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if what == "attempts":
        attempts(number or 15_000, int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    elif what == "benign":
        benign(number or 10_000)
    elif what == "verse":
        verse(number or 1_000)
    elif what == "pieces":
        pieces(number or 500)
    elif what == "chance":
        chance(number or 1_000)
    else:
        cpu()
