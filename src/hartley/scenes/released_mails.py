"""Released mails: real mails of mailing lists, published without their authors; needs a pack."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import mails
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.language import deidentification
from hartley.kit.releases.text_release import TextRelease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LISTS = 4
"""Mailing lists that a reader of the release distinguishes."""


@recipe(modality=Modality.LANGUAGE, packs=("spam-assassin",))
def released_mails(
    *,
    release: Literal["headless", "deidentified", "independent"] = "headless",
    known: Annotated[int, Range(1), Stronger.MORE] = 4,
    one_list: Annotated[bool, Stronger.NEITHER] = False,
) -> Scene:
    """Mails of people who wrote several, one of each published without its header.

    Args:
        release: ``headless``: as written, signed shortly; ``deidentified``: with placeholders
            for names, addresses, links and numbers; ``independent``: of people of whom the attacker
            has no text, a control at 0 bits.
        known: other mails of each person that the attacker has.
        one_list: take the mails of the largest mailing list alone, so that people do not differ
            in the list that they write to.
    """
    pool = mails.authored()
    if one_list:
        ((largest, _),) = Counter(m.mailing_list for m in pool if m.mailing_list).most_common(1)
        pool = tuple(mail for mail in pool if mail.mailing_list == largest)
    counts = Counter(mail.author for mail in pool)
    chosen = [mail for mail in pool if counts[mail.author] > known]
    people = {author: k for k, author in enumerate(dict.fromkeys(m.author for m in chosen))}

    def deidentified(text: str) -> str:
        return deidentification.placeholders(text, mails.names())

    part = TextRelease(
        texts=tuple(mail.text for mail in chosen),
        authors=np.array([people[mail.author] for mail in chosen], dtype=np.int64),
        names=mails.names(),
        known=known,
        rewrite=deidentified if release == "deidentified" else None,
        related=release != "independent",
    )
    return Scene(
        name="released_mails",
        modality=Modality.LANGUAGE,
        parts=(part,),
        utility=None if one_list else _utility([mail.mailing_list for mail in chosen]),
        facts={"release": release, "people": len(people), "mails": len(chosen), "known": known},
    )


def _utility(lists: Sequence[str]) -> Callable[[Scene], dict[str, Figure]]:
    def utility(scene: Scene) -> dict[str, Figure]:
        """How often a reader who learnt from half of the release says which list a mail is of."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        part = scene.part(TextRelease)
        most = [name for name, _ in Counter(filter(None, lists)).most_common(LISTS)]
        rows = [k for k, name in enumerate(lists) if name in most]
        texts = [part.released(part.texts[k]) for k in rows]
        labels = np.array([most.index(lists[k]) for k in rows])
        # People of one half are not in the other, so that lists and not people are learnt.
        first = part.authors[rows] % 2 == 0
        x = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
        reader = LogisticRegression(C=10, max_iter=300).fit(x[first], labels[first])
        right = reader.predict(x[~first]) == labels[~first]
        return {"accuracy": share_by_author(right, part.authors[rows][~first])}

    return utility


def share_by_author(right: NDArray[np.bool_], authors: NDArray[np.int64]) -> Figure:
    """Return the share of mails (n,) that are right, with an interval over their authors (n,)."""
    _, author = np.unique(authors, return_inverse=True)
    return mean_figure(np.bincount(author, weights=right), np.bincount(author))
