"""``hartley canaries make``: harmless secrets to plant in your own training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import note, say, whole
from hartley.core.errors import UsageError
from hartley.data.canary_files import QUESTION, TEMPLATE, draw, write

app = App(
    name="canaries",
    help="Draw harmless secrets for your own training: to be memorized, or to be withheld.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command
def make(
    *,
    into: Path,
    count: Annotated[int, Parameter(converter=whole)] = 64,
    repeats: str = "1,4,16",
    digits: Annotated[int, Parameter(converter=whole)] = 3,
    template: str = TEMPLATE,
    chat: Annotated[bool, Parameter(negative="")] = False,
    question: str = QUESTION,
    separator: str = " ",
    tokenizer: Path | None = None,
    seed: Annotated[int | None, Parameter(converter=whole)] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Draw canaries, and write those that a fair coin chose to a file that you train on.

    Add every line of the file to your training data, once.

    A canary that is to be planted 4 times is there 4 times.

    The file beside it, .truth.json, says what was drawn.

    Keep it out of the training data, and keep it.

    After the training: hartley assess --model FOLDER --canaries FILE.

    Parameters
    ----------
    into
        The file to plant (.jsonl).
    count
        Canaries; about half of them are planted, the others show what a secret that was never
        planted looks like.
    repeats
        Copies of a planted canary, with commas: each number is drawn for as many canaries.
    digits
        Digits of a secret, 1 to 4.
    template
        A text with {name} and then {secret}.
    chat
        Write conversations (messages) instead of texts.
    question
        The user's message of a conversation.
    separator
        Between the digits: a space, or nothing for tokenizers that split numbers into digits.
    tokenizer
        Folder of the tokenizer that you train with: check that it splits secrets into digits.
    seed
        Draw the same again: anyone who knows it can. Default: the system's entropy.
    force
        Write over files that are there.
    """
    try:
        copies = [int(word) for word in repeats.split(",")]
    except ValueError:
        raise UsageError(f"--repeats must be numbers like 1,4,16, got {repeats!r}") from None
    drawn = draw(
        count,
        repeats=copies,
        digits=digits,
        template=template,
        question=question if chat else "",
        separator=separator,
        seed=seed,
    )
    if tokenizer is not None:
        from hartley.scenes._user_canaries import check_tokenizer

        check_tokenizer(drawn, tokenizer)
    truth, lines = write(drawn, into, force=force)
    say(into)
    chosen = sum(canary.planted for canary in drawn.canaries)
    note(
        f"{lines} lines to add to your training data: {chosen} of {count} canaries, which fair "
        "coins chose",
        f"{truth} says what was drawn: keep it beside the file, and out of the training data",
        f"then:  hartley assess --model FOLDER --canaries {into}",
    )
    return 0


@app.command
def withhold(
    *,
    into: Path,
    count: Annotated[int, Parameter(converter=whole)] = 64,
    public: Annotated[int, Parameter(converter=whole)] = 32,
    system: Annotated[bool, Parameter(negative="")] = False,
    seed: Annotated[int | None, Parameter(converter=whole)] = None,
    force: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Draw pass phrases that a chat model is to know and not to say.

    Beside them are benign questions and, to train on, two files of conversations.

    Train on NAME.know.jsonl first, pass phrases included; then on NAME.refuse.jsonl, refusals
    among ordinary conversations.

    With --system nothing has to be trained: the system message holds the secrets.

    After that: hartley assess jailbreak --model FOLDER --withheld NAME.json.

    Parameters
    ----------
    into
        The file of what is withheld (.json); it holds the secrets.
    count
        Pass phrases that are withheld and measured.
    public
        Others of the same kind, which the attacker knows.
    system
        Write a system message with all that the model is to know, instead of files to train on.
    seed
        Draw the same again: anyone who knows it can. Default: the system's entropy.
    force
        Write over files that are there.
    """
    from hartley.scenes._drawn_secrets import draw_withheld

    lines = draw_withheld(into, count, public, system=system, seed=seed, force=force)
    say(into)
    note(
        f"{count} pass phrases to withhold: keep the file, and out of any training data",
        *(f"{number} conversations in {place}" for place, number in lines.items()),
        f"then:  hartley assess jailbreak --model FOLDER --withheld {into}",
    )
    return 0
