"""Looks up what is known to be wrong with the locked packages: `make audit`.

What is asked is pip-audit, in an environment of its own. It counts a package that nobody could tell it about as sound,
so this says how many were really looked up; where the service cannot be reached that is none, and no reason to fail.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

UVX: Final = Path(sys.executable).with_name("uvx")
COMMAND: Final = [str(UVX), "pip-audit", "--require-hashes", "--disable-pip", "--progress-spinner=off", "--timeout=10"]
PATIENCE_S: Final = 300


def verdict(packages: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Return what is to be said of these packages, and whether it is good enough."""
    known = [one for one in packages if "skip_reason" not in one]
    bad = [one for one in known if one["vulns"]]
    lines = [
        f"{one['name']} {one['version']}: {wrong['id']}, {_mended(wrong)}" for one in bad for wrong in one["vulns"]
    ]
    lines.append(
        f"{len(known)} of {len(packages)} packages were looked up, {len(bad)} of them are known to be vulnerable"
    )
    if not known:
        lines.append("the vulnerability service cannot be reached from here: nothing is known of any of them")
    return lines, not bad


def _mended(wrong: dict[str, Any]) -> str:
    return f"mended in {', '.join(wrong['fix_versions']) or 'no version yet'}"


def main() -> int:
    """Audit the files that are named, and tell."""
    packages: dict[str, dict[str, Any]] = {}
    for lock in sys.argv[1:]:
        try:
            asked = subprocess.run(
                [*COMMAND, "--format=json", "--requirement", lock],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            found = json.loads(asked.stdout)["dependencies"]
        except (OSError, ValueError, subprocess.TimeoutExpired) as wrong:
            print(f"{lock}: pip-audit could not be run, or could not ask anybody: {wrong}")  # noqa: T201
            continue
        packages |= {one["name"]: one for one in found}
    lines, good = verdict([*packages.values()])
    print("\n".join(lines))  # noqa: T201
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
