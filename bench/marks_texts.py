"""Marks of texts: detection against its published rate, false alarms, removals, forgery and speed.

    python bench/marks_texts.py windows [--count 10000]
    python bench/marks_texts.py model_windows [--count 1024]
    python bench/marks_texts.py curves [--count 192] [--temperature 1.0 0.7 0.5]
    python bench/marks_texts.py second_language --corpus FOLDER [--language italian]
    python bench/marks_texts.py shared_coins
    python bench/marks_texts.py smollm2 [--count 192] [--tokens 200]
    python bench/marks_texts.py removals [--marks kgw …] [--rounds 16]
    python bench/marks_texts.py forgery [--marks kgw …] [--rounds 8]
    python bench/marks_texts.py speed --markllm FOLDER

``windows`` reads disjoint windows of human text (six novels, dialogues, e-mails; packs austen,
dialogue, spam-assassin) with a fresh key each; ``model_windows`` those that the model wrote without
a mark. ``curves`` is TPR at FPR 1e-3 from 32 to 512 tokens, with the entropy of the model's law.
``second_language`` trains on a language of chatterbot-corpus 1.3.3 (``pip download --no-deps``,
unzipped). ``shared_coins`` is the law of SynthID-text's mean. ``smollm2`` marks texts of SmolLM2
(pack smollm2); what it wrote is stored, so that it can be stopped and gone on with. ``removals``
and ``forgery`` play the attacks on the scene ``prose`` under its floors of meaning (pack minilm).
``speed`` reads the same tokens with MarkLLM 0.1.5's KGW detector, whose source lies in FOLDER
(``pip download --no-deps markllm==0.1.5``, unzipped), and with ours.

A verdict line ends each part. Intervals are of 95 % (Clopper–Pearson).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core import spawn
from hartley.infotheory.binary_channel import clopper_pearson
from hartley.kit.cache import cache_folder
from hartley.kit.language.marks import marked_writer
from hartley.kit.language.marks.text_mark import TextMark
from hartley.scenes.prose import MARKS

RATE = 1e-3
LENGTHS = (32, 64, 128, 200, 256, 384, 512)
WINDOW = 200


def share(hits: np.ndarray) -> str:
    """Return a rate with its interval and n."""
    k, n = int(np.sum(hits)), len(hits)
    low, high = clopper_pearson(k, n, 0.025)
    return f"{k / n:.4f} [{float(low):.4f}, {float(high):.4f}] ({k} of {n})"


def detected(mark: TextMark, texts: np.ndarray, keys: np.ndarray, length: int) -> np.ndarray:
    """Return whether each text is detected by its first tokens."""
    return np.array(
        [
            mark.evidence(row[:length], int(key)).log2_p <= math.log2(RATE)
            for row, key in zip(texts, keys, strict=True)
        ]
    )


def verdict(name: str, holds: bool, what: str) -> bool:
    print(f"{'PASS' if holds else 'FAIL'}  {name}: {what}", flush=True)
    return holds


# ── human windows ────────────────────────────────────────────────────────────────────────────────


def human_texts() -> dict[str, str]:
    from hartley.data import language
    from hartley.data.packs import locate

    novels = ("persuasion", "emma", "mansfield-park", "northanger-abbey", "pride-and-prejudice")
    mails = [
        path.read_text(encoding="latin-1").partition("\n\n")[2]
        for path in sorted(locate("spam-assassin").rglob("*"))
        if path.is_file() and path.stat().st_size < 100_000
    ]
    return {
        "novels": "\n".join(language.novel(one) for one in (*novels, "sense-and-sensibility")),
        "dialogue": "\n".join("\n".join(talk) for talk in language.dialogues()),
        "e-mails": "\n".join(dict.fromkeys(mails)),
    }


def windows(options: argparse.Namespace) -> bool:
    """False alarms on disjoint windows of human text, a fresh key each."""
    from hartley.data import language
    from hartley.kit.language import text

    words = text.byte_pair(language.novel())
    rows, names = [], []
    for name, whole in human_texts().items():
        ids = np.array(words.encode(whole[: 200 * 12 * options.count]), dtype=np.int64)
        cut = ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)
        rows.append(cut)
        names += [name] * len(cut)
    whole_rows, labels = np.concatenate(rows), np.array(names)
    rng = np.random.default_rng(options.seed)
    # All of the novels and dialogues; e-mails, of which there are most, fill what is left.
    first = np.argsort(labels == "e-mails", kind="stable")
    rest = (labels != "e-mails").sum()
    some = np.concatenate([first[:rest], rng.permutation(first[rest:])])[: options.count]
    whole_rows, labels = whole_rows[some], labels[some]
    keys = rng.integers(2**62, size=len(whole_rows))
    good = len(whole_rows) >= options.count
    counts = ", ".join(
        f"{n} of {name}" for name, n in zip(*np.unique(labels, return_counts=True), strict=True)
    )
    print(f"{len(whole_rows)} disjoint windows of {WINDOW} tokens ({counts}), fresh keys")
    for name in options.marks:
        start = time.process_time()
        hits = detected(MARKS[name](), whole_rows, keys, WINDOW)
        seconds = time.process_time() - start
        by_source = "; ".join(f"{s} {int(hits[labels == s].sum())}" for s in np.unique(labels))
        low = float(clopper_pearson(int(hits.sum()), len(hits), 0.025)[0])
        good &= verdict(
            f"{name} false alarms at 1e-3",
            low <= RATE,
            f"{share(hits)}; {by_source}; {len(hits) * WINDOW / seconds:,.0f} tokens/s",
        )
    return good


# ── what a model wrote ───────────────────────────────────────────────────────────────────────────


def small_model(context: int) -> tuple[Any, Any, np.ndarray]:
    """Return a small transformer, its vocabulary and prompts (n, 16) that it did not read."""
    import torch

    from hartley.data import language
    from hartley.kit.cache import cached
    from hartley.kit.language import gpt, text

    words = text.byte_pair(language.novel())
    ids = np.array(words.encode(language.novel()), dtype=np.int64)
    cut = int(len(ids) * 0.8) // context * context
    rows = ids[:cut].reshape(-1, context)
    shape = gpt.Shape(vocabulary=words.size, width=128, layers=2, context=context)
    lesson = gpt.Lesson(epochs=2, batch=1, rate=3e-3)
    key = {**gpt.recipe(shape, lesson), "rows": rows, "seed": 0}
    state = cached("gpt", key, lambda: gpt.train(rows, shape, lesson, 0), code=gpt.train)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    prompts = np.lib.stride_tricks.sliding_window_view(ids[cut:], 16)[::24]
    return marked_writer.small_transformer(tensors, shape), words, prompts


def model_windows(options: argparse.Namespace) -> bool:
    """False alarms on what the model wrote without a mark."""
    begin, _, prompts = small_model(544)
    count = options.count if options.count != 10_000 else 1024
    order = np.random.default_rng(options.seed).integers(len(prompts), size=count)
    writing = marked_writer.write(begin, prompts[order], WINDOW, options.seed)
    keys = np.random.default_rng(options.seed + 1).integers(2**62, size=count)
    print(
        f"{count} windows of {WINDOW} tokens by the model, {writing.entropy.mean():.2f} bits/token"
    )
    good = True
    for name in options.marks:
        hits = detected(MARKS[name](), writing.tokens, keys, WINDOW)
        low = float(clopper_pearson(int(hits.sum()), count, 0.025)[0])
        good &= verdict(f"{name} false alarms at 1e-3, model", low <= RATE, share(hits))
    return good


def curves(options: argparse.Namespace) -> bool:
    """TPR at FPR 1e-3 by length and entropy."""
    begin, words, prompts = small_model(544)
    del words
    count = options.count if options.count != 10_000 else 192
    order = np.random.default_rng(options.seed).integers(len(prompts), size=count)
    good = True
    for name in options.marks:
        mark = MARKS[name]()
        for temperature in options.temperature:
            rng = np.random.default_rng(spawn(options.seed, name, str(temperature)))
            keys = rng.integers(2**62, size=count)
            messages = rng.integers(0, 2, (count, 16)) if mark.read else None
            writing = marked_writer.write(
                begin,
                prompts[order],
                max(LENGTHS),
                options.seed,
                mark,
                keys=keys,
                messages=messages,
                temperature=temperature,
            )
            line = [f"{np.mean(detected(mark, writing.tokens, keys, n)):.3f}" for n in LENGTHS]
            hits = detected(mark, writing.tokens, keys, WINDOW)
            p = [
                mark.evidence(r[:WINDOW], int(k)).log2_p
                for r, k in zip(writing.tokens, keys, strict=True)
            ]
            print(
                f"{name} T={temperature:g} entropy {writing.entropy.mean():.2f} bits/token; TPR at "
                f"{'/'.join(map(str, LENGTHS))} tokens: {' '.join(line)}; at {WINDOW}: "
                f"{share(hits)}, median evidence {-np.median(p):.1f} bits",
                flush=True,
            )
            if name == "kgw" and temperature == 1.0:
                good &= verdict(
                    "kgw TPR at 200 tokens ≥ .985", bool(hits.mean() >= 0.985), share(hits)
                )
    return good


def second_language(options: argparse.Namespace) -> bool:
    """KGW on a model of another language, trained on what chatterbot-corpus has of it."""
    import torch

    from hartley.data import language
    from hartley.kit.language import gpt, text

    folder = Path(options.corpus) / options.language
    talks = [talk for path in sorted(folder.glob("*.yml")) for talk in language.conversations(path)]
    whole = "\n".join("\n".join(talk) for talk in talks)
    words = text.byte_pair(whole, 1024)
    ids = np.array(words.encode(whole), dtype=np.int64)
    cut = int(len(ids) * 0.85) // 256 * 256
    rows = ids[:cut].reshape(-1, 256)
    shape = gpt.Shape(vocabulary=words.size, width=128, layers=2, context=256)
    state = gpt.train(rows, shape, gpt.Lesson(epochs=6, batch=1, rate=3e-3), 0)
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    begin = marked_writer.small_transformer(tensors, shape)
    prompts = np.lib.stride_tricks.sliding_window_view(ids[cut:], 16)[::8]
    count = options.count if options.count != 10_000 else 96
    rng = np.random.default_rng(options.seed)
    order, keys = rng.integers(len(prompts), size=count), rng.integers(2**62, size=count)
    print(f"{options.language}: {len(ids)} tokens of {words.size}, {len(talks)} conversations")
    good = True
    for temperature in options.temperature:
        writing = marked_writer.write(
            begin,
            prompts[order],
            WINDOW,
            options.seed,
            MARKS["kgw"](),
            keys=keys,
            temperature=temperature,
        )
        if temperature == options.temperature[0]:
            print(repr(words.decode(writing.tokens[0])[:120]))
        hits = detected(MARKS["kgw"](), writing.tokens, keys, WINDOW)
        print(f"T={temperature:g} entropy {writing.entropy.mean():.2f} bits/token: {share(hits)}")
        good &= temperature < 1 or bool(hits.mean() >= 0.985)
    human = ids[: len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW)
    hits = detected(MARKS["kgw"](), human, rng.integers(2**62, size=len(human)), WINDOW)
    low = float(clopper_pearson(int(hits.sum()), len(hits), 0.025)[0])
    print(f"false alarms on human windows: {share(hits)}")
    return verdict(f"kgw in {options.language}", good and low <= RATE, "TPR at T = 1, false alarms")


def shared_coins(options: argparse.Namespace) -> bool:
    """False alarms of SynthID-text's mean by the binomial law of all readings, and by ours.

    Layers share a table of 2¹⁶ coins. The law over tables is drawn exactly, by classes of coins
    that are read equally often.
    """
    from scipy import stats

    from hartley.infotheory.exact_tails import log2_weighted_tail
    from hartley.kit.language.marks import tournament

    rng, good, draws = np.random.default_rng(options.seed), True, 400_000
    for n in (200, 500, 1000):
        text = rng.integers(0, 2048, n + 4)
        read = tournament.coins(text, tournament.secrets(1, 30)[0], 4)
        weights = np.unique(read, return_counts=True)[1]
        total = int(weights.sum())
        sums = np.zeros(draws, dtype=np.int64)
        for weight, count in zip(*np.unique(weights, return_counts=True), strict=True):
            sums += weight * rng.binomial(count, 0.5, draws)
        plain = (stats.binom.sf(sums - 1, total, 0.5) <= RATE).mean()
        below, level = total // 2, total  # the least sum that alarms, by bisection
        while level - below > 1:
            middle = (below + level) // 2
            alarms = log2_weighted_tail(weights, middle, 0.5) <= math.log2(RATE)
            below, level = (below, middle) if alarms else (middle, level)
        ours = sums >= level
        low = float(clopper_pearson(int(ours.sum()), draws, 0.025)[0])
        good &= verdict(
            f"synthid, {n} tokens",
            low <= RATE,
            f"variance {np.square(weights).sum() / total:.2f} times the binomial; the binomial law "
            f"alarms at {plain:.5f}, ours at {share(ours)}",
        )
    return good


def stored(folder: Path, name: str, build: Callable[[], dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return arrays that were stored, or build and store them."""
    file = folder / f"{name}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arrays = build()
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.replace(file)
    with np.load(file) as read:
        return {key: read[key] for key in read.files}


