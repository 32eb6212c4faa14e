"""The scorecard of a shop's handler, as the command shows it."""

import sys
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mock_epay import lines
from mock_epay.client import EpayServer
from mock_epay.commands.failures import CommandError, WrongCallError
from mock_epay.handler_check import NobodyThereError, report, verdicts
from mock_epay.handler_check.judging import Verdict
from mock_epay.handler_check.orders import NoOrderError
from mock_epay.handler_check.shop import Asked


def told(server: EpayServer, given: Mapping[str, Any]) -> Generator[str, None, None]:
    """Check a handler, and show each verdict as soon as it is known, or all of them as JSON.

    Raises:
        CommandError: the shop has not passed all checks, or nobody is there.
        WrongCallError: no order can be made, or the file not be written.

    """
    facts = dict(given)
    as_json, path = facts.pop("json", False), facts.pop("junit", "")
    asked = Asked(**facts | {"orders": tuple(facts.get("orders", ()))})
    signs = report.marks(sys.stdout.encoding)
    found: list[Verdict] = []
    _write(path, b"")
    try:
        with closing(verdicts(server, asked)) as judged:
            for verdict in judged:
                found.append(verdict)
                yield from () if as_json else report.lines(verdict, signs)
    except NobodyThereError as wrong:
        raise CommandError(f"no notice gets to {asked.post_link}: {wrong}") from None
    except NoOrderError as wrong:
        raise WrongCallError(str(wrong)) from None
    _write(path, report.junit(found))
    yield from lines.as_json(report.document(found, asked)) if as_json else report.closing(found, asked)
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
