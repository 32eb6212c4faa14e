"""The commands that ask a running sandbox: what each is called, what it takes, asks and shows."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from mock_epay import lines, resources, settings

if TYPE_CHECKING:
    from mock_epay.client import EpayError, EpayServer
    from mock_epay.handler_check.judging import Verdict
    from mock_epay.handler_check.orders import Order

USUAL_URL: Final = "http://127.0.0.1:8080"
USUAL_MERCHANT: Final = "test"
USUAL_REASON: Final = 484  # not enough money

_SCHEMES: Final = ("http://", "https://")
_UNAUTHORIZED: Final = 401
_SILENCE_S: Final = 60  # how long the line of events may be silent: the sandbox says a word every 15 seconds
_DATA: Final = b"data: "
_FOLLOWED: Final = "postlink."  # what the kinds of event begin with that are followed
_TOKEN: Final = "MOCK_EPAY_CONTROL_TOKEN"  # noqa: S105  (its name)

# Arguments whose flags have other names.
_FLAGS: Final = {"invoice_id": "invoice", "orders": "invoice", "timeout_s": "timeout"}

Facts = Mapping[str, Any]
Told = Generator[str, None, None]  # lines


class CommandError(Exception):
    """A command that was not carried out; the message is one line that says why."""

    exit_code = 1


class WrongCallError(CommandError):
    """A command that cannot be carried out as it was called."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Argument:
    """What a command takes, as argparse wants it said. Of those that stand `alone` there can be one in a call."""

    name: str
    how: Facts
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A row of the table.

    `asks` is a method and a path of the control API. An argument whose name stands in the path goes there; the others
    are the query, or what `body` makes of them. The words `clock freeze` are a command below `clock`.
    What asks nothing has its own way to `run`, and a sandbox of its own where no address is named.
    """

    words: str
    does: str
    more: str = ""
    asks: str = ""
    takes: tuple[Argument, ...] = ()
    body: Callable[[Facts], Facts] = dict
    shows: Callable[[Any], Iterable[str]] = list
    run: Callable[["EpayServer", "Command", Facts], Told] | None = None


def number(text: str) -> float:
    """Read a number; a whole one stays whole."""
    read = float(text)
    return int(read) if read.is_integer() else read


def numbers(text: str) -> list[float]:
    """Read numbers with commas between them."""
    return [number(part) for part in text.split(",") if part.strip()]


def numbers_or_word(text: str) -> list[float] | str:
    """Read numbers, or else leave the text as it is."""
    try:
        return numbers(text)
    except ValueError:
        return text


def order(text: str) -> "Order":
    """Read an order's number and its amount, with a colon between them."""
    from mock_epay.handler_check.orders import read_order  # noqa: PLC0415  (--help and --version ask nobody)

    return read_order(*text.split(":"))


def address(text: str) -> str:
    """Read an address of the web."""
    if not text.lower().startswith(_SCHEMES):
        raise ValueError(text)
    return text