def causal_network(network: Any) -> marked_writer.Begin:
    """Return a network of ``transformers`` as a model to write with; keys and values are stored."""

    def begin(rows: np.ndarray, length: int) -> tuple[Any, marked_writer.Advance]:
        import torch

        del length
        past: list[Any] = [None]

        def read(ids: np.ndarray) -> Any:
            with torch.inference_mode():
                answer = network(
                    input_ids=torch.from_numpy(np.ascontiguousarray(ids)),
                    past_key_values=past[0],
                    use_cache=True,
                    logits_to_keep=1,
                )
                past[0] = answer.past_key_values
                return answer.logits[:, -1].float().numpy()

        return read(rows), lambda tokens: read(np.asarray(tokens)[:, None])

    return begin


def smollm2(options: argparse.Namespace) -> bool:
    """KGW on SmolLM2: 32 texts at a time, stored."""
    from hartley.data import language
    from hartley.models import smollm

    words = smollm.words()
    ids = np.array(words.encode(language.novel()), dtype=np.int64)
    prompts = ids[: len(ids) // 64 * 64].reshape(-1, 64)[:, :32]
    count = options.count if options.count != 10_000 else 192
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(prompts))[:count]
    keys = rng.integers(2**62, size=count)
    folder = Path(options.store) / f"smollm2-{options.tokens}"
    network: list[Any] = []

    def written(at: int, name: str) -> dict[str, np.ndarray]:
        if not network:
            network.append(causal_network(smollm.network()))
        start, some = time.process_time(), slice(at, at + 32)
        writing = marked_writer.write(
            network[0],
            prompts[order[some]],
            options.tokens,
            options.seed + at,
            MARKS[name]() if name != "none" else None,
            keys=keys[some],
            banned=2,
        )
        seconds = time.process_time() - start
        print(
            f"  {name} {at}: {seconds:.0f} s, {writing.entropy.mean():.2f} bits/token", flush=True
        )
        return {"tokens": writing.tokens, "entropy": writing.entropy}

    good = True
    for name in options.marks:
        parts = [
            stored(
                folder, f"{name}-{options.seed}-{at}", lambda at=at, name=name: written(at, name)
            )
            for at in range(0, count, 32)
        ]
        tokens = np.concatenate([part["tokens"] for part in parts])
        entropy = np.concatenate([part["entropy"] for part in parts])
        read = MARKS["kgw" if name == "none" else name]()
        lengths = [n for n in LENGTHS if n <= options.tokens]
        rates = [f"{np.mean(detected(read, tokens, keys[: len(tokens)], n)):.3f}" for n in lengths]
        hits = detected(read, tokens, keys[: len(tokens)], min(WINDOW, options.tokens))
        print(
            f"SmolLM2 {name} entropy {entropy.mean():.2f} bits/token; TPR at "
            f"{'/'.join(map(str, lengths))}: {' '.join(rates)}"
        )
        if name == "kgw":
            good &= verdict("kgw TPR at 200 tokens ≥ .985", bool(hits.mean() >= 0.985), share(hits))
        else:
            print(f"  {share(hits)} detected at {WINDOW}")
    return good


