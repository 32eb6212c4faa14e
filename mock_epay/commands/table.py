"""The commands, a row each: what one is called, takes, asks, shows."""

import argparse
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mock_epay import lines, settings
from mock_epay.commands.arguments import (
    Argument,
    Facts,
    address,
    changed_field,
    number,
    option,
    options,
    order,
    patience,
    place,
    properties_of,
)

if TYPE_CHECKING:
    from mock_epay.client import EpayServer

USUAL_MERCHANT: Final = "test"

_USUAL_REASON: Final = 484  # not enough money
_PAYMENT: Final = properties_of("control-payment")
_DECISION: Final[Mapping[str, Facts]] = properties_of("control-script")["decisions"]["items"]["properties"]

_WORLD: Final = "/merchants/{merchant}"
_INVOICE: Final = option("invoice_id", "only what is of this order", metavar="NUMBER")
_LATEST: Final = place("id", "the postlink's id; the latest when absent", nargs="?", default="latest")

Told = Generator[str, None, None]  # lines


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


def _resent(facts: Facts) -> Facts:
    """Return what is other in a postlink that is sent once more."""
    names = {"to": "url", "text": "text"}
    changes = {name: facts[given] for given, name in names.items() if given in facts}
    return changes | ({"fields": dict(facts["field"])} if "field" in facts else {})


def _checked(server: "EpayServer", _: Command, facts: Facts) -> Told:
    from mock_epay.commands import scorecard  # noqa: PLC0415  (--help and --version check nobody)

    return scorecard.told(server, facts)


COMMANDS: Final = (
    Command(
        words="pay",
        does="pay as a customer does on the pay page",
        more="A payment that is declined has been carried out too: the exit code is 0, and the status tells.",
        asks=f"POST {_WORLD}/payments",
        takes=(
            place("invoice_id", _PAYMENT["invoice_id"]["description"], nargs="?", default=argparse.SUPPRESS),
            option("card", "the number of a test card; one that approves when absent", metavar="PAN"),
            *options(_PAYMENT, "invoice_id", "card"),
        ),
        shows=lines.transaction,
    ),
    Command(
        words="decline-next",
        does="decline the next payment, whatever its card",
        more="The decisions that wait for payments are shown.",
        asks=f"POST {_WORLD}/script",
        takes=(
            place(
                "reason_code",
                f"the reason; {_USUAL_REASON}, too little money, when absent",
                metavar="CODE",
                nargs="?",
                type=number,
                default=_USUAL_REASON,
            ),
            *options(_DECISION, "reason_code", "challenge"),
        ),
        body=lambda decision: {"decisions": [decision]},
        shows=lines.script,
    ),
    Command(
        words="transactions",
        does="show the attempts to pay",
        asks=f"GET {_WORLD}/transactions",
        takes=(_INVOICE, option("status", "only those that stand so, such as CHARGE", metavar="STATUS")),
        shows=lines.transactions,
    ),
    Command(
        words="postlinks",
        does="show what was sent to the shop, or is to be",
        asks=f"GET {_WORLD}/postlinks",
        takes=(
            _INVOICE,
            option(
                "state", "only those that are queued, held, delivered, given up, cancelled", metavar="STATE", alone=True
            ),
            option("follow", "tell what becomes of them, so far and from now on", action="store_true", alone=True),
        ),
        shows=lines.postlinks,
    ),
    Command(
        words="resend",
        does="send a postlink once more, as it was or changed",
        asks=f"POST {_WORLD}/postlinks/{{id}}/resend",
        takes=(
            _LATEST,
            option("to", "another address", metavar="LINK", type=address),
            option(
                "field",
                "a field of the body that is other, its value as JSON or else as text; null takes it out",
                action="append",
                metavar="NAME=VALUE",
                type=changed_field,
                alone=True,
            ),
            option("text", "another body, whatever it is", metavar="TEXT", alone=True),
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
        takes=(place("set", "such as 2026-11-24T12:00:00+05:00", metavar="MOMENT"),),
        shows=lines.clock,
    ),
    Command(
        words="clock advance",
        does="put the clock forward, and carry out what falls due on the way",
        asks=f"PUT {_WORLD}/clock",
        takes=(place("advance_s", "how far", metavar="SECONDS", type=number),),
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
        takes=options(properties_of("control-merchant"), "terminals"),
        shows=lines.merchant,
    ),
    Command(
        words="merchants drop",
        does="end a merchant and its world",
        asks="DELETE /merchants/{id}",
        takes=(place("id", "its ClientID"),),
        shows=lambda _: ["it is gone"],
    ),
    Command(words="cards", does="show the test cards", asks="GET /cards", shows=lines.cards),
    Command(words="reasons", does="show the reason codes", asks="GET /reasons", shows=lines.reasons),
    Command(
        words="wait",
        does="wait until something happens, or has happened",
        asks=f"GET {_WORLD}/wait",
        takes=(
            place("until", "a kind of event, such as postlink.delivered or transaction.charged"),
            _INVOICE,
            option("after", "only what comes behind the event of this number", metavar="NUMBER", type=number),
            option("timeout_s", "how long, at most 60; 5 when absent", metavar="SECONDS", type=number),
        ),
        shows=lines.happening,
    ),
    Command(
        words="timeline",
        does="tell all that happened to an order",
        asks=f"GET {_WORLD}/invoices/{{invoice_id}}",
        takes=(place("invoice_id", "the order's number"),),
        shows=lines.timeline,
    ),
    Command(
        words="check-handler",
        does="check whether a shop's handler of postlinks is safe",
        more="Notices go to the shop's address, right ones and wrong ones, and its answers are judged.",
        takes=(
            option("post_link", "the shop's address for postlinks", metavar="URL", type=address, required=True),
            option("failure_post_link", "its address for failures, if that is another", metavar="URL", type=address),
            option("secret_hash", "what the shop expects as secret_hash", metavar="VALUE"),
            option(
                "new_order",
                'a command of the shell that makes an order in the shop and prints {"invoice_id": ID, "amount": AMOUNT}'
                ', with "secret_hash" if the order has its own',
                metavar="COMMAND",
            ),
            option(
                "orders",
                "an order of the shop, once for each; invented ones when absent, and without --new-order",
                action="append",
                metavar="ID:AMOUNT",
                type=order,
            ),
            option(
                "merchant", "the merchant whose credentials the shop has; a new one when absent", metavar="CLIENT_ID"
            ),
            option(
                "timeout_s",
                "how long the shop has for an answer, at most 20; what the sandbox has when absent",
                metavar="SECONDS",
                type=patience,
            ),
            option("junit", "write a file for build servers, as JUnit does", metavar="FILE"),
            option(
                "url", f"where the sandbox is; {settings.CLIENT_URL}, or else one that lasts as long", metavar="URL"
            ),
            option("json", "print one document of JSON", action="store_true"),
        ),
        run=_checked,
    ),
    Command(words="health", does="say whether payments are taken", asks="GET /health", shows=lines.health),
)