def changed_field(text: str) -> tuple[str, Any]:
    """Read a field's name and its new value."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _resent(facts: Facts) -> Facts:
    """Return what is other in a postlink that is sent once more."""
    names = {"to": "url", "text": "text"}
    changes = {name: facts[given] for given, name in names.items() if given in facts}
    return changes | ({"fields": dict(facts["field"])} if "field" in facts else {})


def patience(text: str) -> float:
    """Read how long somebody may take."""
    from mock_epay.handler_check.shop import LONGEST_S  # noqa: PLC0415

    if not 0 < float(text) <= LONGEST_S:
        raise ValueError(text)
    return float(text)


def _option(name: str, explanation: str, *, alone: bool = False, **how: Any) -> Argument:
    flag = "--" + _FLAGS.get(name, name).replace("_", "-")
    return Argument(flag, {"dest": name, "default": argparse.SUPPRESS, "help": _help(explanation)} | how, alone)


def _place(name: str, explanation: str, **how: Any) -> Argument:
    return Argument(name, {"metavar": name.upper(), "help": _help(explanation)} | how)


def _help(explanation: str) -> str:
    """Return what argparse shows; the first word is not to begin it like a sentence, unless it has capitals anyway."""
    word = explanation.split(maxsplit=1)[0]
    text = explanation if word != word.capitalize() else word.lower() + explanation.removeprefix(word)
    return text.rstrip(".").replace("%", "%%")


# How a value is read that a schema has as this type.
_READERS: Final[Mapping[str, Facts]] = {
    "array": {"metavar": "NUMBERS", "type": numbers},
    "array or string": {"metavar": "NUMBERS", "type": numbers_or_word},
    "boolean": {"action": argparse.BooleanOptionalAction},
    "integer": {"metavar": "NUMBER", "type": number},
    "number": {"metavar": "NUMBER", "type": number},
}


def _options(properties: Mapping[str, Facts], *others: str) -> tuple[Argument, ...]:
    """Make an option of each property of a schema but the others."""
    return tuple(
        _option(name, one["description"], **_reader(one)) for name, one in properties.items() if name not in others
    )


def _reader(one: Facts) -> Facts:
    types = " or ".join(kind["type"] for kind in one.get("anyOf", [one]))
    return {"choices": one["enum"]} if "enum" in one else _READERS.get(types, {"metavar": "TEXT"})


def _properties(schema: str) -> Mapping[str, Facts]:
    properties: Mapping[str, Facts] = resources.schema(schema)["properties"]
    return properties


_PAYMENT: Final = _properties("control-payment")
_DECISION: Final[Mapping[str, Facts]] = _properties("control-script")["decisions"]["items"]["properties"]

_WORLD: Final = "/merchants/{merchant}"
_INVOICE: Final = _option("invoice_id", "only what is of this order", metavar="NUMBER")
_JSON: Final = "print what the control API answers"
_URL: Final = f"where the sandbox is; {settings.CLIENT_URL}, or else {USUAL_URL}"
_LATEST: Final = _place("id", "the postlink's id; the latest when absent", nargs="?", default="latest")

COMMANDS: Final = (
    Command(
        words="pay",
        does="pay as a customer does on the pay page",
        more="A payment that is declined has been carried out too: the exit code is 0, and the status tells.",
        asks=f"POST {_WORLD}/payments",
        takes=(
            _place("invoice_id", _PAYMENT["invoice_id"]["description"], nargs="?", default=argparse.SUPPRESS),
            _option("card", "the number of a test card; one that approves when absent", metavar="PAN"),
            *_options(_PAYMENT, "invoice_id", "card"),
        ),
        shows=lines.transaction,
    ),
    Command(
        words="decline-next",
        does="decline the next payment, whatever its card",
        more="The decisions that wait for payments are shown.",
        asks=f"POST {_WORLD}/script",
        takes=(
            _place(
                "reason_code",
                f"the reason; {USUAL_REASON}, too little money, when absent",
                metavar="CODE",
                nargs="?",
                type=number,
                default=USUAL_REASON,
            ),
            *_options(_DECISION, "reason_code", "challenge"),
        ),
        body=lambda decision: {"decisions": [decision]},
        shows=lines.script,
    ),
    Command(
        words="transactions",
        does="show the attempts to pay",
        asks=f"GET {_WORLD}/transactions",
        takes=(_INVOICE, _option("status", "only those that stand so, such as CHARGE", metavar="STATUS")),
        shows=lines.transactions,
    ),
    Command(
        words="postlinks",
        does="show what was sent to the shop, or is to be",
        asks=f"GET {_WORLD}/postlinks",
        takes=(
            _INVOICE,
            _option(
                "state", "only those that are queued, held, delivered, given up, cancelled", metavar="STATE", alone=True
            ),
            _option("follow", "tell what becomes of them, so far and from now on", action="store_true", alone=True),
        ),
        shows=lines.postlinks,
    ),
    Command(
        words="resend",
        does="send a postlink once more, as it was or changed",
        asks=f"POST {_WORLD}/postlinks/{{id}}/resend",
        takes=(
            _LATEST,
            _option("to", "another address", metavar="LINK", type=address),
            _option(
                "field",
                "a field of the body that is other, its value as JSON or else as text; null takes it out",
                action="append",
                metavar="NAME=VALUE",
                type=changed_field,
                alone=True,
            ),
            _option("text", "another body, whatever it is", metavar="TEXT", alone=True),
        ),
        body=_resent,
        shows=lines.postlink,
    ),
    Command(
        words="release",
        does="let a postlink go out now that is held, or waits for its time",
        asks=f"POST {_WORLD}/postlinks/{{id}}/release",
        takes=(_LATEST,),
        shows=lines.postlink,
    ),
    Command(
        words="withhold",
        does="let a postlink never go out, or not again",
        asks=f"POST {_WORLD}/postlinks/{{id}}/cancel",
        takes=(_LATEST,),
        shows=lines.postlink,
    ),
    Command(
        words="clock",
        does="show the merchant's clock, or turn it",
        asks=f"GET {_WORLD}/clock",
        shows=lines.clock,
    ),
    Command(
        words="clock freeze",
        does="let the clock stand still",
        asks=f"PUT {_WORLD}/clock",
        body=lambda _: {"freeze": True},
        shows=lines.clock,
    ),
    Command(
        words="clock resume",
        does="let the clock run on from where it stands",
        asks=f"PUT {_WORLD}/clock",
        body=lambda _: {"resume": True},
        shows=lines.clock,
    ),
    Command(
        words="clock set",
        does="put the clock to a moment, and carry out what falls due on the way",
        asks=f"PUT {_WORLD}/clock",
        takes=(_place("set", "such as 2026-11-24T12:00:00+05:00", metavar="MOMENT"),),
        shows=lines.clock,
    ),
    Command(
        words="clock advance",
        does="put the clock forward, and carry out what falls due on the way",
        asks=f"PUT {_WORLD}/clock",
        takes=(_place("advance_s", "how far", metavar="SECONDS", type=number),),
        shows=lines.clock,
    ),
    Command(
        words="reset",
        does="begin the merchant's world anew, with the same credentials",
        asks=f"POST {_WORLD}/reset",
        shows=lines.merchant,
    ),
    Command(words="merchants", does="show the merchants", asks="GET /merchants", shows=lines.merchants),
    Command(
        words="merchants new",
        does="make a merchant with a world of its own",
        asks="POST /merchants",
        takes=_options(_properties("control-merchant"), "terminals"),
        shows=lines.merchant,
    ),
    Command(
        words="merchants drop",
        does="end a merchant and its world",
        asks="DELETE /merchants/{id}",
        takes=(_place("id", "its ClientID"),),
        shows=lambda _: ["it is gone"],
    ),
    Command(words="cards", does="show the test cards", asks="GET /cards", shows=lines.cards),
    Command(words="reasons", does="show the reason codes", asks="GET /reasons", shows=lines.reasons),
    Command(
        words="wait",
        does="wait until something happens, or has happened",
        asks=f"GET {_WORLD}/wait",
        takes=(
            _place("until", "a kind of event, such as postlink.delivered or transaction.charged"),
            _INVOICE,
            _option("after", "only what comes behind the event of this number", metavar="NUMBER", type=number),
            _option("timeout_s", "how long, at most 60; 5 when absent", metavar="SECONDS", type=number),
        ),
        shows=lines.happening,
    ),
    Command(
        words="timeline",
        does="tell all that happened to an order",
        asks=f"GET {_WORLD}/invoices/{{invoice_id}}",
        takes=(_place("invoice_id", "the order's number"),),
        shows=lines.timeline,
    ),
    Command(
        words="check-handler",
        does="check whether a shop's handler of postlinks is safe",
        more="Notices go to the shop's address, right ones and wrong ones, and its answers are judged.",
        takes=(
            _option("post_link", "the shop's address for postlinks", metavar="URL", type=address, required=True),
            _option("failure_post_link", "its address for failures, if that is another", metavar="URL", type=address),
            _option("secret_hash", "what the shop expects as secret_hash", metavar="VALUE"),
            _option(
                "new_order",
                'a command of the shell that makes an order in the shop and prints {"invoice_id": ID, "amount": AMOUNT}'
                ', with "secret_hash" if the order has its own',
                metavar="COMMAND",
            ),
            _option(
                "orders",
                "an order of the shop, once for each; invented ones when absent, and without --new-order",
                action="append",
                metavar="ID:AMOUNT",
                type=order,
            ),
            _option(
                "merchant", "the merchant whose credentials the shop has; a new one when absent", metavar="CLIENT_ID"
            ),
            _option(
                "timeout_s",
                "how long the shop has for an answer, at most 20; what the sandbox has when absent",
                metavar="SECONDS",
                type=patience,
            ),
            _option("junit", "write a file for build servers, as JUnit does", metavar="FILE"),
            _option(
                "url", f"where the sandbox is; {settings.CLIENT_URL}, or else one that lasts as long", metavar="URL"
            ),
            _option("json", "print one document of JSON", action="store_true"),
        ),
        run=lambda server, _, facts: _scorecard(server, facts),
    ),
    Command(words="health", does="say whether payments are taken", asks="GET /health", shows=lines.health),
)


def declare(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to a command line; `add` is argparse's `add_parser`."""
    adds = {"": add}
    for row in COMMANDS:
        above, _, word = row.words.rpartition(" ")
        parser = adds[above](word, help=row.does, description=f"{row.does.capitalize()}. {row.more}")
        parser.set_defaults(row=row)
        only_one = parser.add_mutually_exclusive_group() if any(one.alone for one in row.takes) else parser
        for argument in (*row.takes, *_usual(row)):
            (only_one if argument.alone else parser).add_argument(argument.name, **argument.how)
        if any(other.words.startswith(f"{row.words} ") for other in COMMANDS):
            adds[row.words] = parser.add_subparsers(metavar="COMMAND").add_parser


