"""``hartley explain``: the word, how it is computed, and where to read on."""

import json

from hartley.report.words import find, near, words


def test_a_key_and_its_title_have_one_entry(call):
    by_key = call("explain", "tpr_at_fpr_1e2")
    assert by_key.returncode == 0
    assert "Read on: docs/" in by_key.stdout
    assert call("explain", "TPR", "at", "1", "%", "FPR").stdout == by_key.stdout
    assert call("explain", "TPR at 1 % FPR").stdout == by_key.stdout
    assert json.loads(call("explain", "certified", "--json").stdout)["name"] == "certified"


def test_the_name_of_a_part_leads_to_show(call):
    assert "hartley show lira" in call("explain", "lira").stdout


def test_an_unknown_word_gets_the_nearest(call):
    wrong = call("explain", "certfied")
    assert wrong.returncode == 2
    assert "did you mean 'certified'" in wrong.stderr
    assert near("certfied")[0] == "certified"
    assert "lists all" in call("explain", "xyzzy").stderr


def test_without_a_word_all_are_listed(call):
    everything = call("explain").stdout
    assert all(entry.name in everything for entry in words())


def test_names_are_written_as_papers_write_them(call):
    assert "hartley show dp_sgd" in call("explain", "DP-SGD").stdout


def test_words_of_a_row_that_no_metric_is_are_explained():
    for word in (
        *("victim", "reference models", "references", "moments", "prequential", "public"),
        *("channel", "monotone", "delta", "model_to_data", "each end at 95 %", "inferring"),
    ):
        assert find(word) is not None, word
