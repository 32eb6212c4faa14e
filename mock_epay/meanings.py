"""What settings mean to the rest of the program, where that is more than a text or a number."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mock_epay import issuer, script
from mock_epay.errors import Refusal
from mock_epay.postlinks.roads import Roads
from mock_epay.settings import SettingError, Settings, rows
from mock_epay.store.homes import store_at
from mock_epay.wire import control


def understood(settings: Settings) -> Mapping[str, Any]:
    """Check what only the rest of the program understands of the settings; return what that is, such as rules.

    Raises:
        SettingError: one of them makes no sense.

    """
    if settings.cabinet_open and settings.control_token:
        raise SettingError(
            "MOCK_EPAY_CABINET_OPEN (--cabinet-open) and MOCK_EPAY_CONTROL_TOKEN (--control-token) contradict each "
            "other: one opens the cabinet to everybody, the other shuts strangers out; set one of them"
        )
    found: dict[str, Any] = {}
    for row in rows():
        text = getattr(settings, row.name)
        if row.name in _AT_LEAST_ONE and text < 1:
            raise SettingError(f"{row.variable} ({row.flag}) is {text}: it takes 1 or more")
        if row.name not in _READERS or not text:
            continue
        try:
            found[row.name] = _READERS[row.name](text)
        except (OSError, ValueError, Refusal) as wrong:
            why = getattr(wrong, "strerror", None) or ("UTF-8 is needed" if isinstance(wrong, UnicodeError) else wrong)
            shown = "" if row.name in {"foreign_key_card", "store"} else f' is "{text}"'
            raise SettingError(f"{row.variable} ({row.flag}){shown}: {why}") from None
    if settings.max_params_kb >= settings.max_head_kb:
        raise SettingError(
            f"MOCK_EPAY_MAX_PARAMS_KB (--max-params-kb) is {settings.max_params_kb}: params are part of a request's "
            f"head, so it takes less than MOCK_EPAY_MAX_HEAD_KB (--max-head-kb), which is {settings.max_head_kb}"
        )
    if settings.workers > 1 and not settings.store:
        raise SettingError(
            f"MOCK_EPAY_WORKERS (--workers) is {settings.workers}: processes cannot share a memory; "
            "name a database too, with MOCK_EPAY_STORE (--store)"
        )
    return found


def _test_card(pan: str) -> None:
    if issuer.card_of(pan) is None:
        raise ValueError("that is no test card; the README lists those")


_AT_LEAST_ONE: Final = {"max_body_kb", "max_connections", "max_head_kb", "max_params_kb", "workers"}
_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "store": store_at,
    "rules": lambda path: control.rules_of_file(Path(path).read_text("utf-8")),
    "merchants": lambda path: control.merchants_of_file(Path(path).read_text("utf-8")),
    "plan": script.read_plan,
    "foreign_key_card": _test_card,
    "postlink_hosts": lambda text: Roads(hosts=text),
    "postlink_allow": lambda text: Roads(allow=text),
}