# ── attacks ──────────────────────────────────────────────────────────────────────────────────────

REMOVALS = (
    "word_substitution",
    "surprisal_rewriting",
    "text_dilution",
    "stolen_scrubbing",
    "paraphrase",
    "surrogate_rewording",
    "detector_walk",
)


def removals(options: argparse.Namespace) -> bool:
    """Each removal against each mark, under the floors of meaning and fluency."""
    from hartley import catalog
    from hartley.channel.measure import measure
    from hartley.engine.defend import defended
    from hartley.engine.run.play import deal, play
    from hartley.scenes.prose import prose

    rounds = options.rounds
    breaks = []
    for name in options.marks:
        scene = prose(mark=name, similarity="meaning")
        if options.defense:
            scene = defended(scene, catalog.load("defense", options.defense))
        dealt: dict[str, Any] = {}
        rows = []
        for attack in (catalog.load("attack", one) for one in options.removals):
            setting = json.dumps(dict(attack.game_params))
            if setting not in dealt:
                params = {"rounds": rounds, **attack.game_params}
                dealt = {setting: deal(attack, scene, seed=options.seed, params=params)}
            start = time.process_time()
            trials = play(attack, scene, seed=options.seed, dealt=dealt[setting])
            seconds = (time.process_time() - start) / rounds
            rows.append((attack.name, trials, measure(trials), seconds))
            print(removal_line(name, *rows[-1]), flush=True)
        left = [(float(np.nanmean(t.metrics["evidence_after"])), n, t) for n, t, _, _ in rows]
        least = min(left, key=lambda row: row[0])
        quality = {k: float(np.nanmean(least[2].metrics[k])) for k in ("similarity", "fluency")}
        breaks.append((name, least[1], least[0], quality))
    for name, attack_name, evidence, quality in breaks:
        print(
            f"cheapest break of {name}: {attack_name}, {evidence:.1f} bits of evidence left at "
            f"similarity {quality['similarity']:.2f}, fluency {quality['fluency']:+.2f} nats/token"
        )
    return True


