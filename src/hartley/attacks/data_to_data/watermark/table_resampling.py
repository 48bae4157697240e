"""Table resampling: publish rows that a model of the table draws, and none of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.attacks.data_to_data.watermark._shared.table_cells import as_loot, numeric
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2405.14018",
)
def table_resampling(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    components: Annotated[int, Range(0)] = 8,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Replace as many rows by drawn ones of the same label as the quality floor allows.

    Args:
        components: factors of the copula; 0: as many as there are columns.
        steps: bisections of the level.
    """
    table = view.data.x[0]
    classes = [table[table[:, -1] == label] for label in np.unique(table[:, -1])]
    samples = [_drawn(rows, rng, components) for rows in classes]
    fresh = np.concatenate(samples)
    published = np.concatenate(classes)
    order = rng.permutation(len(published))

    def mixed(level: float) -> np.ndarray:
        out = published.copy()
        new = order[: round(level * len(published))]
        out[new] = fresh[new]
        return out

    return as_loot(strongest(mixed, view.brief.holds, mixed(0.0), steps, 1.0))


def _drawn(rows: np.ndarray, rng: Rng, components: int) -> np.ndarray:
    """Return as many rows of one label, drawn from a Gaussian copula with the rows' own margins.

    The margins are smoothed by a kernel, so that no number is one of the table's, but where a
    column has only two.
    """
    from scipy.special import ndtr

    numbers = rows[:, :-1]
    n, width = numbers.shape
    between = numeric(rows)
    centred = (numbers - numbers.mean(0)) / (numbers.std(0) + 1e-12)
    _, values, basis = np.linalg.svd(centred, full_matrices=False)
    size = min(components or width, len(values))
    # Factors of the largest variance, and what they leave as noise of each column.
    load = basis[:size].T * values[:size] / np.sqrt(max(1, n - 1))
    rest = np.sqrt(np.maximum(1 - (load**2).sum(1), 1e-3))
    latent = rng.standard_normal((n, size)) @ load.T + rest * rng.standard_normal((n, width))
    latent /= np.sqrt((load**2).sum(1) + rest**2)
    out = np.empty_like(numbers)
    for column in range(width):
        level = ndtr(latent[:, column])
        noise = rng.standard_normal(n)
        if not between[column]:
            out[:, column] = np.quantile(numbers[:, column], level, method="nearest")
            continue
        smooth = 0.9 * numbers[:, column].std() * n**-0.2 * 0.5
        out[:, column] = np.quantile(numbers[:, column], level) + smooth * noise
    return np.column_stack([out, rows[:, -1]])
