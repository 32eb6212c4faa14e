"""Everything an operator may choose: one table that makes the environment names, the flags and the README rows."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NoReturn, dataclass_transform

PREFIX: Final = "MOCK_EPAY_"
CLIENT_URL: Final = "MOCK_EPAY_URL"  # no setting: where commands find the sandbox,
USUAL_URL: Final = "http://127.0.0.1:8080"  # if not here
DIALECTS: Final = ("documented", "observed")
CHECKS: Final = ("strict", "lenient")
RETRY_PROFILES: Final[dict[str, tuple[float, ...]]] = {
    "none": (),
    "default": (5.0, 30.0, 120.0, 600.0),
    "stubborn": (60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 43200.0),
}
THREE_DS: Final = ("card", "none", "frictionless", "challenge")
HIDDEN: Final = "***"
LOGS: Final = ("text", "json", "none")


# What `load` means; settings that are given overrule it.
LOAD: Final = {"log_every": "100", "keep_transactions": "2000", "keep_events": "10000", "keep_bodies": "0"}

_PASSWORD: Final = re.compile(r"(://[^/@:]*:)[^/@]*(?=@)|([?&]password=)[^&]*")  # in an address


class SettingError(ValueError):
    """A setting that has no meaning; the message names it, its value and what it takes."""


class Row:
    """One setting as documents and command lines see it; its name is that of the attribute that it is made for."""

    name: str

    def __init__(
        self,
        default: Any,
        explanation: str,
        choices: tuple[str, ...] = (),
        *,
        per_merchant: bool = False,
        secret: bool = False,
        least: int = 0,
    ) -> None:
        self.default = default
        self.explanation = explanation
        self.choices = choices
        self.per_merchant = per_merchant
        self.secret = secret
        self.least = least

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    @property
    def variable(self) -> str:
        """Return the name in the environment."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Return the name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def shown(self) -> str:
        """Return the default as one would type it."""
        return _shown(self.default)


def setting(default: Any, explanation: str, choices: tuple[str, ...] = (), **more: Any) -> Any:
    """Declare one row of the table; a text may be limited to some choices, a merchant may have a value of its own.

    A secret is not shown to anybody. A whole number is at `least` so much.
    """
    return Row(default, explanation, choices, **more)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class _Frozen:
    """Values by name, each with a default. As a dataclass the table would take 2 ms of each start to declare."""

    def __init__(self, **values: Any) -> None:
        defaults = {row.name: row.default for row in rows()}
        if unknown := values.keys() - defaults:
            raise TypeError(f"there is no setting {', '.join(sorted(unknown))}")
        vars(self).update(defaults | values)

    def __setattr__(self, name: str, _: object) -> NoReturn:
        raise AttributeError(f"settings are frozen, {name} too")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))