def run(row: Command, given: Facts) -> None:
    """Carry out a command: print what the sandbox answers.

    Raises:
        CommandError: it was refused, or there was nobody to ask.
        WrongCallError: the address is none.
        BrokenPipeError: whoever read what is printed has gone.

    """
    from mock_epay.client import EpayError  # noqa: PLC0415

    facts = dict(given)
    url = facts.pop("url", "") or os.environ.get(settings.CLIENT_URL, "") or (USUAL_URL if row.asks else "")
    if url and not url.startswith(_SCHEMES):
        raise WrongCallError(
            f'--url (or {settings.CLIENT_URL}) is "{url}": it takes an address that begins with http://'
        )
    try:
        with _sandbox(url) as server, closing((row.run or _answers)(server, row, facts)) as told:
            for line in told:
                print(line, flush=True)  # noqa: T201
    except EpayError as wrong:
        raise CommandError(_why(wrong, url)) from None
    except (KeyError, TypeError):
        raise CommandError(f"the answer is not understood: is that mock-epay at {url}, of this version?") from None


def _usual(row: Command) -> Iterator[Argument]:
    """Return what commands take besides their own."""
    if "{merchant}" in row.asks:
        yield _option("merchant", f"the merchant; {USUAL_MERCHANT} when absent", metavar="CLIENT_ID")
    if row.asks:
        yield _option("url", _URL, metavar="URL")
        yield _option("json", _JSON, action="store_true")


