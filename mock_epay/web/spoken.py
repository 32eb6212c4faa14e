"""Templates with the words of a language in them. The one home of Jinja where pages are made."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.lexer import (
    TOKEN_DOT,
    TOKEN_NAME,
    TOKEN_STRING,
    Token,
    TokenStream,
)
from jinja2.nodes import Node
from markupsafe import Markup, escape

from mock_epay.resources import TEMPLATES

_SPECIAL: Final = re.compile("""[&<>'"]""")


def environment(words: Mapping[str, Any]) -> Environment:
    """Return the templates; what they call `t` are these words."""
    made = _Environment(
        loader=FileSystemLoader(TEMPLATES),
        extensions=[_Spoken],
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.globals["t"] = words
    return made


def shown(value: object) -> str:
    """Return a value as a page shows it, escaped; most have nothing to escape, which is soon found out."""
    kind = type(value)
    if kind is Markup or (kind is str and not _SPECIAL.search(value)):  # type: ignore[call-overload]
        return value  # type: ignore[return-value]
    return escape(value)


class _Compiler(CodeGenerator):
    """Makes quicker templates: a block gives its text as a whole, not piece by piece, and escapes what has to be."""

    def blockvisit(self, nodes: Iterable[Node], frame: Frame) -> None:
        outermost = frame.buffer is None and (frame.rootlevel or frame.block is not None)
        if outermost:
            self.buffer(frame)
        super().blockvisit(nodes, frame)
        if outermost:
            self.writeline(f"yield concat({frame.buffer})")

    def _output_child_pre(self, *_: object) -> None:
        self.write("environment.shown(")


class _Environment(Environment):
    code_generator_class = _Compiler
    shown = staticmethod(shown)


class _Spoken(Extension):
    """Puts words into a template as it is compiled: to look each of them up would take half of a page's time."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        tokens = [*stream]
        at = 0
        while at < len(tokens):
            word, behind = self._word(tokens, at)
            yield Token(tokens[at].lineno, TOKEN_STRING, word) if isinstance(word, str) else tokens[at]
            at = behind if isinstance(word, str) else at + 1

    def _word(self, tokens: list[Token], at: int) -> tuple[Any, int]:
        """Follow `t.page.name` as far as the words go; return what stands there, and which token is next."""
        if (tokens[at].type, tokens[at].value) != (TOKEN_NAME, "t") or tokens[at - 1].type == TOKEN_DOT:
            return None, at
        found: Any = self.environment.globals["t"]
        at += 1
        while tokens[at].type == TOKEN_DOT and isinstance(found, dict) and tokens[at + 1].value in found:
            found = found[tokens[at + 1].value]
            at += 2
        return found, at
