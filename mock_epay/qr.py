"""QR codes of addresses, as pictures: black on white whatever the page is like, for cameras want contrast."""

import io
from typing import Final
from urllib.parse import urlsplit

from mock_epay.errors import CONTROL_API, BadField

LONGEST: Final = 1000


def picture(text: str) -> bytes:
    """Return the QR code of an address as SVG.

    Raises:
        BadField: it is no address of the web, or too long.

    """
    try:
        fits = len(text) <= LONGEST and urlsplit(text).scheme in {"http", "https"} and bool(urlsplit(text).hostname)
    except ValueError:  # a bracket that is not closed
        fits = False
    if not fits:
        raise BadField("text", text, f"an http or https address of at most {LONGEST} characters", CONTROL_API)
    drawn = io.BytesIO()
    import segno  # noqa: PLC0415  (a hundredth of a second that most servers never need)

    code = segno.make(text, error="m", micro=False)
    code.save(drawn, kind="svg", border=4, dark="#000", light="#fff", xmldecl=False, omitsize=True)
    return drawn.getvalue()