@contextmanager
def _sandbox(url: str) -> Iterator["EpayServer"]:
    """Give the sandbox at an address, or one that is run meanwhile."""
    from mock_epay.client import EpayServer  # noqa: PLC0415

    if url:
        with EpayServer(url) as server:
            yield server
        return
    from mock_epay.server import running  # noqa: PLC0415

    with running() as sandbox, EpayServer(sandbox.url, control_token="") as server:
        yield server


def _answers(server: "EpayServer", row: Command, given: Facts) -> Told:
    """Show what the sandbox answers, or what it tells for as long as it is followed."""
    facts = {"merchant": USUAL_MERCHANT} | dict(given)
    as_json = facts.pop("json", False)
    asked, shows = (_followed, lines.event) if facts.pop("follow", False) else (_asked, row.shows)
    for answer in asked(server, row, facts):
        yield from _as_json(answer) if as_json else shows(answer)


def _scorecard(server: "EpayServer", given: Facts) -> Told:
    """Check a handler, and show each verdict as soon as it is known, or all of them as JSON.

    Raises:
        CommandError: the shop has not passed all checks, or nobody is there.
        WrongCallError: no order can be made, or the file not be written.

    """
    from mock_epay import handler_check  # noqa: PLC0415
    from mock_epay.handler_check import report  # noqa: PLC0415
    from mock_epay.handler_check.orders import NoOrderError  # noqa: PLC0415
    from mock_epay.handler_check.shop import Asked  # noqa: PLC0415

    facts = dict(given)
    as_json, path = facts.pop("json", False), facts.pop("junit", "")
    asked = Asked(**facts | {"orders": tuple(facts.get("orders", ()))})
    signs = report.marks(sys.stdout.encoding)
    found: list[Verdict] = []
    _write(path, b"")
    try:
        with closing(handler_check.verdicts(server, asked)) as verdicts:
            for verdict in verdicts:
                found.append(verdict)
                yield from () if as_json else report.lines(verdict, signs)
    except handler_check.NobodyThereError as wrong:
        raise CommandError(f"no notice gets to {asked.post_link}: {wrong}") from None
    except NoOrderError as wrong:
        raise WrongCallError(str(wrong)) from None
    _write(path, report.junit(found))
    yield from _as_json(report.document(found, asked)) if as_json else report.closing(found, asked)
    if not report.safe(found):
        raise CommandError(f"the handler has not passed all checks; {report.summary(found)}")


