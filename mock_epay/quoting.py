"""Values written as source text of other languages, so that nothing in them can be taken for more. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any


def python(value: Any) -> str:
    """Write a value as Python has it."""
    return _written(value, _python_text, {None: "None", True: "True", False: "False"}, ("{", ": ", "}"), ("[", "]"))


def javascript(value: Any) -> str:
    """Write a value as JavaScript has it; neither a line nor a script of a page can end in it."""
    words = {None: "null", True: "true", False: "false"}
    return _written(value, _javascript_text, words, ("{ ", ": ", " }"), ("[", "]"))


def php(value: Any) -> str:
    """Write a value as PHP has it."""
    return _written(value, _php_text, {None: "null", True: "true", False: "false"}, ("[", " => ", "]"), ("[", "]"))


def shell(value: Any) -> str:
    """Write a value as one word of a POSIX shell; what is no text is written as JSON first."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "'\\''") + "'"


def _written(
    value: Any,
    text: Callable[[str], str],
    words: Mapping[bool | None, str],
    mapping: tuple[str, str, str],
    listing: tuple[str, str],
) -> str:
    def written(one: Any) -> str:
        return _written(one, text, words, mapping, listing)

    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, Mapping):
        before, between, after = mapping
        return before + ", ".join(f"{text(key)}{between}{written(one)}" for key, one in value.items()) + after
    if isinstance(value, list | tuple):
        return listing[0] + ", ".join(map(written, value)) + listing[1]
    return repr(value)


def _python_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else ascii(text)


def _javascript_text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=not text.isprintable())
    return quoted.replace("</", "<\\/").replace("<!--", "<\\!--")


def _php_text(text: str) -> str:
    return '"' + "".join(map(_php_letter, text)) + '"'


def _php_letter(letter: str) -> str:
    if letter in '\\"$':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}"
