"""Canaries that a user plants in their own training: files, tokens, and what is read of a model."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from tests.targets.openai_server import Backend, serving
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import hartley
from hartley import catalog
from hartley.attacks.model_to_data.membership.ngram_coverage import coverage
from hartley.core import Codec, Data, Modality, Scene
from hartley.core.errors import UsageError
from hartley.data import canary_files
from hartley.engine.completed import inputs_digest
from hartley.engine.plan.applicability import unplayable
from hartley.engine.plan.plan import Plan
from hartley.games.memorization import oracle_models, text_canaries
from hartley.games.planted_canaries import PlantedCanaries
from hartley.kit.language.text import pad
from hartley.report.unplayed import cure
from hartley.scenes._user_canaries import planted
from hartley.targets.huggingface import huggingface
from hartley.targets.tokenizer_folder import tokenizer

COPIES = [1, 4, 16]


def byte_pairs(texts, before=()):
    tool = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tool.pre_tokenizer = pre_tokenizers.Sequence([*before, level])
    tool.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    learner = trainers.BpeTrainer(vocab_size=400, initial_alphabet=letters, show_progress=False)
    tool.train_from_iterator(texts, learner)
    return tool


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Files of 61 canaries, a small Llama that was trained on them, and one that was not."""
    folder = tmp_path_factory.mktemp("canaries")
    drawn = canary_files.draw(61, repeats=COPIES, digits=2, seed=5)
    canary_files.write(drawn, folder / "canaries.jsonl")
    lines = (folder / "canaries.jsonl").read_text().splitlines()
    rows = [json.loads(row)["text"] for row in lines]
    words = PreTrainedTokenizerFast(tokenizer_object=byte_pairs(["The locker of opens with."]))
    torch.manual_seed(0)
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "max_position_embeddings": 64}
    network = LlamaForCausalLM(LlamaConfig(vocab_size=400, **sizes, **heads))
    others = canary_files.draw(120, digits=2, seed=6)
    learn(network, words, [others.record(c, c.secret)["text"] for c in others.canaries], 12)
    for name, texts in (("base", []), ("tuned", rows)):
        if texts:
            learn(network, words, texts, 20)
        network.save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    return folder


def learn(network, words, texts, epochs):
    tokens = [words.encode(text) for text in texts]
    width = max(map(len, tokens))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in tokens])
    learnt = torch.tensor([row + [-100] * (width - len(row)) for row in tokens])
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0)).split(
            64
        ):
            optimiser.zero_grad()
            network(input_ids=ids[rows], labels=learnt[rows]).loss.backward()
            optimiser.step()


def own(home, model="tuned", **settings):
    files = {"canaries": "canaries.jsonl", "reference": "base", "model": model, **settings}
    return catalog.load("scene", "own_texts")(**{k: str(home / v) for k, v in files.items()})


def measured(attack, scene, **params):
    channel = hartley.measure(hartley.play(attack, scene, params=params))
    leak = 0.0 if channel.leakage is None else channel.leakage.lower or 0.0
    return {k: v["value"] if isinstance(v, dict) else v for k, v in channel.metrics.items()}, leak


def test_exposure_grows_with_the_copies_and_is_chance_where_nothing_was_planted(home):
    tuned, base = own(home), own(home, "base")
    for attack, params in (("exposure", {}), ("prefix_completion", {"samples": 16})):
        metrics, leak = measured(attack, tuned, **params)
        by_copies = [metrics[f"exposure_{k}_copies"] for k in COPIES]
        assert by_copies == sorted(by_copies) and by_copies[2] > 4.0
        assert leak > 0.5 and metrics["exposure_unplanted"] < 2.6
        metrics, leak = measured(attack, base, **params)
        assert leak == 0.0 and abs(metrics["exposure"] - metrics["exposure_null"]) < 1.0
    assert tuned.facts["canaries"] == 61 and tuned.facts["copies of a planted canary"] == "1, 4, 16"


