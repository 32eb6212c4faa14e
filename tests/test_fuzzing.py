"""What is fuzzed takes the inputs that the fuzzing begins with; so each stays a test where atheris cannot be had."""

from pathlib import Path
from typing import Final

import pytest
from fuzzing import targets

CORPUS: Final = Path(__file__).parent / "fuzzing" / "corpus"
MOST_BYTES: Final = 4096


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_target_takes_what_its_fuzzing_begins_with(name: str) -> None:
    begins = sorted((CORPUS / name).iterdir())
    assert begins
    for one in begins:
        data = one.read_bytes()
        assert len(data) <= MOST_BYTES
        for cut in (data, data[: len(data) // 2], data + b"\xff\0", data.replace(b"=", b"\xed\xa0\x80")):
            targets.TARGETS[name](cut)


def test_each_target_has_a_share_of_a_hundred_inputs() -> None:
    assert sum(targets.SHARES[name] for name in targets.TARGETS) == 100
