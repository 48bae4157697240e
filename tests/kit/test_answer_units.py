import numpy as np
import pytest

from hartley.core import Output
from hartley.core.errors import UsageError
from hartley.kit.answer_units import log_probabilities, probabilities

LOGITS = np.array([[1.0, 2.0, -3.0], [1e4, 0.0, 0.0]])


def test_scores_in_either_unit_say_the_same():
    law = np.exp(LOGITS[:1]) / np.exp(LOGITS[:1]).sum()
    np.testing.assert_allclose(probabilities(LOGITS, Output.LOGITS, 3)[:1], law, rtol=1e-6)
    np.testing.assert_allclose(probabilities(law, Output.PROBABILITIES, 3), law, rtol=1e-6)
    np.testing.assert_allclose(log_probabilities(LOGITS, Output.LOGITS)[:1], np.log(law))
    np.testing.assert_allclose(log_probabilities(law, Output.PROBABILITIES), np.log(law))


def test_labels_are_certain_and_have_no_logarithms():
    np.testing.assert_array_equal(
        probabilities(np.array([2, 0]), Output.LABELS, 3), np.eye(3)[[2, 0]]
    )
    with pytest.raises(UsageError, match="must be scores of classes for log-probabilities, got"):
        log_probabilities(np.array([2, 0]), Output.LABELS)


def test_a_probability_of_0_is_raised_to_the_floor():
    answers = np.array([[0.0, 1.0]])
    logs = log_probabilities(answers, Output.PROBABILITIES, floor=1e-6)
    assert logs.tolist() == [[pytest.approx(np.log(1e-6)), 0.0]]