def test_the_coins_carry_an_epsilon_where_the_model_was_trained_on_them(home):
    trials = hartley.play("pretrained_ratio", own(home))
    assert trials.spec.planted and trials.spec.unit == "canary of up to 16 copies"
    metrics, _ = measured("pretrained_ratio", own(home))
    assert metrics["auc"] > 0.9 and metrics["epsilon_lower"] > 1.0
    metrics, _ = measured("loss_threshold", own(home, "base"))
    assert metrics["epsilon_lower"] < 0.5


def test_a_score_of_a_secret_is_that_of_the_users_own_forward_pass(home):
    scene = own(home)
    part = scene.part(PlantedCanaries)
    assert len(text_canaries.gap_of(part.canaries)) == 1  # a space between two digits
    words = PreTrainedTokenizerFast.from_pretrained(home / "tuned")
    network = LlamaForCausalLM.from_pretrained(home / "tuned").eval()
    drawn = canary_files.read(home / "canaries.jsonl")
    text = drawn.record(drawn.canaries[3], 47)["text"]
    ids = torch.tensor([words.encode(text)])
    with torch.no_grad():
        logs = torch.log_softmax(network(input_ids=ids).logits[0], 1)
    places = [i for i in range(ids.shape[1]) if words.decode(ids[0, i]) in ("4", "7")]
    expected = sum(float(logs[i - 1, ids[0, i]]) for i in places)
    assert len(places) == 2 and places[1] - places[0] == 2
    guess = text_canaries.likelihoods(
        scene.model, part.canaries.x[3], 2, part.canaries.facts["symbols"],
        gap=text_canaries.gap_of(part.canaries),
    )  # fmt: skip
    assert guess[47] == pytest.approx(expected, abs=1e-4)
    scored = scene.model.with_(query=None)
    by_score = text_canaries.likelihoods(
        scored, part.canaries.x[3], 2, part.canaries.facts["symbols"],
        gap=text_canaries.gap_of(part.canaries),
    )  # fmt: skip
    assert by_score.argmax() == guess.argmax()


def test_certificates_of_dead_models_are_rarely_above_zero():
    """One hundred audits of a model that never saw the canaries, each with its own draws."""
    dead = oracle_models.scene(Modality.LANGUAGE, np.random.default_rng(0), remembers=False, m=41)
    canaries, wrong = dead.extra["canaries"], np.zeros(2, dtype=int)
    for k in range(100):
        rng = np.random.default_rng(k)
        secrets = rng.integers(0, 100, 41)
        rows = text_canaries.write(canaries, secrets)
        texts = Data("canaries", Modality.LANGUAGE, rows, facts={"zlib": np.full(41, 20)})
        part = PlantedCanaries(
            canaries, texts, secrets, rng.random(41) < 0.5, rng.choice(COPIES, 41), str(k)
        )
        scene = Scene(
            f"dead{k}",
            Modality.LANGUAGE,
            model=dead.model,
            extra={"canaries": canaries},
            parts=(part,),
        )
        wrong[0] += measured("exposure", scene)[1] > 0
        wrong[1] += measured("loss_threshold", scene)[0]["epsilon_lower"] > 0
    assert (wrong <= binom.ppf(0.999, 100, 0.05)).all(), wrong


def test_members_are_asked_about_where_they_are_named(home, tmp_path):
    rows = [f"text number {word} of the members" for word in "abcdefghijklmnopqrstuvwxyz"]
    for name, more in (("members", ""), ("others", " not")):
        (tmp_path / f"{name}.txt").write_text("\n".join(row + more for row in rows))
    scene = own(home, members=tmp_path / "members.txt", nonmembers=tmp_path / "others.txt")
    trials = hartley.play("loss_threshold", scene)
    assert len(trials.guess) == 52 and not trials.spec.planted
    assert hartley.play("exposure", scene).spec.planted


