"""Warm-ups, ungraded: predict, estimate, put lines in order, mend a bug; then see what happens.

What is right is never written down: each warm-up is given the run that decides, and runs it at once. A choice of
answers that lacks the right one, or lines whose right order doesn't work, is the author's mistake: ValueError, and the
build fails. A warm-up is a widget; where no kernel answers, its question stays, with what happens folded below it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from faultlab.pictures.alive import show_alive
from faultlab.pictures.figure import display_html, rendered
from faultlab.pictures.words import fill, prose, safe

Picture = Callable[[Any], Any]
"""From what was answered to a timeline, a sheet or an SVG string: the prediction may be drawn beside what happens."""


def predict(
    question: str,
    choices: Sequence[Any] | Mapping[str, Any],
    run: Callable[[], Any],
    *,
    why: str = "",
    picture: Picture | None = None,
) -> None:
    """Ask for one of several answers, and then tell which one is right.

    question: what is asked; code in backticks.
    choices: values, or words and their values.
    run: returns the right value; it is run at once.
    why: what is said after the answer.
    picture: a function from the value that was chosen to a timeline, a sheet or an SVG string, shown then.

    Returns nothing. Raises ValueError when what `run` returns is none of the choices.

    >>> predict("When do three naps of 2 s end, taken together?", ["after 2 s", "after 6 s"], lambda: "after 2 s")
    VBox(children=...
    When do three naps of 2 s end, taken together?
    """
    named = dict(choices) if isinstance(choices, Mapping) else {_said(choice): choice for choice in choices}
    right = run()
    if right not in named.values():
        raise ValueError(f"{question!r}: the answer is {right!r}, which is none of {', '.join(named)}")
    words = next(word for word, value in named.items() if value == right)

    def answer(word: str) -> Markup:
        said = f"Yes: {words}." if named[word] == right else f"You said {word}; it is {words}."
        return _reveal(said, why, picture, named[word])

    import ipywidgets

    box = ipywidgets.RadioButtons(options=list(named), value=None, layout={"width": "max-content"})
    listed = Markup().join(fill("<li>{}</li>", prose(word, 2000)) for word in named)
    _ask(question, box, answer, fill("<ul>{}</ul>", listed), _reveal(f"It is {words}.", why, picture, right))


def estimate(
    question: str,
    run: Callable[[], float],
    *,
    unit: str = "",
    tolerance: float = 0.05,
    why: str = "",
    picture: Picture | None = None,
) -> None:
    """Ask for a number, and then tell it.

    question: what is asked; code in backticks.
    run: returns the number; it is run at once.
    unit: the number's.
    tolerance: how far from it an answer may be, as a share of it.
    why: what is said after the answer.
    picture: a function from the number that was given to a timeline, a sheet or an SVG string, shown then.

    Returns nothing.

    >>> estimate("How long do three naps take, one after the other?", lambda: 3 * 2, unit="s")
    VBox(children=...
    How long do three naps take, one after the other?
    """
    right = float(run())
    words = f"{right:,.4g} {unit}".strip()

    def answer(text: str) -> Markup:
        try:
            number = float(text.replace(",", "").replace("%", ""))
        except ValueError:
            return fill("<p>{} is no number: type digits, such as {}.</p>", text, 0.5 if right < 1 else 42)
        close = abs(number - right) <= tolerance * abs(right) + 1e-12
        said = f"Yes: {words}." if close else f"You said {text.strip()}; it is {words}."
        return _reveal(said, why, picture, number)

    box = _text_box("a number" + (f", {unit}" if unit else ""))
    _ask(question, box, answer, Markup(), _reveal(f"It is {words}.", why, picture, right))


def arrange(
    question: str,
    lines: Sequence[str],
    trial: Callable[[str], str],
    *,
    why: str = "",
) -> None:
    """Ask for the order of some lines of code.

    question: what is asked; code in backticks.
    lines: in a right order; they are shown in one that doesn't work.
    trial: a function from the lines, as one text, to what is wrong with them, "" when nothing is: more than one order
        may be right.
    why: what is said when the order works.

    Returns nothing. Raises ValueError when the order given doesn't work, or when any order does.

    >>> def trial(code):
    ...     return "" if code.startswith("a") else "b before a"
    >>> arrange("What comes first?", ["a = 1", "b = a"], trial)
    VBox(children=...
    What comes first?
    """
    if wrong := trial("\n".join(lines)):
        raise ValueError(f"{question!r}: the order given isn't right: {wrong}")
    shown = _shuffled(lines, trial)
    letters = {chr(ord("A") + number): line for number, line in enumerate(shown)}
    example = "".join(letters)  # the order shown, which doesn't work: it gives nothing away

    def answer(text: str) -> Markup:
        order = [letter for letter in text.upper() if letter.isalpha()]
        if sorted(order) != sorted(letters):
            return fill("<p>Type each of the letters {} once, such as {}.</p>", ", ".join(letters), example)
        code = "\n".join(letters[letter] for letter in order)
        wrong = trial(code)
        return _reveal("Yes, that works." if not wrong else f"Not yet: {wrong}", "" if wrong else why, None, None)

    rows = "".join(f"{letter}   {line}\n" for letter, line in letters.items())
    listed, right = fill("<pre>{}</pre>", safe_lines(rows)), fill("<pre>{}</pre>", safe_lines("\n".join(lines)))
    because = fill("<p>{}</p>", prose(why, 2000)) if why else ""
    static = _reveal("One order that works:", "", None, None) + right + because
    _ask(question, _text_box(f"the letters in order, such as {example}"), answer, listed, static, always=listed)


def mended(trial: Callable[[], str], *, well: str = "Mended.", hint: str = "", picture: Picture | None = None) -> bool:
    """Say whether the cell above is fixed.

    trial: returns what is still wrong, "" when nothing is; what it raises is wrong, too.
    well: what is said when nothing is wrong. hint: what may be unfolded otherwise.
    picture: a function from whether all is well to a timeline, a sheet or an SVG string.

    Returns whether all is well, and never raises.

    >>> mended(lambda: "" if 0.1 + 0.2 == 0.3 else "0.1 + 0.2 isn't 0.3")
    ✗ Not yet: 0.1 + 0.2 isn't 0.3
    False
    """
    try:
        wrong = trial()
    except Exception as error:
        wrong = f"it raised {type(error).__name__}: {error}"
    mark = "✓" if not wrong else "✗"
    words = well if not wrong else f"Not yet: {wrong}"
    said = fill("<p><strong>{}</strong> {}</p>", mark, prose(words, 2000))
    more = fill("<details><summary>A hint</summary><p>{}</p></details>", prose(hint, 2000)) if wrong and hint else ""
    display_html(said + more + _picture(picture, not wrong), f"{mark} {words}")
    return not wrong


def safe_lines(text: str) -> Markup:
    """Several lines of code for a `pre`: each cleaned and escaped, its indentation kept."""
    rows = text.rstrip("\n").split("\n")
    return Markup("\n".join(row[: len(row) - len(row.lstrip())] + safe(row.lstrip(), 300) for row in rows))


def _ask(
    question: str,
    box: Any,
    answer: Callable[[str], Markup],
    listed: Markup,
    static: Markup,
    *,
    always: Markup | None = None,
) -> None:
    """Show the question with its widget, and for where no kernel answers the question with its answer folded."""
    import ipywidgets

    asked = fill("<p><strong>{}</strong></p>", prose(question, 2000))
    still = asked + listed + fill("<details><summary>What happens</summary>{}</details>", static)
    head = ipywidgets.HTML(str(asked + (always or "")), layout={"max_width": "100%"})
    told = ipywidgets.HTML(layout={"max_width": "100%"})

    def answered(change: Mapping[str, Any]) -> None:
        if change["new"] not in (None, ""):
            try:
                said = fill('<div role="status">{}</div>', answer(change["new"]))
            except Exception as error:
                said = fill('<p role="alert">{}: {}</p>', type(error).__name__, error, longest=400)
            told.value = str(said)

    box.observe(answered, names="value")
    show_alive(ipywidgets.VBox([head, box, told]), still, question, question)


def _text_box(placeholder: str) -> Any:
    import ipywidgets

    return ipywidgets.Text(
        placeholder=placeholder,
        continuous_update=False,
        description="your answer",
        style={"description_width": "initial"},
        layout={"width": "420px", "max_width": "100%"},
    )


def _reveal(said: str, why: str, picture: Picture | None, chosen: Any) -> Markup:
    because = fill(" {}", prose(why, 2000)) if why else ""
    return fill("<p><strong>{}</strong>{}</p>{}", prose(said, 2000), because, _picture(picture, chosen))


def _picture(picture: Picture | None, chosen: Any) -> Markup:
    if picture is None:
        return Markup()
    drawn = rendered(picture(chosen), table=False)[0]
    return fill('<div class="faultlab-fit" style="overflow-x:auto">{}</div>', drawn)


def _shuffled(lines: Sequence[str], trial: Callable[[str], str]) -> list[str]:
    """An order that doesn't work, the same in every process."""
    draw = random.Random("\n".join(lines))
    shown = list(lines)
    for _ in range(20):
        draw.shuffle(shown)
        if shown != list(lines) and trial("\n".join(shown)):
            return shown
    raise ValueError(f"these lines work in any order, so there is nothing to arrange: {lines[0]!r}, ...")


def _said(choice: Any) -> str:
    return choice if isinstance(choice, str) else "yes" if choice is True else "no" if choice is False else f"{choice}"
