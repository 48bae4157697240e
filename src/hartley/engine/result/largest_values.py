"""The largest value that a quantity can have: no run can break a limit at it, or above.

A limit that no run can break says nothing about a run. The gate names it, and such limits alone do
not make a pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

SHARES = (
    *("accuracy", "accuracy_before", "accuracy_after", "answered", "balanced_accuracy"),
    *("advantage", "worst_percentile_advantage", "chance", "auc", "auc_two_sided"),
    *("tasks_done", "tasks_done_before", "runs_refused"),
    *("leaking*", "missed_by_answer", "wrongly_located", "unjudged_places", "delivered"),
    *("blind_auc", "tpr_at_fpr_1e*", "asr", "base_rate", "clean_accuracy"),
    *("clean_accuracy_drop", "poison_rate", "untriggered_rate", "refused", "ber_before"),
    *("ber_after", "violated", "ssim", "fidelity", "baseline", "victim_carries"),
    *("same_space", "copy_downstream", "victim_downstream"),
    *("fidelity_at_boundary", "victim_repeats"),
    *("victim_accuracy", "identified", "identified_without_target", "identified_batch_*"),
    *("evaluator_top1", "evaluator_top5", "attribute", "token_f1", "exact_match"),
    *("text_accuracy", "extraction_rate", "verbatim", "training_text", "robust_accuracy"),
    *("asr_at_tries", "*refusal_rate*", "unjudged", "ordinary_breaches", "over_refusal*"),
    *(
        "empty_answers",
        "read_exactly",
        "plainly_given",
        "plainly_refused",
        "known_begun",
        "known_before",
        "ignorant_rate",
        "refusal_bits*",
        "utility",
        "utility_before",
        "kept_accuracy",
        "admitted",
        "outside_budget",
        "training_text_null",
        "discoverable_n*",
        "duplicates",
        "base_robust_accuracy",
        "detected_*",
        "false_alarm_*",
        "undecided",
        "undecided_*",
        "flipped",
        "accepted*",
        "wrongly_accepted_*",
        "attributed",
        "mark_reads",
        "*word_f1",
        "*link_f1",
        "similarity",
        "same_length",
        "*table_similarity",
        "table_accuracy",
        "rows_kept",
        "rows_own",
        "own_words",
        "recognised",
        "replayed",
        "solved",
        "attack_rate",
        "control_rate",
        "residual_risk",
        "linked",
        "linked_by_chance",
        "accused_*",
        "false_claims*",
        "washed",
        "own_data_*",
        "head_error",
        "rotation_error",
        "misled",
        "misled_*",
        "abstained_*",
        "caught",
        "false_alarms",
        "mismatches_caught",
        "infected",
        "acting",
        "agents_cut",
    ),
)
"""Patterns of the metrics that are shares, probabilities or areas, or bits of a binary
channel: none is above 1."""


def largest(row: Mapping[str, Any], metric: str) -> float | None:
    """Return the largest value of a row's bits (no metric) or of a metric; None: not known.

    Args:
        row: a measured row.
        metric: its name, or empty for the bits of a use.
    """
    if not metric:
        return row.get("ceiling")
    if metric == "exposure":
        most = (row.get("metrics") or {}).get("exposure_max")
        return float(most) if isinstance(most, int | float) else None
    return 1.0 if any(fnmatchcase(metric, pattern) for pattern in SHARES) else None