def removal_line(mark: str, name: str, trials: Any, row: Any, seconds: float) -> str:
    metrics = trials.metrics

    def mean(key: str) -> str:
        value = metrics.get(key)
        if value is None:
            return "–"
        low, high = getattr(value, "low", None), getattr(value, "high", None)
        if low is None or high is None:
            return f"{float(value):.2f}"
        return f"{float(value):.2f} [{low:.2f}, {high:.2f}]"

    words = [f"{mark} × {name}: evidence {mean('evidence_before')} → {mean('evidence_after')} bits"]
    words.append(f"detected {mean('detected_before')} → {mean('detected_after')}")
    if "ber_after" in metrics:
        words.append(f"BER {mean('ber_before')} → {mean('ber_after')}")
    words.append(f"similarity {mean('similarity')}, fluency {mean('fluency')}")
    words.append(f"violated {mean('violated')}, {seconds:.1f} s a text")
    high = getattr(row, "high", None)
    ends = f"[{row.bits.lower:.3f}, {math.nan if high is None else high:.3f}]"
    return "; ".join(words) + f"; {row.bits.value:.3f} {ends} {row.bits.unit} destroyed"


def forgery(options: argparse.Namespace) -> bool:
    """Stealing, then spoofing, against each mark."""
    from hartley import catalog
    from hartley.channel.measure import measure
    from hartley.engine.run.play import deal, play
    from hartley.scenes.prose import prose

    attack = catalog.load("attack", "stolen_forgery")
    for name in options.marks:
        scene = prose(mark=name, similarity="meaning")
        params = {"rounds": options.rounds, **attack.game_params}
        dealt = deal(attack, scene, seed=options.seed, params=params)
        trials = play(attack, scene, seed=options.seed, dealt=dealt)
        means = {
            key: round(float(np.nanmean(np.asarray(value, dtype=float))), 3)
            for key, value in trials.metrics.items()
        }
        print(f"{name} × stolen_forgery: {means}; {measure(trials)}", flush=True)
    return True


