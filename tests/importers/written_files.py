"""Small files in the schema of each tool, as its own writer leaves them; harmless text only."""

from __future__ import annotations

import json
import zipfile

import numpy as np


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def message(text):
    return {
        "text": text,
        "lang": "en",
        "data_path": None,
        "data_type": None,
        "data_checksum": None,
        "notes": {},
    }


def garak_attempt(seq, status, scores, prompt=None):
    prompt = {"turns": [{"role": "user", "content": message(prompt or f"Say hello {seq}")}]}
    return {
        "entry_type": "attempt",
        "uuid": f"00000000-0000-4000-8000-{seq:012d}",
        "seq": seq,
        "status": status,
        "probe_classname": "test.Test",
        "probe_params": {},
        "targets": [],
        "prompt": prompt | {"notes": {}},
        "outputs": [message("hello") for _ in scores],
        "detector_results": {"always.Sometimes": scores} if status == 2 else {},
        "notes": {},
        "goal": "send some test strings",
        "conversations": [],
        "reverse_translation_outputs": [],
        "intent": None,
    }


def garak(path, scores, *, fails=None, extra=()):
    """A report of attempts, each with the scores of its outputs."""
    flat = [s for of_attempt in scores for s in of_attempt if s is not None]
    fails = sum(s >= 0.5 for s in flat) if fails is None else fails
    rows = [
        {"entry_type": "start_run setup", "_config.version": "0.16.0", "run.generations": 4},
        {"entry_type": "init", "garak_version": "0.16.0", "start_time": "2026-11-01", "run": "r"},
        *(garak_attempt(seq, 1, of_attempt) for seq, of_attempt in enumerate(scores)),
        *(garak_attempt(seq, 2, of_attempt) for seq, of_attempt in enumerate(scores)),
        *extra,
        {
            "entry_type": "eval",
            "probe": "test.Test",
            "detector": "always.Sometimes",
            "passed": len(flat) - fails,
            "fails": fails,
            "nones": 0,
            "total_evaluated": len(flat),
            "total_processed": len(flat),
        },
        {"entry_type": "completion", "end_time": "2026-11-01", "run": "r"},
    ]
    return jsonl(path, rows)


def inspect_samples(values, scorer="match"):
    """Summaries of samples, each with the value of every epoch."""
    return [
        {
            "id": number,
            "epoch": epoch,
            "input": f"What is {number} + 1?",
            "target": str(number + 1),
            "scores": {scorer: {"value": value, "answer": "2", "history": []}},
            "completed": True,
        }
        for number, epochs in enumerate(values, 1)
        for epoch, value in enumerate(epochs, 1)
    ]


def inspect_log(path, samples, *, status="success", method=zipfile.ZIP_DEFLATED, stopped=False):
    """An ``.eval`` archive; one that was stopped has only its journal."""
    start = {"version": 2, "eval": {"task": "sums", "model": "mock/model"}, "plan": {}}
    header = start | {"status": status, "results": {}}
    half = len(samples) // 2
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("_journal/start.json", json.dumps(start))
        archive.writestr("_journal/summaries/1.json", json.dumps(samples[:half]))
        archive.writestr("_journal/summaries/2.json", json.dumps(samples[half:]))
        if not stopped:
            archive.writestr("summaries.json", json.dumps(samples))
            archive.writestr("header.json", json.dumps(header))
    return path


