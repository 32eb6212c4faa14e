"""The command line."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from mock_epay import __version__, issuer, lz, resources, settings
from mock_epay.settings import SettingError, Settings

INTERRUPTED: Final = 130  # what shells report for Ctrl-C

_COMMANDS: Final = ("serve", "address")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 when it could not be done, 2 when it was called wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in {*_COMMANDS, "-h", "--help", "--version"}:
        words.insert(0, "serve")
    chosen = vars(_parser().parse_args(words))
    if chosen.pop("command") == "address":
        return _address(sys.stdin, **chosen)
    return _serve(os.environ, chosen)


def banner(url: str) -> str:
    """Return what a newcomer needs to know, once the sandbox listens at `url`."""
    merchant = resources.table("merchants")["merchant"][0]
    cards = [
        f"    {card.pan:<16}  {pair.expiry}  {pair.cvc:<4}  {'approves' if card.status == 'unlock' else 'declines'}"
        for card in issuer.test_cards().values()
        for pair in card.pairs[:1]
    ]
    return "\n".join(
        (
            f"mock-epay {__version__}: no bank, no money",
            "",
            f"  Pay something   {url}/demo",
            f"  Token           {url}/oauth2/token",
            f"  Script          {url}/payform/payment-api.js",
            f"  Status          {url}/check-status/payment/transaction/{{invoiceId}}",
            "",
            f"  ClientID        {merchant['client_id']}",
            f"  ClientSecret    {merchant['client_secret']}",
            f"  TerminalID      {merchant['terminals'][0]['id']}",
            "",
            "  Test cards",
            *cards,
            "",
            "Ctrl-C stops it.",
        )
    )


def _serve(environment: Mapping[str, str], flags: Mapping[str, str | None]) -> int:
    from mock_epay import server  # noqa: PLC0415  (--help and --version need no server)

    for name, nearest in settings.unknown_variables(environment):
        _say(f"there is no setting {name}" + (f"; did you mean {nearest}?" if nearest else ""))
    try:
        chosen = Settings.from_environment(environment, **flags)
        _check_card(chosen.foreign_key_card)
        server.serve(chosen, lambda url: print(banner(url), flush=True))  # noqa: T201
    except (SettingError, server.ServerError) as wrong:
        _say(str(wrong))
        return 2 if isinstance(wrong, SettingError) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _check_card(pan: str) -> None:
    if pan and issuer.card_of(pan) is None:
        raise SettingError("MOCK_EPAY_FOREIGN_KEY_CARD (--foreign-key-card) is no test card; the README lists those")


def _address(source: TextIO, at: str) -> int:
    """Print the address that `halyk.pay` would open for a payment object in JSON."""
    try:
        order = json.load(source)
        if not isinstance(order, dict):
            raise ValueError("it is not an object")  # noqa: TRY004  (the same answer as for what is no JSON)
        print(f"{at.rstrip('/')}/payform/?params={lz.compress(lz.flatten(order))}")  # noqa: T201
    except (ValueError, RecursionError) as wrong:
        _say(f"standard input must hold a payment object in JSON: {wrong}")
        return 2
    return 0


def _say(line: str) -> None:
    print(f"mock-epay: {line}", file=sys.stderr)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mock-epay", description="A local Halyk ePay that behaves.")
    parser.add_argument("--version", action="version", version=f"mock-epay {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the sandbox (what happens without a command too)")
    for row in settings.rows():
        serve.add_argument(
            row.flag, metavar="VALUE", help=f"{row.explanation}; {row.variable}; default {row.shown or 'empty'}"
        )
    address = commands.add_parser("address", help="make a pay page address of the payment object on standard input")
    address.add_argument("--at", metavar="URL", default="http://127.0.0.1:8080", help="where the sandbox is")
    return parser
