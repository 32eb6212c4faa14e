"""The command line."""

import argparse
import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from mock_epay import __version__, issuer, lz, ready, resources, settings, tls
from mock_epay.settings import SettingError, Settings

INTERRUPTED: Final = 130  # what shells report for Ctrl-C

_BRACKETS: Final = str.maketrans("[]()|", "     ")
_NO_COMMANDS: Final = ("-h", "--help", "--version")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 when it could not be done, 2 when it was called wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in _NO_COMMANDS):
        words.insert(0, "serve")
    chosen = vars(_parser(words[0]).parse_args(words))
    carried_out = {"serve": _serve, "address": _address, "ready": _ready, "trust": _trust}.get(
        chosen.pop("command"), _ask
    )
    if carried_out is not _serve:
        gc.enable()
    try:
        return carried_out(chosen)
    except KeyboardInterrupt:
        return INTERRUPTED


def banner(
    url: str,
    roads: Sequence[str] = (),
    *,
    tls_url: str = "",
    chosen: Mapping[str, str] | None = None,
    load: str = "",
    kept: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return what a newcomer needs to know, once the sandbox listens at `url`.

    `roads` are where postlinks to localhost go that nobody takes there; `chosen` are settings that are not the usual;
    `load` is what a profile for load tests means; `kept` is what merchants of the store have otherwise than these say.
    """
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
            f"  Cabinet         {url}/",
            f"  Token           {url}/oauth2/token",
            f"  Script          {url}/payform/payment-api.js",
            f"  Status          {url}/check-status/payment/transaction/{{invoiceId}}",
            f"  Control         {url}/_control/health",
            *[f"  HTTPS           {tls_url}, authority {url}/ca.pem (mock-epay trust)"] * bool(tls_url),
            *[f"  Postlinks       to localhost, or if nobody is there to {', '.join(roads)}"] * bool(roads),
            *[f"  For load tests  {load}"] * bool(load),
            *[f"  Stored          {line}" for line in _kept_lines(kept or {})],
            "",
            f"  ClientID        {merchant['client_id']}",
            f"  ClientSecret    {merchant['client_secret']}",
            f"  TerminalID      {merchant['terminals'][0]['id']}",
            "",
            "  Test cards",
            *cards,
            "",
            *_listed_settings(chosen or {}),
            "Ctrl-C stops it.",
        )
    )


def _kept_lines(kept: Mapping[str, Sequence[str]]) -> list[str]:
    whose: dict[str, list[str]] = {}
    for client_id, names in kept.items():
        whose.setdefault(", ".join(names), []).append(client_id)
    return [f"{names} of {', '.join(those)}, not as given; PATCH changes them" for names, those in whose.items()]


def _listed_settings(chosen: Mapping[str, str]) -> list[str]:
    if not chosen:
        return []
    width = max(map(len, chosen))
    return ["  Settings", *(f"    {name:<{width}}  {value}" for name, value in chosen.items()), ""]


def _serve(flags: Mapping[str, Any]) -> int:
    from mock_epay import server  # noqa: PLC0415  (--help and --version need no server)
    from mock_epay.postlinks.roads import Roads  # noqa: PLC0415

    gc.freeze()  # all is imported and stays; to look through it once would take a tenth of the start
    gc.enable()
    for name, nearest in settings.unknown_variables(os.environ):
        _say(f"there is no setting {name}" + (f"; did you mean {nearest}?" if nearest else ""))
    try:
        chosen = Settings.from_environment(os.environ, **flags)
        roads = Roads(localhost=chosen.postlink_localhost).localhost

        kept = server.overruled(chosen)

        def announce(url: str, tls_url: str) -> None:
            _tell(_started(chosen, url, tls_url, roads, kept))

        server.serve(chosen, announce, _tell)
    except (SettingError, server.ServerError) as wrong:
        _say(str(wrong))
        return 2 if isinstance(wrong, SettingError) else 1
    return 0


def _started(chosen: Settings, url: str, tls_url: str, roads: Sequence[str], kept: Mapping[str, Sequence[str]]) -> str:
    """Return what is said at the start: for people, or where the log is for machines, a line for those."""
    shown = settings.chosen(chosen)
    if chosen.log == "json":
        facts = {"event": "started", "version": __version__, "url": url, "tls_url": tls_url, "settings": shown}
        return json.dumps(facts | {"kept": kept})
    return banner(url, roads, tls_url=tls_url, chosen=shown, load=settings.load_line(chosen), kept=kept)


def _ready(chosen: Mapping[str, Any]) -> int:
    return ready.carry_out(**chosen)


def _trust(chosen: Mapping[str, Any]) -> int:
    """Print how each runtime is made to trust the sandbox, and led to it."""
    url = chosen["url"].rstrip("/")
    own = tls.public_certificate(Path(Settings.from_environment(os.environ).tls_dir).expanduser())
    certificate = chosen["ca"] or (str(own) if own.is_file() else "ca.pem")
    rules = ",".join(f"MAP {host} {chosen['at']}" for host in tls.bank_hosts())
    facts = {"ca": certificate, "url": url, "rules": rules}
    _tell(f"The certificate of the authority: {certificate}, or curl -so ca.pem {url}/ca.pem")
    for recipe in resources.table("trust")["recipe"]:
        _tell(f"\n{recipe['for']}\n" + indent(recipe["how"].strip().format_map(facts), "    "))
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _ask(chosen: Mapping[str, Any]) -> int:
    """Carry out a command that asks a running sandbox."""
    from mock_epay import commands  # noqa: PLC0415  (the sandbox itself needs none of them)
    from mock_epay.commands.failures import CommandError  # noqa: PLC0415

    facts = dict(chosen)
    try:
        commands.run(facts.pop("row"), facts)
    except CommandError as wrong:
        _say(str(wrong))
        return wrong.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 1
    return 0


def _address(chosen: Mapping[str, Any]) -> int:
    """Print the address that `halyk.pay` would open for the payment object in JSON on standard input."""
    try:
        order = json.load(sys.stdin)
        if not isinstance(order, dict):
            raise ValueError("it is not an object")  # noqa: TRY004  (the same answer as for what is no JSON)
        print(f"{chosen['at'].rstrip('/')}/payform/?params={lz.compress(lz.flatten(order))}")  # noqa: T201
    except (ValueError, RecursionError) as wrong:
        _say(f"standard input must hold a payment object in JSON: {wrong}")
        return 2
    return 0


def _say(line: str) -> None:
    print(f"mock-epay: {line}", file=sys.stderr)  # noqa: T201


class _Parser(argparse.ArgumentParser):
    """A parser that says which of its own flags may be meant by one that it does not have.

    argparse leaves that to the parser of all commands, which knows no flags of theirs.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            from difflib import get_close_matches  # noqa: PLC0415  (nobody waits for it who calls rightly)

            flags = [word for word in self.format_usage().translate(_BRACKETS).split() if word.startswith("--")]
            nearest = get_close_matches(unknown[0].partition("=")[0], flags, n=1) if unknown[0][0] == "-" else []
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return known, unknown


def _parser(command: str) -> argparse.ArgumentParser:
    """Return a parser of all commands; of `serve` alone if it is that, for its start is waited for."""
    parser = _Parser(prog="mock-epay", description="A local Halyk ePay that behaves.")
    parser.add_argument("--version", action="version", version=f"mock-epay {__version__}")
    rows = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = rows.add_parser("serve", help="run the sandbox (what happens without a command too)")
    for row in settings.rows():
        serve.add_argument(
            row.flag, metavar="VALUE", help=f"{row.explanation}; {row.variable}; default {row.shown or 'empty'}"
        )
    if command == "serve":
        return parser

    from mock_epay import commands  # noqa: PLC0415

    address = rows.add_parser("address", help="make a pay page address of the payment object on standard input")
    address.add_argument("--at", metavar="URL", default=settings.USUAL_URL, help="where the sandbox is")
    ready.declare(rows.add_parser)
    trust = rows.add_parser("trust", help="say how each runtime is made to trust the sandbox's HTTPS")
    trust.add_argument("--url", metavar="URL", default=settings.USUAL_URL, help="where the sandbox is")
    trust.add_argument("--ca", metavar="FILE", help="the authority's certificate; that of this machine when absent")
    trust.add_argument("--at", metavar="HOST:PORT", default="127.0.0.1:8443", help="where its HTTPS is")
    commands.declare(rows.add_parser)
    return parser
