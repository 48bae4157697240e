"""Private pictures out of mixtures with flipped signs, after Carlini and others (arXiv:2011.05315).

A flipped sign leaves the absolute value. Encodings that share a picture have gradients in common
where it has edges, which gives a similarity; groups of similar encodings say which pictures each
may have; and pictures are solved for so that the absolute values of mixtures fit: |A X| = levels.
A statistic of gradients is the similarity; ``encoding_similarity`` has a trained one, as the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SQUARES: Final = (4, 8, 16)
"""Sides of the squares within which gradients are compared, in pixels."""

FACTORING: Final = 300
"""Steps of the factorisation of similarities."""

DESCENT: Final = 12
"""Steps of signs and pictures in turn, from each start."""

RIDGE: Final = 0.03
"""Weight of small values in the least squares of pictures."""

TRUSTED: Final = 0.003
"""Error of an encoding, as a share of its power, that always counts as small."""

EXPLAINED: Final = 0.03
"""Error below which the two pictures of an encoding are known."""

SHARED: Final = 0.4
"""Share of its encodings that must be explained for a picture to stay."""

ALIKE: Final = 0.9
"""Correlation from which two pictures are the same one."""

PIXELS: Final = 500
"""Pixels by which pairs of pictures are compared."""


def squares(pictures: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Return (squares, n, …) the gradients within each square, scaled to length 1."""
    values = np.asarray(pictures, dtype=np.float32)
    across, down = np.zeros_like(values), np.zeros_like(values)
    across[..., :-1] = values[..., 1:] - values[..., :-1]
    down[..., :-1, :] = values[..., 1:, :] - values[..., :-1, :]
    both = np.concatenate([across, down], axis=1)
    count, channels, height, width = both.shape
    cut = both[..., : height // side * side, : width // side * side]
    shape = (count, channels, height // side, side, width // side, side)
    pieces = cut.reshape(shape).transpose(2, 4, 0, 1, 3, 5)
    flat = pieces.reshape((height // side) * (width // side), count, -1)
    return np.asarray(flat / (np.linalg.norm(flat, axis=2, keepdims=True) + 1e-3))


def similarity(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return (n, m) how far the gradients of pictures agree, up to a sign in each square."""
    total = np.zeros((len(one), len(other)))
    for side in SQUARES:
        if side <= min(one.shape[2:]):
            agree = squares(one, side) @ squares(other, side).transpose(0, 2, 1)
            total += side * side * np.abs(agree).sum(0)
    return total


def groups(alike: NDArray[Any], count: int, size: int, rng: Rng) -> NDArray[np.float64]:
    """Return (n, count) how strongly each encoding belongs to each of several groups.

    Dense groups are the start of a nonnegative factorisation of the similarities.

    Args:
        alike: (n, n) similarities.
        count: groups.
        size: encodings of a group.
        rng: of the factorisation's start.
    """
    z = alike - np.mean(alike, axis=1, keepdims=True)
    z /= np.std(alike, axis=1, keepdims=True) + 1e-9
    z = (z + z.T) / 2
    np.fill_diagonal(z, 0)
    strength = rng.random((len(z), count)) * 0.1 + 0.02
    for k, dense in enumerate(_dense(z, size)[:count]):
        strength[dense, k] += 1
    above = np.maximum(z, 0)
    for _ in range(FACTORING):
        power = (strength**2).sum(1, keepdims=True)
        modelled = strength @ (strength.T @ strength) - power * strength + 1e-9
        strength *= 0.5 + 0.5 * (above @ strength) / modelled
    top = np.sort(strength, axis=0)[-size:].mean(0)
    return np.asarray(strength / (top + 1e-9))


def _dense(z: NDArray[Any], size: int) -> list[NDArray[np.int64]]:
    """Return groups whose members are alike, the densest first, that overlap by less than half."""
    count = len(z)
    places = np.argsort(-np.triu(z, 1), axis=None)[: 20 * count]
    covered = np.zeros(z.shape, dtype=bool)
    candidates: list[tuple[float, NDArray[np.int64]]] = []
    for i, j in zip(*np.unravel_index(places, z.shape), strict=True):
        if covered[i, j]:
            continue
        both = np.minimum(z[i], z[j])
        both[[i, j]] = np.inf
        members = np.argsort(-both)[: max(3, size // 3)]
        for more in (size // 2, 3 * size // 4, size, size, size):
            others = len(members) - np.isin(np.arange(count), members)
            members = np.argsort(-z[:, members].sum(1) / np.maximum(1, others))[: max(3, more)]
        within = z[np.ix_(members, members)]
        candidates.append((float(within.sum() / (len(members) * (len(members) - 1))), members))
        covered[np.ix_(members, members)] = True
    chosen: list[NDArray[np.int64]] = []
    for _, members in sorted(candidates, key=lambda one: -one[0]):
        if all(len(np.intersect1d(members, other)) < size / 2 for other in chosen):
            chosen.append(members)
    return chosen


class Solver:
    """Pictures X (m, d) and the two that each encoding has, so that |A X| fits.

    Args:
        encodings: (n, c, h, w), grey being 0.
        count: m, private pictures.
        times: encodings that each picture is in.
        most: greatest weight of one picture.
        rng: of starts.
        net: similarities (n, n) of |encodings| that count besides those of gradients, if any.
    """

    def __init__(
        self,
        encodings: NDArray[Any],
        count: int,
        times: int,
        most: float,
        rng: Rng,
        *,
        net: Any = None,
    ) -> None:
        self.shape, self.count, self.times, self.most = encodings.shape[1:], count, times, most
        self.rng = rng
        self.levels = np.abs(encodings).reshape(len(encodings), -1)
        self.power = (self.levels**2).sum(1) + 1e-9
        self.alike = similarity(np.abs(encodings), np.abs(encodings))
        if net is not None:
            self.alike = _scaled(self.alike) + _scaled(net(np.abs(encodings)))
        np.fill_diagonal(self.alike, 0)
        strength = groups(self.alike, count, times, rng)
        order = np.argsort(-strength, axis=1)
        self.pairs = order[:, :2]
        sorted_ = np.take_along_axis(strength, order, axis=1)
        margin = sorted_[:, 1] - sorted_[:, 2]
        spread = 2 / (margin.std() + 1e-9)
        self.trust = 1 / (1 + np.exp(-(margin - np.median(margin)) * spread))
        self.weight = np.full(len(encodings), 0.5)
        self.x = rng.normal(0, 0.5, (count, self.levels.shape[1]))
        self.error = np.ones(len(encodings))

    def mixing(self) -> NDArray[np.float64]:
        """Return A (n, m): the weights of pictures in encodings."""
        a = np.zeros((len(self.pairs), self.count))
        rows = np.arange(len(a))
        a[rows, self.pairs[:, 0]] = self.weight
        a[rows, self.pairs[:, 1]] += 1 - self.weight
        return a

    def solve(self, starts: int) -> None:
        """Improve pictures and weights, each pixel from several starts.

        Starts are the present values, those of neighbouring pixels, and random ones.
        """
        a, levels = self.mixing(), self.levels
        weighed = a * self.trust[:, None]
        back = np.linalg.solve(a.T @ weighed + RIDGE * np.eye(self.count), weighed.T)
        grid = self.x.reshape(self.count, *self.shape)
        moves = ((1, 3), (-1, 3), (1, 2), (-1, 2), (1, 1))
        begins = [self.x, *(np.roll(grid, by, axis).reshape(self.x.shape) for by, axis in moves)]
        begins += [self.rng.normal(0, 0.5, self.x.shape) for _ in range(starts)]
        least = np.full(levels.shape[1], np.inf)
        best = self.x
        for begin in begins:
            x = begin
            for _ in range(DESCENT):
                x = back @ np.copysign(levels, a @ x)
            error = ((np.abs(a @ x) - levels) ** 2 * self.trust[:, None]).sum(0)
            best = np.where(error < least, x, best)
            least = np.minimum(error, least)
        self.x = joined_signs(best, self.shape)
        signed = np.copysign(levels, a @ self.x)
        second = self.x[self.pairs[:, 1]]
        apart = self.x[self.pairs[:, 0]] - second
        along = ((signed - second) * apart).sum(1) / ((apart**2).sum(1) + 1e-6)
        self.weight = np.clip(along, 1 - self.most, self.most)
        self.error = ((np.abs(self.mixing() @ self.x) - levels) ** 2).sum(1) / self.power
        self._weigh()

    def _weigh(self) -> None:
        usual = max(float(np.median(self.error)), TRUSTED)
        self.trust = 1 / (1 + (self.error / usual) ** 2)

    def reassign(self) -> None:
        """Give each encoding the two pictures that fit it best, where they fit better."""
        some = self.rng.permutation(self.levels.shape[1])[:PIXELS]
        levels, x = (v[:, some].astype(np.float32) for v in (self.levels, self.x))
        power = (levels**2).sum(1) + 1e-9
        first, second = np.triu_indices(self.count, 1)
        least = np.full(len(levels), np.inf)
        pairs, weight = self.pairs.copy(), self.weight.copy()
        for share in np.linspace(1 - self.most, self.most, 5):
            model = np.abs(share * x[first] + (1 - share) * x[second])
            error = power[:, None] + (model**2).sum(1) - 2 * levels @ model.T
            which = error.argmin(1)
            value = error[np.arange(len(error)), which] / power
            better = value < least
            least = np.where(better, value, least)
            pairs[better] = np.stack([first[which], second[which]], axis=1)[better]
            weight[better] = share
        before = ((np.abs(self.mixing() @ x) - levels) ** 2).sum(1) / power
        better = least < 0.8 * before
        self.pairs = np.where(better[:, None], pairs, self.pairs)
        self.weight = np.where(better, weight, self.weight)
        self.error = np.minimum(least, before)
        self._weigh()

    def sound(self) -> NDArray[np.bool_]:
        """Return (m,) booleans: pictures that explain encodings, and are not another one again."""
        explained = self.error < EXPLAINED
        support = np.array(
            [(explained & (self.pairs == k).any(1)).sum() for k in range(self.count)]
        )
        good = support >= SHARED * self.times
        flat = self.x - self.x.mean(1, keepdims=True)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
        same = np.abs(flat @ flat.T)
        np.fill_diagonal(same, 0)
        for k in np.argsort(support):
            good[k] &= not (same[k] * good > ALIKE).any()
        return np.asarray(good)

    def reseed(self, good: NDArray[np.bool_]) -> None:
        """Look for the other pictures in the encodings that known ones leave unexplained."""
        missing = np.flatnonzero(~good)
        left = np.flatnonzero((self.error >= EXPLAINED) | (~good[self.pairs]).any(1))
        if not len(missing) or len(left) < 4:
            return
        alike = self.alike[np.ix_(left, left)].copy()
        lonely = np.ones(len(left), dtype=bool)
        if good.any():
            known = self.x[good].reshape(-1, *self.shape)
            pieces = self.levels[left].reshape(-1, *self.shape)
            near = similarity(pieces, known)
            near -= near.mean(1, keepdims=True)
            near /= near.std(0, keepdims=True) + 1e-9
            partner, how = np.flatnonzero(good)[near.argmax(1)], near.max(1)
            same = partner[:, None] == partner
            # Encodings with a known picture in common are alike for that reason alone.
            if same.any() and not same.all():
                alike -= np.where(same, alike[same].mean() - alike[~same].mean(), 0)
            self.pairs[left, 1] = partner
            lonely = how < 0.6 * np.median(how)
        np.fill_diagonal(alike, 0)
        size = min(self.times, max(3, len(left) // 2))
        order = np.argsort(-groups(alike, len(missing), size, self.rng), axis=1)
        self.pairs[left, 0] = missing[order[:, 0]]
        if len(missing) > 1:
            self.pairs[left[lonely], 1] = missing[order[lonely, 1]]
        self.weight[left], self.trust[left] = 0.5, 0.3
        self.x[missing] = self.rng.normal(0, 0.3, (len(missing), self.x.shape[1]))


def _scaled(alike: NDArray[Any]) -> NDArray[np.float64]:
    """Return similarities that differ by one standard deviation in each row."""
    scaled = alike - alike.mean(1, keepdims=True)
    scaled /= scaled.std(1, keepdims=True) + 1e-9
    return np.asarray(scaled + scaled.T)


def joined_signs(x: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return values of pixels (m, d) with the signs by which neighbours agree.

    The sign of each pixel is free, of all pictures together: |A X| says nothing of it.

    Args:
        x: (m, d) values.
        shape: (channels, height, width) of d.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    at = np.arange(x.shape[1]).reshape(shape)
    sides = ((at[:, :, 1:], at[:, :, :-1]), (at[:, 1:], at[:, :-1]), (at[1:], at[:-1]))
    one, other = (np.concatenate([side[k].ravel() for side in sides]) for k in (0, 1))
    length = np.linalg.norm(x, axis=0) + 1e-9
    agree = (x[:, one] * x[:, other]).sum(0) / length[one] / length[other]
    graph = coo_matrix((1.0001 - np.abs(agree), (one, other)), shape=(x.shape[1],) * 2)
    tree = minimum_spanning_tree(graph.tocsr())
    order, before = breadth_first_order(tree, 0, directed=False)
    signs = np.ones(x.shape[1])
    turned = np.sign((x[:, order[1:]] * x[:, before[order[1:]]]).sum(0))
    for pixel, turn in zip(order[1:], turned, strict=True):
        signs[pixel] = signs[before[pixel]] * (turn or 1.0)
    return np.asarray(x * signs)
