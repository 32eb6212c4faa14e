"""A sandbox that tells what is in its memory: for each line of needles on its input, those that some live object holds.

They come written backwards, or the question would hold them itself.
It is the command line, in a process of its own, with one more thread: `python tests/witness.py serve --port 0 …`.
"""

import gc
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

from mock_epay.__main__ import main
from mock_epay.records import Record

WORD: Final = "WITNESS "


def _testify() -> None:
    for line in sys.stdin:
        needles = [backwards[::-1] for backwards in json.loads(line)]
        print(WORD + json.dumps(_held(needles)), file=sys.stderr, flush=True)


def _held(needles: list[str]) -> list[str]:
    """Return the needles that stand in a text or in bytes which something still refers to."""
    gc.unfreeze()
    gc.collect()
    own = {id(needles), *map(id, needles)}
    as_bytes = {needle: needle.encode() for needle in needles}
    own |= {id(as_bytes), *map(id, as_bytes.values())}
    found = set()
    for thing in _things(own):
        for needle in needles:
            if (needle if isinstance(thing, str) else as_bytes[needle]) in thing:
                found.add(needle)
    return sorted(found)


def _things(own: set[int]) -> Iterator[Any]:
    """Give all texts and bytes that can be reached from what the collector knows, but for one's own."""
    seen = set(own)
    left: list[Any] = gc.get_objects()
    seen.add(id(left))
    while left:
        thing = left.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, str | bytes | bytearray):
            yield thing
        elif isinstance(thing, Record):  # which the collector does not look into
            left += [getattr(thing, name) for name in thing.__struct_fields__]
        else:
            left += gc.get_referents(thing)


if __name__ == "__main__":
    threading.Thread(target=_testify, daemon=True).start()
    sys.exit(main())
