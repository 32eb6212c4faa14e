"""The commands that ask a running sandbox."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from mock_epay import settings
from mock_epay.commands.arguments import SCHEMES, Argument, Facts, option
from mock_epay.commands.failures import CommandError, WrongCallError
from mock_epay.commands.table import COMMANDS, USUAL_MERCHANT, Command

_JSON: Final = "print what the control API answers"
_URL: Final = f"where the sandbox is; {settings.CLIENT_URL}, or else {settings.USUAL_URL}"


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
    from mock_epay.client import EpayError  # noqa: PLC0415  (--help and --version ask nobody)
    from mock_epay.commands import asking  # noqa: PLC0415

    facts = dict(given)
    url = facts.pop("url", "") or os.environ.get(settings.CLIENT_URL, "") or (settings.USUAL_URL if row.asks else "")
    if url and not url.lower().startswith(SCHEMES):
        raise WrongCallError(
            f'--url (or {settings.CLIENT_URL}) is "{url}": it takes an address that begins with http://'
        )
    try:
        with asking.sandbox(url) as server, closing((row.run or asking.answers)(server, row, facts)) as told:
            for line in told:
                print(line, flush=True)  # noqa: T201
    except EpayError as wrong:
        raise CommandError(asking.why(wrong, url)) from None
    except (KeyError, TypeError):
        raise CommandError(f"the answer is not understood: is that mock-epay at {url}, of this version?") from None


def _usual(row: Command) -> Iterator[Argument]:
    """Return what commands take besides their own."""
    if "{merchant}" in row.asks:
        yield option("merchant", f"the merchant; {USUAL_MERCHANT} when absent", metavar="CLIENT_ID")
    if row.asks:
        yield option("url", _URL, metavar="URL")
        yield option("json", _JSON, action="store_true")
