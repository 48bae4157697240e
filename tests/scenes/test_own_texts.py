"""A user's own language model: folders, adapters, endpoints, and files of texts as they come."""

from __future__ import annotations

import json
import shutil
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from tests.targets.openai_server import Backend, serving
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import hartley
from hartley import catalog
from hartley.attacks.model_to_data.membership.pretrained_ratio import _below
from hartley.core.errors import RunError, UsageError
from hartley.engine.plan.applicability import unplayable
from hartley.games.membership.pretrained import Pretrained
from hartley.models import lora
from hartley.report.unplayed import cure
from hartley.scenes import own_texts as own_texts_module
from hartley.targets.huggingface import huggingface
from hartley.targets.tokenizer_folder import tokenizer

WHO = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal", "Ida", "Jo")
DOES = ("paints", "sells", "mends", "keeps", "counts", "hides")
WHAT = ("boats", "clocks", "maps", "lamps", "stones", "birds")
EVERY = [f"{a} {b} {c}, said {d}." for a in WHO for b in DOES for c in WHAT for d in WHO[:3]]
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def texts_of(path):
    return [json.loads(row)["text"] for row in path.read_text().splitlines()]


def learn(network, words, texts):
    rows = [words.encode(text) for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    learnt = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    some = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(some, lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        network(input_ids=ids, labels=learnt).loss.backward()
        optimiser.step()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A small Llama, an adapter that learnt 30 texts by heart, both as one model, and files."""
    folder = tmp_path_factory.mktemp("own")
    order = np.random.default_rng(0).permutation(len(EVERY))
    members, others = [EVERY[i] for i in order[:30]], [EVERY[i] for i in order[30:60]]
    tool = Tokenizer(models.BPE())
    tool.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tool.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    learner = trainers.BpeTrainer(vocab_size=330, initial_alphabet=letters, show_progress=False)
    tool.train_from_iterator(EVERY, learner)
    tool.enable_truncation(4)  # as a training script may leave it
    words = PreTrainedTokenizerFast(tokenizer_object=tool)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "max_position_embeddings": 32}
    network = LlamaForCausalLM(LlamaConfig(vocab_size=330, **sizes, **heads))
    network.save_pretrained(folder / "base")
    words.save_pretrained(folder / "base")
    adapted = lora.adapted(network, lora.Tuning(rank=8), 0)
    learn(adapted, words, members)
    adapted.save_pretrained(folder / "lora", save_embedding_layers=False)
    stated = folder / "lora" / "adapter_config.json"
    config = {**json.loads(stated.read_text()), "base_model_name_or_path": "../base"}
    stated.write_text(json.dumps(config))
    adapted.merge_and_unload().save_pretrained(folder / "whole")
    words.save_pretrained(folder / "whole")
    lines(folder / "members.jsonl", [{"text": text} for text in members])
    lines(folder / "others.jsonl", [{"text": text} for text in others])
    return folder


PATHS = ("model", "members", "nonmembers", "reference", "base", "tokenizer", "canaries")


def own(home, **settings):
    files = {"model": "lora", "members": "members.jsonl", "nonmembers": "others.jsonl", **settings}
    paths = PATHS if "endpoint" not in files else PATHS[1:]
    files = {k: str(home / v) if k in paths and v else v for k, v in files.items()}
    return catalog.load("scene", "own_texts")(**files)


def auc(attack, scene):
    return hartley.measure(hartley.play(attack, scene)).metrics["auc"]["value"]


def test_an_adapter_is_compared_with_its_base_and_is_the_merged_model(home):
    scene, whole = own(home), own(home, model="whole", reference="base")
    base = huggingface(home / "base")
    x = scene.train.x
    without = scene.part(Pretrained).model
    # Asked in turns: the weights are shared, and each asks with its adapter on or off.
    for _ in range(2):
        assert np.allclose(scene.model.score(x), whole.model.score(x), atol=1e-4)
        assert np.allclose(without.score(x), base.score(x), atol=1e-5)
    assert not np.allclose(scene.model.score(x), base.score(x), atol=0.1)
    # The order of a deal follows from the scene's name.
    guesses = [np.sort(hartley.play("pretrained_ratio", s).guess) for s in (scene, whole)]
    assert np.allclose(*guesses, atol=1e-3)
    assert auc("pretrained_ratio", scene) > 0.9 and auc("min_k", scene) > 0.9
    # A base against itself reads nothing at all.
    alone = own(home, model="base", reference="base")
    assert auc("pretrained_ratio", alone) == 0.5
    assert alone.model.identity != scene.model.identity != whole.model.identity


def test_a_model_without_its_reference_is_a_gap_that_names_the_flag(home):
    attack = catalog.find("attack", "pretrained_ratio")
    gap = unplayable(attack, own(home, model="whole"))
    assert gap.cause == "access" and "--reference" in gap.reason
    # Not even where the model is called "tuned" does the report add another cure.
    assert cure("access", gap.reason.replace("whole", "tuned")) == ""
    assert "your training" in cure("access", "needs train; the model of x offers labels")
    assert unplayable(attack, own(home, model="whole", reference="base")) is None
    trains = unplayable(catalog.find("attack", "lira"), own(home))
    assert "(fit in a scene of yours)" in trains.reason


def test_the_ratio_is_that_of_the_users_own_forward_passes(home):
    scene = own(home, model="whole", reference="base")
    trials = hartley.play("pretrained_ratio", scene, quotient=False)
    divided = hartley.play("pretrained_ratio", scene)
    words = PreTrainedTokenizerFast.from_pretrained(home / "whole")
    texts = [t for name in ("members", "others") for t in texts_of(home / f"{name}.jsonl")]
    rows = [words.encode(text, truncation=False) for text in texts]
    tuned, before, count = losses(home, rows, 1)
    member = slice(int((trials.truth == 1).sum()))
    expected = [np.sort(part[member]) for part in (before - tuned, shares(tuned, before, count))]
    assert np.allclose(np.sort(trials.guess[trials.truth == 1]), expected[0], atol=1e-4)
    assert np.allclose(np.sort(divided.guess[divided.truth == 1]), expected[1], atol=1e-3)


def losses(home, rows, skipped):
    """Losses a token of the tuned network and of its base, and how many tokens they are of."""
    networks = [LlamaForCausalLM.from_pretrained(home / name).eval() for name in ("whole", "base")]
    out = []
    for row in rows:
        ids = torch.tensor([row])
        labels = ids.clone()
        labels[:, :skipped] = -100
        with torch.no_grad():
            pair = [float(network(input_ids=ids, labels=labels).loss) for network in networks]
        out.append((*pair, len(row) - skipped))
    return np.array(out).T


def shares(tuned, before, count):
    """How many standard errors of its tokens a text's quotient is below that of all texts."""
    return np.sqrt(count) * ((tuned * count).sum() / (before * count).sum() - tuned / before)


def test_a_beginning_that_all_texts_share_is_left_out_of_the_ratio(home, tmp_path):
    """So is the first token after it: a model cannot foresee which text begins there."""
    files = {}
    for name, source in (("members", "members.jsonl"), ("nonmembers", "others.jsonl")):
        files[name] = tmp_path / source
        rows = [{"text": f"The record is: {text}"} for text in texts_of(home / source)]
        lines(files[name], rows)
    trials = hartley.play("pretrained_ratio", own(home, model="whole", reference="base", **files))
    words = PreTrainedTokenizerFast.from_pretrained(home / "whole")
    rows = [words.encode(t, truncation=False) for name in files for t in texts_of(files[name])]
    shared = next(k for k, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1)
    assert shared > 2
    expected = shares(*losses(home, rows, shared + 1))[: int((trials.truth == 1).sum())]
    assert np.allclose(np.sort(trials.guess[trials.truth == 1]), np.sort(expected), atol=1e-3)


def test_of_few_texts_the_ratio_is_the_quotient_itself():
    after, earlier, tokens = np.array([1.0, 3.0]), np.array([2.0, 4.0]), np.array([5, 50])
    assert np.array_equal(_below(after, earlier, tokens), [-0.5, -0.75])
    after, earlier, tokens = (np.tile(a, 16) for a in (after, earlier, tokens))
    expected = np.sqrt(tokens) * (155 / 210 - after / earlier)
    assert np.allclose(_below(after, earlier, tokens), expected, atol=1e-7)


def test_texts_of_any_kind_and_length_are_read_and_what_is_left_out_is_counted(home, tmp_path):
    rows = texts_of(home / "members.jsonl")
    long = " ".join(rows[:20])
    frame = pd.DataFrame({"id": range(33), "body": [*rows, long, "", "  "]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("\n".join([*rows, long, "", "  "]) + "\n")
    read = []
    for name, field in (("a.csv", "body"), ("a.parquet", "body"), ("a.txt", "")):
        shutil.copy(home / "others.jsonl", tmp_path / "o.jsonl")
        texts = texts_of(tmp_path / "o.jsonl")
        lines(tmp_path / "o.jsonl", [{"body" if field else "text": text} for text in texts])
        scene = own(
            home,
            members=str(tmp_path / name),
            nonmembers=str(tmp_path / "o.jsonl"),
            text_field=field,
        )
        assert len(scene.train) == 31 and scene.train.x.shape[1] == 32
        assert scene.facts["members left out, with fewer than two tokens"] == 2
        assert scene.facts["members cut at 32 tokens"] == 1
        read.append(scene)
    words = tokenizer(home / "base")
    for scene in read:
        assert np.array_equal(scene.train.x, read[0].train.x)
        assert words.decode(scene.train.x[:30]) == rows
        assert long.startswith(words.decode(scene.train.x[30:])[0])
        sizes = [len(zlib.compress(text.encode())) for text in words.decode(scene.train.x)]
        assert scene.train.facts["zlib"].tolist() == sizes


def test_chats_are_read_as_the_template_of_the_tokenizer_writes_them(home, tmp_path):
    rows = texts_of(home / "members.jsonl")
    chats = [{"messages": [{"role": "user", "content": r[:8]}, {"role": "bot", "content": r[8:]}]}
             for r in rows]  # fmt: skip
    lines(tmp_path / "chats.jsonl", chats)
    shutil.copytree(home / "base", tmp_path / "words")
    for template, expected in ((TEMPLATE, "[user] {}\n[bot] {}\n"), ("", "{}\n{}")):
        (tmp_path / "words" / "chat_template.jinja").write_text(template)
        if not template:
            (tmp_path / "words" / "chat_template.jinja").unlink()
        folder = str(tmp_path / "words")
        scene = own(home, members=str(tmp_path / "chats.jsonl"), tokenizer=folder)
        texts = tokenizer(home / "base").decode(scene.train.x)
        whole = [expected.format(r[:8], r[8:]) for r in rows]
        assert [w.startswith(t) for w, t in zip(whole, texts, strict=True)] == [True] * 30
        assert ("template of words" in scene.facts["chats are read"]) == bool(template)


def test_surplus_nonmembers_are_the_attackers_own(home, tmp_path):
    rows = [{"text": text} for text in texts_of(home / "others.jsonl")]
    more = [{"text": text.replace("said", "wrote")} for text in EVERY[:25]]
    lines(tmp_path / "more.jsonl", rows + more)
    scene = own(home, nonmembers=str(tmp_path / "more.jsonl"))
    assert (len(scene.train), len(scene.holdout), len(scene.extra["public"])) == (30, 30, 25)
    assert len(hartley.play("quantile_regression", scene).guess) == 60
    assert "public" not in own(home).extra


def test_an_endpoint_is_asked_as_the_folder_is(home, monkeypatch):
    backend = Backend(
        tokenizer(home / "whole"), {"tuned": huggingface(home / "whole")}, refuses=True
    )
    local = own(home, model="whole", reference="base")
    settings = {"model": "tuned", "tokenizer": "whole", "reference": "base"}
    with serving(backend) as url:
        scene = own(home, endpoint=url, **settings)
        remote = [hartley.play(a, scene).guess for a in ("zlib_ratio", "pretrained_ratio")]
        expected = [hartley.play(a, local).guess for a in ("zlib_ratio", "pretrained_ratio")]
        assert np.allclose(np.sort(remote), np.sort(expected), atol=1e-4)
        for change, words in (
            ({"model": "tuna"}, "status 404: The model `tuna` does not.*is --model a name"),
            ({"key_env": "NOT_SET"}, "the environment variable NOT_SET must hold the key"),
            ({"tokenizer": "absent"}, "absent must hold a tokenizer"),
            ({"tokenizer": ""}, "--tokenizer must be a folder, got none"),
            ({"endpoint": "http://example.org/v1"}, "--allow-host example.org"),
            ({"endpoint": "localhost:8000"}, "url must be http"),
        ):
            with pytest.raises(UsageError, match=words) as error:
                own(home, **{"endpoint": url, **settings, **change})
            assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"connection was lost.*is the server running"):
        own(home, endpoint=url, **settings)


def test_the_precision_of_the_weights_is_a_setting_that_the_run_names(home):
    exact = own(home, model="whole", reference="base")
    x = exact.train.x
    assert exact.facts["precision"] == "float32"
    for dtype, apart in (("bfloat16", 0.2), ("float16", 0.03)):
        rounded = own(home, model="whole", reference="base", dtype=dtype)
        assert rounded.facts["precision"].startswith(f"{dtype}: scores are rounded")
        for one, other in (
            (exact.model, rounded.model),
            (exact.part(Pretrained).model, rounded.part(Pretrained).model),
        ):
            error = np.abs(one.score(x) - other.score(x)).max()
            assert 1e-5 < error < apart, (dtype, error)
            assert one.identity != other.identity
        network = LlamaForCausalLM.from_pretrained(home / "whole", dtype=getattr(torch, dtype))
        ids = torch.tensor(x[:1, : int((x[0] >= 0).sum())])
        with torch.no_grad():
            logs = torch.log_softmax(network.eval()(input_ids=ids).logits[0].float(), 1)
        expected = logs[:-1].gather(1, ids[0, 1:, None])[:, 0].numpy()
        assert np.allclose(rounded.model.score(x[:1])[0, : len(expected)], expected, atol=1e-4)
        adapted = own(home, dtype=dtype)  # an adapter, and its base beside it
        assert auc("pretrained_ratio", adapted) > 0.9


def test_numbers_that_float16_cannot_hold_are_refused(home):
    for name, scale, words in (
        ("wide", 1e7, "the weights of .* must be finite"),
        ("loud", 2e3, "in which its answers are not finite"),
    ):
        network = LlamaForCausalLM.from_pretrained(home / "whole")
        with torch.no_grad():
            network.lm_head.weight *= scale
            network.model.norm.weight *= scale
        shutil.copytree(home / "whole", home / name)
        network.save_pretrained(home / name)
        assert own(home, model=name).facts["precision"] == "float32"
        with pytest.raises(UsageError, match=f"{words}.*--dtype bfloat16 has the range"):
            own(home, model=name, dtype="float16")
    with pytest.raises(UsageError, match="--dtype must be left out with --endpoint"):
        own(home, model="m", endpoint="http://127.0.0.1:9/v1", tokenizer="whole", dtype="float16")


def test_an_endpoint_gets_token_ids_where_it_splits_texts_otherwise(home):
    """neighbour asks about tokens that no text has: served as text they are other tokens."""
    codec, model = tokenizer(home / "whole"), huggingface(home / "whole")
    pairs = np.stack(np.meshgrid(*[np.arange(codec.size)] * 2), -1).reshape(-1, 2)[::7]
    sizes = (codec.encode(codec.decode(pairs)) >= 0).sum(1)
    row = pairs[(sizes == 1) | (sizes > 3)][:1]  # two tokens whose text is another number of them
    assert len(row)
    settings = {"model": "tuned", "tokenizer": "whole"}
    with serving(Backend(codec, {"tuned": model})) as url:
        as_text = own(home, endpoint=url, **settings).model
        with pytest.raises(RunError, match=r"into 2 tokens, got \d; .*: --prompts tokens"):
            as_text.calls["score"](row)
        as_ids = own(home, endpoint=url, prompts="tokens", **settings).model
        np.testing.assert_allclose(as_ids.calls["score"](row), model.score(row), atol=1e-5)
    with pytest.raises(UsageError, match="--prompts must be given with --endpoint"):
        own(home, prompts="tokens")


def test_an_endpoint_that_does_not_repeat_itself_is_said_to(home, monkeypatch):
    """What the first questions show and cost is in the facts; a worker does not ask them again."""
    codec, model = tokenizer(home / "whole"), huggingface(home / "whole")
    settings = {"model": "tuned", "tokenizer": "whole", "price_in": 2.0}
    scored = "log-probabilities of the endpoint, asked twice"
    sampled = "sampled text of the endpoint, asked twice with one seed"
    before = "questions before the attacks"
    for jitter in (0.0, 0.1):
        backend = Backend(codec, {"tuned": model}, jitter=jitter, seeded=not jitter)
        with serving(backend) as url:
            facts = own(home, endpoint=url, **settings).facts
            assert facts[f"tokens of {before}"] == sum(backend.tokens) > 0
            assert facts[f"money for {before}"] == 2e-6 * backend.tokens[0]
            mute = own(home, endpoint=url, scores=False, sampling="chat", **settings).facts
            received = sum(backend.received.values())
            monkeypatch.setenv("HARTLEY_WORKER", "1")
            own(home, endpoint=url, **settings)
            monkeypatch.delenv("HARTLEY_WORKER")
            assert sum(backend.received.values()) == received
        for fact in (facts[scored], mute[sampled]):
            assert (fact == "the same") == (not jitter)
            assert ("another run reads other numbers" in fact) == bool(jitter)
    apart = float(facts[scored].split()[2])
    assert 0.05 < apart < 1.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"timeout": 3.0}, "--timeout must be given with --endpoint"),
        ({"model": ""}, "--model must be a folder, got none"),
        ({"members": ""}, "--members must be a file of texts, got none: hartley assess --model"),
        ({"model": "absent"}, "must be a folder with config.json.*: model.save_pretrained"),
        ({"model": "members.jsonl"}, "got the file .*members.jsonl; for a classifier give --train"),
        ({"model": "weightless"}, "must hold model.safetensors, got none: model.save_pretrained"),
        ({"model": "vacant", "tokenizer": "whole"}, "must hold config.json and safetensors, got"),
        ({"model": "bare"}, "must hold a tokenizer .*--tokenizer"),
        ({"model": "lost"}, "an adapter of '/gone', which is not a folder.*--base"),
        ({"model": "lost", "base": "members.jsonl"}, "--base must be a folder with config.json"),
        ({"model": "odd", "base": "base"}, "must contain an adapter of"),
        ({"model": "half", "base": "base"}, "must hold all weights of the adapter, got none for"),
        ({"model": "pickled", "base": "base"}, "must hold adapter_model.safetensors"),
        ({"model": "whole", "base": "base"}, "--base must be given with the folder of an adapter"),
        ({"members": "other.jsonl"}, "must have a column 'text' or 'messages', got 'a', 'b'"),
        ({"text_field": "txet"}, "no column 'txet'; did you mean text"),
        ({"members": "numbers.jsonl"}, "must hold texts, or messages.*got int in row 1"),
        ({"members": "empty.jsonl"}, "is empty"),
        ({"members": "absent.jsonl"}, "--members must be a file that is there"),
        ({"members": "latin.txt"}, "must be text in UTF-8"),
        ({"members": "others.jsonl"}, "that the model never saw, got .* twice"),
        ({"members": "same.jsonl"}, "that the model never saw, got 100%"),
        ({"members": "few.jsonl"}, "--members must be at least 20 texts, got 3 besides 1"),
        ({"model": "whole", "revision": "1"}, "--revision must be given with --endpoint"),
        ({"reference": "small"}, "--reference must be a model of the tokenizer's tokens"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(home, settings, words):
    spoil(home)
    with pytest.raises(UsageError, match=words) as error:
        own(home, **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": "absent.jsonl"}, "--members must be a file that is there"),
        ({"nonmembers": "few.jsonl"}, "--nonmembers must be at least 20 texts"),
        ({"members": "other.jsonl"}, "must have a column 'text'"),
        ({"canaries": "absent.jsonl"}, "--canaries needs .*absent.jsonl, which is not there"),
        ({"canaries": "whole/config.json"}, "config.truth.json, which is not there"),
        ({"tokenizer": "lora"}, "must hold a tokenizer"),
        ({"reference": "nowhere"}, "nowhere must be a folder with config.json"),
    ],
)
def test_files_are_checked_before_a_model_is_loaded(home, settings, words, monkeypatch):
    """A model may take minutes to load, and a wrong name is known before."""
    spoil(home)
    for loads in ("huggingface", "adapter"):
        monkeypatch.setattr(own_texts_module, loads, lambda *_, **__: pytest.fail("was loaded"))
    with pytest.raises(UsageError, match=words):
        own(home, **settings)


def spoil(home):
    """Write what users bring by mistake, once."""
    if (home / "bare").exists():
        return
    shutil.copytree(home / "whole", home / "bare")
    for path in (home / "bare").glob("*token*"):
        path.unlink()
    for name in ("lost", "odd", "half", "pickled"):
        shutil.copytree(home / "lora", home / name)
    config = json.loads((home / "lora" / "adapter_config.json").read_text())
    for name, change in (("lost", {"base_model_name_or_path": "/gone"}), ("odd", {"r": 4})):
        (home / name / "adapter_config.json").write_text(json.dumps({**config, **change}))
    from safetensors.torch import load_file, save_file

    weights = load_file(home / "lora" / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, home / "half" / "adapter_model.safetensors")
    (home / "pickled" / "adapter_model.safetensors").rename(home / "pickled" / "adapter_model.bin")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    LlamaForCausalLM(
        LlamaConfig(vocab_size=40, num_attention_heads=2, max_position_embeddings=32, **sizes)
    ).save_pretrained(home / "small")
    shutil.copytree(home / "whole", home / "weightless")
    (home / "weightless" / "model.safetensors").unlink()
    (home / "vacant").mkdir()
    lines(home / "other.jsonl", [{"a": "x", "b": "y"}] * 30)
    lines(home / "numbers.jsonl", [{"text": 7}] * 30)
    lines(home / "few.jsonl", [{"text": "one two three"}] * 3 + [{"text": ""}])
    (home / "empty.jsonl").write_text("")
    (home / "latin.txt").write_bytes("café\n".encode("latin-1") * 30)
    shutil.copy(home / "others.jsonl", home / "same.jsonl")