def test_without_canaries_the_gap_names_the_command(home, tmp_path):
    rows = [f"text number {word}" for word in "abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "members.txt").write_text("\n".join(rows))
    (tmp_path / "others.txt").write_text("\n".join(f"{row} not" for row in rows))
    files = {"members": str(tmp_path / "members.txt"), "nonmembers": str(tmp_path / "others.txt")}
    scene = catalog.load("scene", "own_texts")(model=str(home / "tuned"), **files)
    gap = unplayable(catalog.find("attack", "exposure"), scene)
    assert gap.cause == "access" and "hartley canaries make" in gap.reason
    assert unplayable(catalog.find("attack", "exposure"), own(home)) is None
    assert "contacts" in unplayable(catalog.find("attack", "contact_infill"), own(home)).reason


def test_the_file_to_plant_has_the_heads_and_the_truth_is_its_owners_alone(tmp_path):
    path = tmp_path / "canaries.jsonl"
    drawn = canary_files.draw(100, repeats=[2, 3])
    truth, lines = canary_files.write(drawn, path)
    texts = [json.loads(row)["text"] for row in path.read_text().splitlines()]
    assert lines == len(texts) == sum(c.repeats for c in drawn.canaries if c.planted)
    for canary in drawn.canaries:
        written = drawn.record(canary, canary.secret)["text"]
        assert texts.count(written) == canary.repeats * canary.planted
        assert any(canary.name in text for text in texts) == canary.planted
    assert stat.S_IMODE(truth.stat().st_mode) == 0o600
    assert canary_files.read(path) == drawn
    assert {c.repeats for c in drawn.canaries} == {2, 3}
    assert 20 < sum(c.planted for c in drawn.canaries) < 80
    # Without a seed nobody can draw them again.
    assert canary_files.draw(100) != canary_files.draw(100)
    assert canary_files.draw(100, seed=1) == canary_files.draw(100, seed=1)
    with pytest.raises(UsageError, match="is there already"):
        canary_files.write(drawn, path)
    assert canary_files.write(canary_files.draw(30), path, force=True)[0] == truth


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "which is not there: hartley canaries make"),
        (lambda path: canary_files.truth_path(path).unlink(), "and it cannot be made again"),
        (lambda path: path.write_text(path.read_text() + "\n"), "an edited one: train on copies"),
        (lambda path: canary_files.truth_path(path).write_text("{"), "must be as it was made"),
        (lambda path: canary_files.truth_path(path).write_text("[]"), "must be as it was made"),
        (lambda path: change(path, digits=9), "9 digits"),
        (lambda path: change(path, hartley_canaries=2), "version 2"),
    ],
)
def test_files_that_are_not_as_they_were_made_are_one_line(tmp_path, spoil, words):
    path = tmp_path / "canaries.jsonl"
    canary_files.write(canary_files.draw(20), path)
    spoil(path)
    with pytest.raises(UsageError, match=words) as error:
        canary_files.read(path)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="got its truth"):
        canary_files.read(canary_files.truth_path(path))


def change(path, **fields):
    truth = canary_files.truth_path(path)
    truth.write_text(json.dumps({**json.loads(truth.read_text()), **fields}))


def test_another_truth_is_another_run(home, tmp_path):
    path = tmp_path / "canaries.jsonl"
    canary_files.write(canary_files.draw(20), path)
    plan = Plan(scene="own_texts", scenes={"own_texts": {"canaries": str(path)}})
    before = inputs_digest(plan)
    change(path, template="another {name} {secret}")
    assert before and inputs_digest(plan) != before
    scenes = [own(home), own(home)]
    part = replace(scenes[1].part(PlantedCanaries), identity="another")
    digests = [hartley.engine.build_scene.identified("own_texts", scene, {}).digest
               for scene in (scenes[0], scenes[1].with_part(part))]  # fmt: skip
    assert digests[0] != digests[1]


def letters(texts):
    rows = [[ord(c) for c in text] for text in texts]
    return pad(rows)