class Settings(_Frozen):
    """The table. An attribute's name, type, default and explanation are all there is to know about a setting."""

    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(8080, "port to listen on; 0 takes a free one")
    tls: bool = setting(False, "serve HTTPS too, as all hosts of the bank, by a certificate authority of its own")
    tls_port: int = setting(8443, "port for HTTPS; 0 takes a free one")
    tls_dir: str = setting("~/.mock-epay/tls", "folder of the certificate authority; it is made when there is none")
    extra_hosts: str = setting("", "names and addresses, separated by commas, that the certificate is for besides")
    log: str = setting("text", "how each payment is told, a line for each: text, json, or none", LOGS)
    log_every: int = setting(1, "which payments are told: each, or one in so many", least=1)
    load: bool = setting(
        False,
        "for load tests of a checkout: lower limits, no bodies kept, one payment in a hundred told, unless set besides",
    )
    store: str = setting(
        "",
        "where all is kept: sqlite:///file outlives the process, postgresql://user@host/name serves many; "
        "empty: memory. What is kept there, merchants and all, wins over these settings, and the start says so",
    )
    workers: int = setting(1, "processes that share the address; more than one needs a database")
    seed: str = setting("", "makes every invented value repeatable; empty: other values in each run")
    dialect: str = setting(
        "documented",
        "how the bank spells its answers: documented, or observed at the real server",
        DIALECTS,
        per_merchant=True,
    )
    checks: str = setting(
        "strict",
        "what a broken documented rule does: strict refuses, lenient only gives a hint, as the bank may",
        CHECKS,
        per_merchant=True,
    )
    three_ds: str = setting(
        "card",
        "3-D Secure of each payment: what the card's row says, or none, frictionless, challenge",
        THREE_DS,
        per_merchant=True,
    )
    foreign_key_card: str = setting(
        "",
        "test card to assume when a cryptogram was made with another key, such as the bank's own; empty: refuse it",
        per_merchant=True,
    )
    unsettled_s: int = setting(
        60, "seconds for which check-status answers 103 after a code that is not final (assumed)", per_merchant=True
    )
    token_ttl_s: int = setting(0, "seconds a token lives; 0: what the dialect says, 7200 or 1200", per_merchant=True)
    page_ttl_s: int = setting(1200, "seconds a pay page stays open (observed)", per_merchant=True)
    page_attempts: int = setting(3, "attempts to pay on one page (observed)", per_merchant=True)
    countdown_s: int = setting(
        5, "seconds the result page waits before it returns to the shop (assumed)", per_merchant=True
    )
    auto_pay: bool = setting(
        False, "let a pay page's address pay without a click, by auto=approve or auto=decline", per_merchant=True
    )
    notify_each_failure: bool = setting(
        True,
        "send a failure postlink for each declined attempt (assumed), not only for the page's last",
        per_merchant=True,
    )
    notify_operations: bool = setting(
        False, "send a postlink after charge, cancel and refund too (assumed that the bank does not)", per_merchant=True
    )
    plan: str = setting("immediate", "when postlinks go out and how, unless a script says otherwise", per_merchant=True)
    postlink_timeout_s: float = setting(10.0, "seconds a shop has to answer a postlink (assumed)", per_merchant=True)
    postlink_connect_s: float = setting(
        5.0, "seconds that a connection to the shop may take (assumed)", per_merchant=True
    )
    postlink_retry_s: tuple[float, ...] = setting(
        RETRY_PROFILES["default"],
        "seconds between tries of a postlink, separated by commas (assumed), or none, default, stubborn (hours)",
        per_merchant=True,
    )
    keep_transactions: int = setting(
        20_000,
        "transactions kept of a merchant, and as many orders; beyond, the oldest order is forgotten with all of it",
        per_merchant=True,
        least=10,
    )
    keep_events: int = setting(
        100_000, "events kept of a merchant; beyond, the oldest are forgotten", per_merchant=True, least=10
    )
    keep_bodies: int = setting(
        20_000,
        "tries of postlinks kept of a merchant, with what was sent and answered; 0: none, nor what a postlink said "
        "once it has been taken",
        per_merchant=True,
    )
    postlink_hosts: str = setting(
        "", "other hosts to send postlinks to, such as shop=10.0.0.5,localhost=host.docker.internal; empty: none"
    )
    postlink_localhost: str = setting(
        "",
        "where else a postlink to localhost may be taken when nobody there does, in turn: names, addresses, gateway",
    )
    postlink_allow: str = setting(
        "", "the only hosts and networks that postlinks may go to, separated by commas; empty: all but forbidden ones"
    )
    control_token: str = setting(
        "", "what /_control asks for as a bearer token; empty: nothing. Set it where others get in", secret=True
    )
    cabinet_open: bool = setting(False, "open the cabinet without signing in, as any merchant; for a single developer")
    control_hosts: str = setting("", "names, separated by commas, by which /_control may be met besides local ones")
    rules: str = setting("", "TOML file of rules that hold for every merchant; empty: none")
    merchants: str = setting(
        "", "TOML file of merchants that are there from the start; empty: the bank's published ones"
    )
    max_body_kb: int = setting(64, "largest request body that is read, in kB")
    max_head_kb: int = setting(64, "largest head of a request, its address and all headers, in kB")
    max_params_kb: int = setting(16, "longest `params` of a pay page address, in kB")
    max_connections: int = setting(1000, "connections that one client may have at once, to each process")
    request_s: float = setting(20.0, "seconds that a request may take to arrive")
    panel: bool = setting(True, "show the sandbox panel with test cards on the pay page")
    self_check: bool = setting(
        False, "check each outgoing body against its schema (slow; meant for our own tests)", per_merchant=True
    )

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> "Settings":
        """Make settings of texts by field name; what is not named keeps its default.

        Raises:
            SettingError: a value that cannot be read as the field's type, or makes no sense.

        """
        given = {row.name: _read(row, texts[row.name]) for row in rows() if row.name in texts}
        usual = {row.name: _read(row, LOAD[row.name]) for row in rows() if row.name in LOAD and given.get("load")}
        return cls(**usual | given)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **flags: str | None) -> "Settings":
        """Make settings of `MOCK_EPAY_…` variables, overruled by the flags that are given."""
        texts = {row.name: environment[row.variable] for row in rows() if row.variable in environment}
        return cls.from_texts(texts | {name: text for name, text in flags.items() if text is not None})