def _write(path: str, file: bytes) -> None:
    """Write a file, if one is wanted.

    Raises:
        WrongCallError: it cannot be written.

    """
    try:
        if path:
            Path(path).write_bytes(file)
    except OSError as wrong:
        raise WrongCallError(f"--junit {path} cannot be written: {wrong.strerror}") from None


def _asked(server: "EpayServer", row: Command, facts: Facts) -> Iterator[Any]:
    """Ask once, and return the answer."""
    method, _, path = row.asks.partition(" ")
    placed = {name for _, name, *_ in Formatter().parse(path) if name}
    rest = {name: fact for name, fact in facts.items() if name not in {"merchant", *placed}}
    address = path.format_map({name: quote(facts[name], safe="") for name in placed})
    if method == "GET":
        yield server.control(method, address, **rest)
    else:
        yield server.control(method, address, row.body(rest) or None)


def _followed(server: "EpayServer", _: Command, facts: Facts) -> Iterator[Any]:
    """Return events as they happen. They end with the merchant's world, behind which a new one may have begun."""
    query = {name: fact for name, fact in facts.items() if name != "merchant"}
    while True:
        merchant = server.merchant(facts["merchant"])
        address = f"{server.url}/_control/merchants/{quote(merchant.client_id)}/events?{urlencode(query)}"
        yield from (event for event in _told(address) if event["kind"].startswith(_FOLLOWED))


def _told(address: str) -> Iterator[Any]:
    """Return what a stream of events tells until it ends.

    Raises:
        CommandError: it broke.

    """
    from http.client import HTTPException  # noqa: PLC0415  (as slow to import as all else together)
    from urllib.request import ProxyHandler, Request, build_opener  # noqa: PLC0415

    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {os.environ.get(_TOKEN, '')}"}
    opener = build_opener(ProxyHandler({}))  # as the client, which knows of no proxy either
    try:
        with opener.open(Request(address, headers=headers), timeout=_SILENCE_S) as answer:  # noqa: S310
            yield from (json.loads(line.removeprefix(_DATA)) for line in answer if line.startswith(_DATA))
    except (OSError, HTTPException) as wrong:
        raise CommandError(f"the sandbox has gone: {wrong!r}") from None


def _why(wrong: "EpayError", url: str) -> str:
    """Say in a line why something was not done, and what to do about it."""
    from mock_epay.client import NotReachable  # noqa: PLC0415

    if isinstance(wrong, NotReachable):
        return f"there is no sandbox at {url}: start one with `mock-epay serve`, or say where it is with --url"
    said = " ".join(str(wrong).split())
    if wrong.status == _UNAUTHORIZED:
        return f"{said}; the variable {_TOKEN} is sent"
    return f"is that mock-epay at {url}? {said}" if wrong.status and "message" not in wrong.answer else said


def _as_json(answer: Any) -> list[str]:
    return [] if answer is None else [json.dumps(answer, ensure_ascii=False)]