# ── speed ────────────────────────────────────────────────────────────────────────────────────────


def peer_detector(folder: Path, vocabulary: int) -> Callable[[np.ndarray], float]:
    """Return MarkLLM's own KGW scoring of token ids, its class from its source.

    Its package cannot be installed beside a present transformers (it pins Pillow 9.4 and openai
    0.28): the module of KGW is loaded alone, with stand-ins for what it imports and detection does
    not use.
    """
    import torch

    source = folder / "markllm" / "watermark" / "kgw" / "kgw.py"
    for name in ("markllm", "markllm.watermark", "markllm.watermark.kgw"):
        sys.modules.setdefault(name, types.ModuleType(name))
    base = types.ModuleType("markllm.watermark.base")
    base.BaseWatermark = object  # type: ignore[attr-defined]
    sys.modules["markllm.watermark.base"] = base
    needed = source.read_text(encoding="utf-8")
    lines = [
        line
        for line in needed.splitlines()
        if not line.startswith(("from ..", "from utils", "from visualize", "from exceptions"))
    ]
    module = types.ModuleType("markllm_kgw")
    module.__dict__.update(
        BaseWatermark=object, TransformersConfig=object, DataForVisualization=object
    )
    exec(compile("\n".join(lines), str(source), "exec"), module.__dict__)
    settings = json.loads((folder / "markllm" / "config" / "KGW.json").read_text(encoding="utf-8"))
    config = types.SimpleNamespace(**settings, vocab_size=vocabulary, device=torch.device("cpu"))
    utils = module.KGWUtils(config)
    return lambda ids: float(utils.score_sequence(torch.from_numpy(ids))[0])