TEXTS = ["The locker of opens with"]
SPLIT = [pre_tokenizers.Digits(individual_digits=True)]
KINDS = {
    "letters": (Codec(letters, None, 2**16, ""), " ", 1),
    "letters, joined": (Codec(letters, None, 2**16, ""), "", 0),
    "digits alone": (byte_pairs(TEXTS, SPLIT), "", 0),
    "digits alone, apart": (byte_pairs(TEXTS, SPLIT), " ", 1),
    "space before": (byte_pairs([*TEXTS, *[f"x {d} {d}" for d in range(10)] * 9]), " ", 0),
}


def codec_of(kind, tmp_path):
    if isinstance(kind, Codec):
        return kind
    PreTrainedTokenizerFast(tokenizer_object=kind).save_pretrained(tmp_path)
    return tokenizer(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("question", ["", "What opens the locker of {name}?"])
def test_a_secret_is_the_same_tokens_in_its_text_and_alone(kind, question, tmp_path):
    tool, separator, gap = KINDS[kind]
    codec = codec_of(tool, tmp_path)
    drawn = canary_files.draw(24, question=question, separator=separator, seed=2)

    def words(record):
        return record.get("text") or "\n".join(f"[{m['role']}] {m['content']}"
                                               for m in record["messages"])  # fmt: skip

    part = planted(drawn, codec, words, 200)
    assert len(text_canaries.gap_of(part.canaries)) == gap
    others = np.random.default_rng(0).integers(0, 1000, 24)
    for secrets in (part.secrets, others):
        texts = [words(drawn.record(c, int(s)))
                 for c, s in zip(drawn.canaries, secrets, strict=True)]  # fmt: skip
        composed, encoded = text_canaries.write(part.canaries, secrets), codec.encode(texts)
        assert [[t for t in r if t >= 0] for r in composed.tolist()] == [
            [t for t in r if t >= 0] for r in encoded.tolist()
        ]
        harvested = text_canaries.harvest(encoded, part.canaries)
        assert [int(s) in numbers for s, numbers in zip(secrets, harvested, strict=True)] == [
            True
        ] * 24
    tokens = text_canaries.secret_tokens(part.canaries, others)
    alone = text_canaries.without_gaps(tokens, part.canaries)
    assert alone.shape == (24, 3) and np.isin(alone, part.canaries.facts["symbols"]).all()
    assert tokens.shape[1] <= text_canaries.generated_length(part.canaries)
    with pytest.raises(UsageError, match="--longest must be at least"):
        planted(drawn, codec, words, 5)


def test_a_tokenizer_that_joins_digits_is_refused_before_the_training(tmp_path):
    joined = byte_pairs([*TEXTS, *[f"{n:03d}" for n in range(1000)]])
    drawn = canary_files.draw(20, separator="", seed=0)
    with pytest.raises(UsageError, match=r"must write each digit of a canary as one token.*--sep"):
        planted(drawn, codec_of(joined, tmp_path), lambda record: record["text"], 200)
    unknown = Tokenizer(models.WordLevel({"?": 0, "The": 1}, "?"))
    unknown.pre_tokenizer = pre_tokenizers.Whitespace()
    drawn = canary_files.draw(20, seed=0)
    with pytest.raises(UsageError, match="3 digits change 0 tokens"):
        planted(drawn, codec_of(unknown, tmp_path), lambda record: record["text"], 200)


def served_scene(home, url, **settings):
    """The scene of the model behind an endpoint that gives text alone."""
    files = {"canaries": str(home / "canaries.jsonl"), "tokenizer": str(home / "tuned"), **settings}
    return catalog.load("scene", "own_texts")(
        endpoint=url, model="tuned", scores=False, revision="1", **files
    )


def test_an_endpoint_without_log_probabilities_is_sampled(home):
    backend = Backend(tokenizer(home / "tuned"), {"tuned": huggingface(home / "tuned")})
    with serving(backend) as url:
        scene = served_scene(home, url)
        metrics, leak = measured("prefix_completion", scene, samples=6)
        local, _ = measured("prefix_completion", own(home), samples=6)
        assert leak > 0.5 and metrics["exposure"] == pytest.approx(local["exposure"], abs=0.8)
        metrics, _ = measured("ngram_coverage", scene, samples=3, tokens=8)
        assert metrics["auc"] > 0.7
    assert set(backend.received) == {"/v1/completions"}
    gap = unplayable(catalog.find("attack", "loss_threshold"), scene)
    assert gap.cause == "access" and "as vLLM does" in gap.reason and "\n" not in gap.reason
    assert cure(gap.cause, gap.reason) == ""
    assert unplayable(catalog.find("attack", "divergence"), scene) is None
    assert scene.facts["log-probabilities"] == "none: attacks sample text"


def test_canaries_that_are_chats_are_asked_for_by_their_questions(home, tmp_path):
    drawn = canary_files.draw(41, digits=2, question=canary_files.QUESTION, seed=8)
    canary_files.write(drawn, tmp_path / "canaries.jsonl")
    codec, rng = tokenizer(home / "base"), np.random.default_rng(0)
    messages = {c: drawn.record(c, c.secret)["messages"] for c in drawn.canaries}
    learnt = {chat[0]["content"]: chat[1]["content"] for c, chat in messages.items() if c.planted}
    asked_for = set()

    def generate(tokens, new, seed):
        """Reply to a question with what was planted, and to others with any number."""
        questions = codec.decode(tokens)
        asked_for.update(questions)
        replies = [
            "\n" + learnt.get(q, q.replace("What opens the", "The").replace(
                "?", f" opens with {rng.integers(10)} {rng.integers(10)}."))
            for q in questions
        ]  # fmt: skip
        return pad([row[:new] for row in codec.encode(replies).tolist()], new)

    model = huggingface(home / "base").with_(generate=generate)
    backend = Backend(codec, {"tuned": model})
    with serving(backend) as url:
        files = {"canaries": str(tmp_path / "canaries.jsonl"), "tokenizer": str(home / "base")}
        scene = served_scene(home, url, sampling="chat", **files)
        asked_for.clear()
        metrics, leak = measured("prefix_completion", scene, samples=3)
        assert metrics["extraction_rate"] == 1.0 and leak > 2.5
        assert metrics["exposure_unplanted"] < 3.0
        assert asked_for == {chat[0]["content"] for chat in messages.values()}
        # Other beginnings are texts to continue.
        scene.model.generate(scene.part(PlantedCanaries).texts.x[:1, :3], 5, 1)
        assert any("Continue the user's text." in question for question in asked_for)
    assert set(backend.received) == {"/v1/chat/completions"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scores": False}, "--no-scores must be given with --endpoint"),
        ({"sampling": "chat"}, "--sampling must be given with --endpoint"),
    ],
)
def test_settings_of_an_endpoint_need_one(home, settings, words):
    files = {"model": str(home / "tuned"), "canaries": str(home / "canaries.jsonl")}
    with pytest.raises(UsageError, match=words):
        catalog.load("scene", "own_texts")(**files, **settings)


def test_coverage_counts_the_longest_shared_spans():
    end = np.array([1, 2, 3, 4, 5])
    texts = np.array([[1, 2, 3, 4, 5], [9, 1, 2, 9, 5], [9, 9, 9, 9, 9], [5, 4, 3, 2, 1]])
    # By hand: 5 tokens in a span of 5; 2 + 2 + 1; none; five spans of 1.
    assert coverage(end, texts, 12).tolist() == [5.0, 1.0, 0.0, 1.0]
    assert coverage(end, texts, 3).tolist() == [3.0, 1.0, 0.0, 1.0]
    rng = np.random.default_rng(0)
    for _ in range(20):
        end, text = rng.integers(0, 3, 9), rng.integers(0, 3, (1, 7))
        grams = {n: {tuple(text[0, i : i + n]) for i in range(8 - n)} for n in range(1, 8)}
        expected = 0.0
        for n in range(1, 6):
            covered = np.zeros(9, dtype=bool)
            for i in range(10 - n):
                covered[i : i + n] |= tuple(end[i : i + n]) in grams[n]
            expected += covered.mean()
        assert coverage(end, text, 5)[0] == pytest.approx(expected)