def rows() -> Iterator[Row]:
    """Return the table's rows in order."""
    return (row for row in vars(Settings).values() if isinstance(row, Row))


def chosen(settings: Settings) -> dict[str, str]:
    """Return the settings that are not as they are by default, as one would type them; secrets are stars."""
    values = {row: getattr(settings, row.name) for row in rows()}
    return {
        row.name: HIDDEN if row.secret else without_password(_shown(value))
        for row, value in values.items()
        if value != row.default
    }


def without_password(text: str) -> str:
    """Return a text with stars for the password of an address in it."""
    return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)


def load_line(settings: Settings) -> str:
    """Return what the profile for load tests means, in a line; empty without it."""
    if not settings.load:
        return ""
    bodies = f"{settings.keep_bodies} tries of postlinks" if settings.keep_bodies else "no bodies of postlinks"
    return (
        f"one payment in {settings.log_every} is told; of a merchant {settings.keep_transactions} transactions, "
        f"{settings.keep_events} events and {bodies} are kept"
    )


def unknown_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Find variables with our prefix that mean nothing, each with the nearest name that does."""
    known = [variable.removeprefix(PREFIX) for variable in (*(row.variable for row in rows()), CLIENT_URL)]
    for name in sorted(environment):
        own = name.removeprefix(PREFIX)  # the prefix would make any two names alike
        if own != name and own not in known:
            nearest = difflib.get_close_matches(own, known, n=1, cutoff=0.6)
            yield name, PREFIX + nearest[0] if nearest else None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(f"{number:g}" for number in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _boolean(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}[
        text.strip().lower()
    ]


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def _number(kind: type[int] | type[float], text: str, least: int = 0) -> float:
    number = kind(text)
    if not least <= number < 10**9:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    seconds = _number(float, text)
    if seconds == 0:  # to the HTTP client no time at all means no limit
        raise ValueError(text)
    return seconds


def _pauses(text: str) -> tuple[float, ...]:
    profile = RETRY_PROFILES.get(text.strip())
    return profile if profile is not None else tuple(_seconds(part) for part in text.split(",") if part.strip())


_READERS: Final[dict[type, tuple[Callable[[str], Any], str]]] = {
    bool: (_boolean, "1 or 0"),
    int: (lambda text: _number(int, text), "a whole number, 0 or more"),
    float: (_seconds, "a number of seconds above 0"),
    tuple: (_pauses, "numbers of seconds above 0, separated by commas, or none, default, stubborn"),
    str: (str, "text"),
}


def _read(row: Row, text: str) -> Any:
    read, takes = _READERS[type(row.default)]
    if row.choices:
        read, takes = {choice: choice for choice in row.choices}.__getitem__, " or ".join(row.choices)
    elif isinstance(row.default, str) and row.default:
        # An empty host, as a blank line in a compose file makes it, would listen on every address there is.
        read, takes = _some_text, "text that is not empty"
    elif row.least:
        read, takes = partial(_number, int, least=row.least), f"a whole number, {row.least} or more"
    try:
        return read(text)
    except (KeyError, ValueError):
        raise SettingError(f'{row.variable} ({row.flag}) is "{text}": it takes {takes}') from None
