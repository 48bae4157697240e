"""The error tree: what went wrong, what was expected, what to do.

::

    HartleyError
    ├── UsageError            the user's mistake: one line, exit 2
    │   ├── Mistakes          several of them at once, one line each
    │   ├── UnknownName       a part, scene or pack that is not there; carries the nearest name
    │   ├── MissingExtra      an optional dependency is not installed
    │   ├── MissingPack       data or weights that were not fetched yet
    │   │   └── DamagedPack   files of a pack that are not those that were fetched
    │   ├── BadPlan           a plan file that cannot be read, with line and column
    │   ├── BadTrials         a table of trials that cannot be measured
    │   └── StoreError        a run folder that cannot be written, read or continued
    │       └── DamagedRun    a stored file that is not what was written
    ├── RuleError             an attack broke the rules of its game
    │   ├── AccessDenied      used what it did not declare, or what the model does not offer
    │   │   └── NotOffered    the model does not have a capability that the attack needs
    │   ├── BudgetSpent       asked more questions than allowed
    │   └── WroteIntoView     changed what it was handed, or what was dealt
    ├── RunError              a part failed while it ran: the row ends as ``failed``
    │   ├── BadModel          the model answered with NaN, a wrong shape or undeclared units
    │   └── TransientError    a timeout, a full queue, a lost connection: the same may work later
    └── MixError              an illegal sum of unlike quantities (a bound with an estimate)
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` with the nearest known word, or an empty string."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


class HartleyError(Exception):
    """Everything Hartley raises on purpose."""


class UsageError(HartleyError):
    """The user's mistake. The command line prints its one line and exits with 2."""

    blame = ""
    """The kind of the part that would not take what the user gave, where the engine knows."""


class Mistakes(UsageError):
    """Several mistakes at once.

    Attributes:
        lines: one for each.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        """Keep the lines, each once."""
        self.lines = tuple(dict.fromkeys(lines))
        super().__init__("; ".join(self.lines))


LISTINGS = {
    **{
        kind: f"hartley list {kind}s"
        for kind in ("attack", "defense", "game", "scene", "plan", "run")
    },
    "part": "hartley list",
    "pack": "hartley pack list",
}
"""The command that lists every name of a kind; of other kinds the message lists the names."""


class UnknownName(UsageError):
    """No part, scene or pack of that name; the message offers the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Word the message.

        Args:
            kind: what was looked for, for example ``attack``.
            name: what the user wrote.
            known: every valid name.
        """
        self.kind, self.name = kind, name
        names = sorted(known)
        from difflib import get_close_matches

        near = get_close_matches(name, names, n=3, cutoff=0.5)
        listing = LISTINGS.get(kind)
        choose = f"see `{listing}`" if listing else f"choose from {', '.join(names) or 'none'}"
        hint = f"did you mean {' or '.join(near)}?" if near else choose
        super().__init__(f"no {kind} named {name!r}; {hint}")


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, extra: str, *others: str) -> None:
        """Word the message.

        Args:
            module: what is absent.
            extra: what brings it.
            others: extras that what was asked for needs besides, and that are absent too.
        """
        self.module, self.extra = module, extra
        extras = ",".join(sorted({extra, *others}))
        super().__init__(f"{module} is not installed; try: pip install 'hartley[{extras}]'")


class MissingPack(UsageError):
    """A pack of data or weights was not fetched yet."""

    def __init__(self, pack: str) -> None:
        """Word the message from the pack's name."""
        super().__init__(f"the pack {pack!r} is not here; fetch it with: hartley pack get {pack}")


class DamagedPack(MissingPack):
    """Files of a pack are not those that were fetched."""

    def __init__(self, pack: str, files: Iterable[str]) -> None:
        """Word the message from the pack's name and its files that differ."""
        names = sorted(files)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        UsageError.__init__(
            self,
            f"the pack {pack!r} is damaged: {', '.join(names[:3])}{more} must be as fetched, and "
            f"differ; fetch it again with: hartley pack get {pack}",
        )


class BadPlan(UsageError):
    """A plan that cannot be read."""


class BadTable(UsageError):
    """A file that cannot be read as a table."""


class BadTrials(BadTable):
    """A table of trials that cannot be measured."""


class StoreError(UsageError):
    """A run folder that cannot be written, read or continued."""


class DamagedRun(StoreError):
    """A file of a run is not what was written: its digest differs, or it is gone.

    Attributes:
        faults: which files, one sentence each, where several may be.
    """

    def __init__(self, message: str, faults: Iterable[str] = ()) -> None:
        """Keep the sentences."""
        self.faults = tuple(faults)
        super().__init__(message)


class RuleError(HartleyError):
    """An attack broke the rules of its game."""


class AccessDenied(RuleError):
    """An attack used what it did not declare, or what the model does not offer."""


class NotOffered(AccessDenied):
    """The model does not have a capability that the attack needs: it cannot be played there."""


class BudgetSpent(RuleError):
    """An attack asked more questions than its budget allows."""


class WroteIntoView(RuleError):
    """An attack changed what it was handed, or what was dealt."""


class RunError(HartleyError):
    """A part failed while it ran; its row ends as ``failed`` and the run goes on."""


class BadModel(RunError):
    """A model answered with NaN, a wrong shape, or units other than it declares."""


class TransientError(RunError):
    """A failure that may pass: a timeout, a full queue, a lost connection.

    Attributes:
        wait: seconds that the other side asks to wait, at least.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        """Keep what the other side said about waiting."""
        self.wait = wait
        super().__init__(message)


class MixError(HartleyError, TypeError):
    """An illegal sum or product of unlike quantities."""