def speed(options: argparse.Namespace) -> bool:
    """Tokens a second of both detectors, on the same tokens, side by side."""
    good = True
    for vocabulary in (2048, 49_152):
        rng = np.random.default_rng(options.seed)
        law = 1.0 / np.arange(1, vocabulary + 1)
        rows = rng.choice(vocabulary, (20, WINDOW), p=law / law.sum())
        theirs, ours = peer_detector(Path(options.markllm), vocabulary), MARKS["kgw"]()
        rates: dict[str, list[float]] = {"MarkLLM": [], "hartley": []}
        for row in rows:  # in turns, so that both meet the same load of the machine
            start = time.process_time()
            theirs(row)
            rates["MarkLLM"].append(WINDOW / (time.process_time() - start))
            start = time.process_time()
            for _ in range(20):
                ours.evidence(row, 7)
            rates["hartley"].append(20 * WINDOW / max(1e-9, time.process_time() - start))
        ratio = np.array(rates["hartley"]) / np.array(rates["MarkLLM"])
        low, high = np.quantile(ratio, [0.05, 0.95])
        line = ", ".join(f"{name} {np.median(rate):,.0f} tokens/s" for name, rate in rates.items())
        good &= verdict(
            f"KGW detection ≥ 5× MarkLLM, vocabulary {vocabulary}",
            bool(low >= 5),
            f"{line}; ratio {np.median(ratio):.0f}× [{low:.0f}, {high:.0f}] over {len(rows)} texts",
        )
    return good


PARTS = {
    part.__name__: part
    for part in (
        windows,
        model_windows,
        curves,
        second_language,
        shared_coins,
        smollm2,
        removals,
        forgery,
        speed,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=WINDOW)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--marks", nargs="+", default=[*MARKS], choices=[*MARKS, "none"])
    parser.add_argument("--defense", default="", help="what the owner deploys, such as multi_key")
    parser.add_argument("--removals", nargs="+", default=[*REMOVALS])
    parser.add_argument("--temperature", nargs="+", type=float, default=[1.0, 0.7, 0.5])
    parser.add_argument("--corpus", default="chatterbot_corpus/data")
    parser.add_argument("--language", default="italian")
    parser.add_argument("--markllm", default="markllm")
    parser.add_argument("--store", default=str(cache_folder() / "bench-marks"))
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    return 0 if PARTS[options.part](options) else 1


if __name__ == "__main__":
    raise SystemExit(main())
