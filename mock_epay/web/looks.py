"""What the address of a page asks of its looks: the widget's frame, another language, the sandbox's tools. Pure."""

from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from mock_epay.model import Language
from mock_epay.records import Record, replace
from mock_epay.web.render import LANG

_SHORT: Final = "isShortForm"
_LANGUAGE: Final = "lang"
_PANEL: Final = "panel"
_CARD: Final = "autofill"
_SWITCH: Final = {"on": True, "off": False}


class Looks(Record, kw_only=True):
    """How a page is to look. Each of its links carries that on, so nothing has to be remembered.

    `short` pages stand in the widget's frame. None means that nothing is asked, or nothing that makes sense.
    """

    short: bool = False
    chosen: Language | None = None
    panel: bool | None = None

    @classmethod
    def of(cls, request: Request) -> "Looks":
        """Read what the address of a request asks."""
        query = request.query_params
        language = query.get(_LANGUAGE)
        return cls(
            short=query.get(_SHORT) == "true",
            chosen=language if language in LANG else None,
            panel=_SWITCH.get(query.get(_PANEL, "")),
        )

    def language(self, usual: Language) -> Language:
        """Return the language to speak, which is the shop's unless another was chosen."""
        return self.chosen or usual

    def asked(self, **more: str) -> dict[str, str]:
        """Return what the query of a page that is to look alike says."""
        panel = "" if self.panel is None else next(word for word, on in _SWITCH.items() if on is self.panel)
        fields = {_SHORT: "true" if self.short else "", _LANGUAGE: self.chosen or "", _PANEL: panel} | more
        return {name: text for name, text in fields.items() if text}

    def address(self, path: str, **more: str) -> str:
        """Return the address of a page that is to look alike."""
        query = _query(tuple(self.asked(**more).items()))
        return f"{path}?{query}" if query else path

    def languages(self, path: str, **more: str) -> dict[str, str]:
        """Return the addresses of the same page in each language; the widget has no room for them."""
        return {} if self.short else {name: self.speaking(name).address(path, **more) for name in LANG}

    def speaking(self, language: Language) -> "Looks":
        """Return the same looks in a language."""
        return replace(self, chosen=language)

    def same_address(self, request: Request) -> dict[str, str]:
        """Return the address of the request in each language, if it can be asked for again.

        Whatever else it says stays, but for a card's number: it may be somebody's, and is repeated nowhere.
        """
        if self.short or request.method != "GET":
            return {}
        given = parse_qsl(request.url.query, keep_blank_values=True)
        rest = [pair for pair in given if pair[0] not in {_LANGUAGE, _CARD}]
        return {name: "?" + urlencode([*rest, (_LANGUAGE, name)]) for name in LANG}


@lru_cache(256)
def _query(fields: tuple[tuple[str, str], ...]) -> str:
    return urlencode(fields)