def zstandard(path, members):
    """A zip archive whose members are compressed by zstd, as Inspect writes them since 2026."""
    import zlib

    import pyarrow as pa

    frames = {}
    for name, text in members.items():
        # Of two frames, which is what Inspect makes of large members.
        halves = (text[: len(text) // 2].encode(), text[len(text) // 2 :].encode())
        frames[name] = (
            text.encode(),
            b"".join(pa.compress(half, "zstd", asbytes=True) for half in halves),
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, (_, packed) in frames.items():
            archive.writestr(name, packed)
    content = bytearray(path.read_bytes())
    # Stored bytes are turned into zstd members: method, checksum and size of each header.
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        central = archive.start_dir
    for info in members:
        plain, _ = frames[info.filename]
        local = info.header_offset
        size = len(plain).to_bytes(4, "little")
        crc = zlib.crc32(plain).to_bytes(4, "little")
        content[local + 8 : local + 10] = content[central + 10 : central + 12] = b"\x5d\x00"
        content[local + 14 : local + 18] = content[central + 16 : central + 20] = crc
        content[local + 22 : local + 26] = content[central + 24 : central + 28] = size
        central += 46 + len(info.filename) + len(info.extra) + len(info.comment)
    path.write_bytes(content)
    return path


def lm_eval(path, values, *, metric="acc", repeated=1):
    """Samples of a task; ``repeated`` lines have one document."""
    return jsonl(
        path,
        [
            {
                "doc_id": number,
                "doc": {"question": f"q{number}"},
                "target": "1",
                "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " A"}},
                "resps": [[["-1.5", "False"]], [["-0.5", "True"]]],
                "filtered_resps": [["-1.5", "False"], ["-0.5", "True"]],
                "filter": "none",
                "metrics": [metric],
                "doc_hash": f"hash{number // repeated}",
                "prompt_hash": "p",
                "target_hash": "t",
                metric: value,
            }
            for number, value in enumerate(values)
        ],
    )


def promptfoo_row(number, success, *, reason=None, plugin="contracts", original=None):
    metadata = {"pluginId": plugin} if plugin else {}
    metadata |= {"strategyId": "base64", "originalText": original} if original else {}
    prompt = f"prompt {number}"
    return {
        "promptIdx": 0,
        "testIdx": number,
        "testCase": {"vars": {"prompt": prompt}, "metadata": metadata, "assert": []},
        "promptId": "abc",
        "provider": {"id": "openai:chat:test", "label": ""},
        "prompt": {"raw": prompt, "label": prompt},
        "vars": {"prompt": prompt, "sessionId": f"s{number}"},
        "response": {"output": "No."},
        "failureReason": int(not success) if reason is None else reason,
        "success": success,
        "score": float(success),
        "latencyMs": 1,
        "gradingResult": {"pass": success, "score": float(success), "reason": ""},
        "namedScores": {},
        "metadata": metadata,
    }


def promptfoo(path, rows):
    document = {
        "evalId": "eval-abc",
        "results": {"version": 3, "timestamp": "2026-11-01", "prompts": [], "results": rows},
        "config": {},
        "shareableUrl": None,
        "metadata": {"promptfooVersion": "0.123.1"},
    }
    path.write_text(json.dumps(document, indent=2))
    return path


def pyrit(path, conversations, *, objective=False):
    """Conversations of a prompt and the scores of its answer, as true or false or a number."""
    pieces = []
    for number, (prompt, scores) in enumerate(conversations):
        common = {"conversation_id": f"c{number}", "labels": {}, "response_error": "none"}
        for place, (role, text) in enumerate((("user", prompt), ("assistant", "Sorry."))):
            pieces.append(
                common
                | {
                    "id": f"{number}-{place}",
                    "role": role,
                    "sequence": place,
                    "original_value": text,
                    "converted_value": text,
                    "scores": [
                        {
                            "id": "s",
                            "score_value": str(score),
                            "score_type": "true_false" if score in (True, False) else "float_scale",
                            "score_category": ["tone"],
                            "score_rationale": "",
                            "scorer_class_identifier": {"__type__": "SubStringScorer"},
                            "message_piece_id": f"{number}-{place}",
                            "objective": prompt if objective else None,
                        }
                        for score in (scores if role == "assistant" else ())
                    ],
                }
            )
    path.write_text(json.dumps(pieces, indent=4))
    return path


def memberships(n=400, shift=1.5, seed=0, models=None):
    """Memberships and scores of which larger ones mean member."""
    rng = np.random.default_rng(seed)
    shape = n if models is None else (models, n)
    keep = rng.random(shape) < 0.5
    return keep, rng.normal(shift * keep, 1.0)


def sacroml(folder, *, inline=False, attacks=("LIRA Attack",)):
    """A report with its arrays beside it, or with the records inside it, as before 2.0."""
    report = {}
    for number, name in enumerate(attacks):
        keep, score = memberships(seed=number)
        individual = {"member_prob": score, "member": keep.astype(int)}
        instance = {"AUC": 0.8, "n_pos_test_examples": int(keep.sum())}
        if inline:
            instance["individual"] = {key: v.tolist() for key, v in individual.items()}
        else:
            file = f"report_arrays_{number:08d}_instance_0.npz"
            arrays = {f"individual.{key}": v for key, v in individual.items()}
            np.savez_compressed(folder / file, fpr=score[:9], tpr=score[:9], **arrays)
            instance["arrays_file"] = file
        report[f"{name}_{number}"] = {
            "log_id": str(number),
            "log_time": "01/11/2026 00:00:00",
            "metadata": {"sacroml_version": "2.0.0", "attack_name": name},
            "attack_experiment_logger": {"attack_instance_logger": {"instance_0": instance}},
        }
    path = folder / "report.json"
    path.write_text(json.dumps(report, indent=4))
    return path
