"""Fuzzes what takes bytes of strangers, by what they cover: `python tests/fuzzing/fuzz.py RUNS [TARGET …]`.

Each target has a process, since one such run ends its process; what it finds is in `test-artifacts/fuzz`. With one
input in a file, a run can be had again: `python tests/fuzzing/fuzz.py again TARGET FILE`.
"""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
FOUND: Final = HERE.parents[1] / "test-artifacts" / "fuzz"
CORPUS: Final = HERE / "corpus"
MOST_BYTES: Final = 4096
_RUNS: Final = re.compile(r"Done (\d+) runs")

sys.path.insert(0, str(HERE.parent))


def main(runs: int, names: list[str]) -> int:
    """Give each target its share of the runs; say how it went, and return how many have faults."""
    from fuzzing.targets import SHARES  # noqa: PLC0415  (the process that fuzzes must import it by itself)

    names = names or list(SHARES)
    share = runs / sum(SHARES[name] for name in names)
    bad = 0
    for name in names:
        begun = time.monotonic()
        command = [sys.executable, __file__, "one", name, str(max(1, round(share * SHARES[name])))]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        ran = _RUNS.search(done.stdout)
        fault = done.returncode or not ran
        bad += bool(fault)
        count = ran[1] if ran else "no"
        print(
            f"{name:<15} {count:>8} inputs in {time.monotonic() - begun:.0f} s{', FAULT' if fault else ''}", flush=True
        )
        if fault:
            print(done.stdout[-6000:])
    print(f"{len(names) - bad} passed, {bad} failed")
    return bad


def fuzz(name: str, runs: int) -> None:
    """Fuzz one target; this ends the process."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415

    with atheris.instrument_imports(include=["mock_epay"]):
        from fuzzing.targets import TARGETS  # noqa: PLC0415

    grown = FOUND / name
    grown.mkdir(parents=True, exist_ok=True)
    options = {
        "runs": runs,
        "max_len": MOST_BYTES,
        "timeout": 5,  # seconds for one input: more is a hang
        "rss_limit_mb": 2048,
        "artifact_prefix": f"{FOUND}/{name}-",
        "dict": HERE / "words.dict",
        "print_final_stats": 0,
        "verbosity": 1,
    }
    atheris.Setup(
        [name, *(f"-{option}={value}" for option, value in options.items()), str(grown), str(CORPUS / name)],
        TARGETS[name],
    )
    atheris.Fuzz()


def again(name: str, path: str) -> None:
    """Run one input once more."""
    from fuzzing.targets import TARGETS  # noqa: PLC0415

    TARGETS[name](Path(path).read_bytes())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["one", name, runs]:
            fuzz(name, int(runs))
        case ["again", name, path]:
            again(name, path)
        case [runs, *names]:
            sys.exit(min(1, main(int(runs), names)))
        case _:
            sys.exit(__doc__)
