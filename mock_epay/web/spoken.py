"""Templates with the words of a language in them. The one home of Jinja where pages are made."""

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from jinja2.lexer import TOKEN_DOT, TOKEN_NAME, TOKEN_STRING, Token, TokenStream

from mock_epay.resources import TEMPLATES


def environment(words: Mapping[str, Any]) -> Environment:
    """Return the templates; what they call `t` are these words."""
    made = Environment(
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
