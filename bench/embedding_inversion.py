"""Reading stored embeddings back: what correction adds, what a kernel adds, what defences leave.

    python bench/embedding_inversion.py                    # all parts but the decoder
    python bench/embedding_inversion.py --only sentences   # defences, speakers, captions, decoder

Claims: (Vec2Text, arXiv:2310.06816) embedding a hypothesis and correcting it reads more than
reading once; words' own embeddings read more than a regression of words (arXiv:2004.00053); a
secret rotation stops only who does not know of it; a kernel reads more of a voice than a line.
Rows: bits out of 6 [95 % interval], targets identified among 64, the same with another record's
embedding (null), questions and CPU seconds. Verdicts: Newcombe's 95 % interval of the difference of
shares. For captions there is no claim but a limit: how often the victim's own text tower, held the
64 true captions, picks the right one. About 4 CPU minutes; the decoder, which trains first, 4 more.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Scene
from hartley.engine import build_scene
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.inversion.embedding_inversion import StoredEmbeddings
from hartley.kit.ridge import cosines

Rate = tuple[int, int]
DEFENCES = (
    ("embedding_noise", {"scale": 0.1}),
    ("embedding_noise", {"scale": 1.0}),
    ("embedding_quantise", {"bits": 1}),
    ("embedding_rotation", {}),
)


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    rate, wide = right / n, z * z / n
    middle = (rate + wide / 2) / (1 + wide)
    reach = z * (rate * (1 - rate) / n + wide / n / 4) ** 0.5 / (1 + wide)
    return middle - reach, middle + reach


def verdict(claim: str, a: Rate, b: Rate) -> None:
    """Does ``a`` identify more than ``b``? Newcombe's interval of the difference."""
    (p, q), (la, ha), (lb, hb) = (a[0] / a[1], b[0] / b[1]), wilson(*a), wilson(*b)
    low = p - q - ((p - la) ** 2 + (hb - q) ** 2) ** 0.5
    high = p - q + ((ha - p) ** 2 + (q - lb) ** 2) ** 0.5
    said = "holds" if low > 0 else "does not hold"
    print(
        f"  claim: {claim}   ours: {p - q:+.3f} [{low:+.3f}, {high:+.3f}], n = {a[1]}   "
        f"verdict: {said}",
        flush=True,
    )


def row(
    scene: Scene, attack: str, rounds: int, seed: int, undefended: Scene | None = None, **params
) -> Rate:
    started = time.process_time()
    part = catalog.load("attack", attack)
    trials = play(
        part,
        scene,
        seed=seed,
        params=params,
        game_params={"rounds": rounds},
        undefended=undefended,
    )
    spent, found = time.process_time() - started, measure(trials)
    usual = trials.metrics
    words, knows = ", ".join(f"{k}={v:g}" for k, v in params.items()), trials.knowledge
    extra = "".join(
        f", {name} {usual[name]:.3f}" for name in ("token_f1", "distortion") if name in usual
    )
    print(
        f"  {attack}({words}) {knows}: {found.bits.value:.2f} bits [{found.bits.lower:.2f}, "
        f"{found.high:.2f}], identified {usual['identified']:.3f}, null "
        f"{usual['identified_without_target']:.3f}{extra}, n = {found.n}, "
        f"{found.uses / found.n:.0f} questions a target, {spent:.0f} CPU s",
        flush=True,
    )
    return round(usual["identified"] * found.n), found.n


def warmed(name: str) -> Scene:
    """The scene, its encoder's answers to what it knows by heart computed beforehand."""
    scene = build_scene.build(name, {})
    scene.model.query(scene.part(StoredEmbeddings).public.x[:1])
    return scene


def sentences(rounds: int, seed: int) -> None:
    scene = warmed("sentences")
    print("sentences (MiniLM)")
    words = row(scene, "embedding_words", rounds, seed)
    once = row(scene, "embedding_search", rounds, seed, corrections=0)
    again = row(scene, "embedding_search", rounds, seed)
    verdict("words' own embeddings read more than a regression", once, words)
    verdict("correction reads more than reading once", again, once)


def decoder(rounds: int, seed: int) -> None:
    scene = warmed("sentences")
    print("sentences (MiniLM), a trained decoder")
    once = row(scene, "embedding_decoder", rounds, seed, corrections=0)
    again = row(scene, "embedding_decoder", rounds, seed)
    verdict("correction reads more than the decoder wrote", again, once)


def defences(rounds: int, seed: int) -> None:
    scene = warmed("sentences")
    for name, params in DEFENCES:
        print(f"sentences behind {name}({', '.join(f'{k}={v:g}' for k, v in params.items())})")
        held = defended(scene, name, params, seed)
        knows = row(held, "embedding_search", rounds, seed, corrections=1)
        if name == "embedding_rotation":
            static = row(held, "embedding_search", rounds, seed, scene, corrections=0)
            verdict("who knows of the rotation reads more than who does not", knows, static)


def speakers(rounds: int, seed: int) -> None:
    scene = warmed("speakers")
    print("speakers (Resemblyzer)")
    line = row(scene, "speaker_inversion", rounds, seed, curved=False)
    bent = row(scene, "speaker_inversion", rounds, seed)
    verdict("a kernel reads more than a line", bent, line)
    for name, params in DEFENCES:
        print(f"speakers behind {name}({', '.join(f'{k}={v:g}' for k, v in params.items())})")
        held = defended(scene, name, params, seed)
        for undefended in (scene, None) if name == "embedding_rotation" else (None,):
            row(held, "speaker_inversion", rounds, seed, undefended)


def captions(rounds: int, seed: int) -> None:
    scene = warmed("captions")
    print("captions (the scene's own dual encoder)")
    right, n = row(scene, "caption_inversion", rounds, seed)
    release = scene.part(StoredEmbeddings)
    half = scene.model.classes // 2
    made = np.asarray(scene.model.query(release.secret.x))
    rng = np.random.default_rng(seed)
    dealt = deal(
        catalog.load("attack", "caption_inversion"), scene, seed=seed, params={"rounds": rounds}
    )
    hits = []
    for one in dealt.rounds:
        for target in one.view.brief.question.x:
            own = int(cosines(target[None], made[:, :half])[0].argmax())
            rest = np.setdiff1d(np.arange(len(made)), own)
            others = rng.choice(rest, release.number - 1, replace=False)
            alike = cosines(target[None], made[[own, *others], half:])[0]
            hits.append(alike[0] > alike[1:].max())
    low, high = wilson(int(np.sum(hits)), len(hits))
    print(
        f"  limit: the text tower, held the {release.number} true captions, picks the right one "
        f"{np.mean(hits):.3f} [{low:.3f}, {high:.3f}], n = {len(hits)}; ours {right / n:.3f}"
    )


PARTS = {
    "sentences": (sentences, 6),
    "defences": (defences, 2),
    "speakers": (speakers, 6),
    "captions": (captions, 6),
    "decoder": (decoder, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=tuple(PARTS))
    parser.add_argument("--rounds", type=int, default=0, help="2 or more; 0: a part's usual")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for name in [args.only] if args.only else [one for one in PARTS if one != "decoder"]:
        part, rounds = PARTS[name]
        part(args.rounds or rounds, args.seed)


if __name__ == "__main__":
    main()
