"""Takes out of an environment what never runs, and compiles the rest: `slim.py FOLDER`."""

import compileall
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

UNUSED: Final = ("**/tests", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.c", "**/*.h", "bin/[Aa]ctivate*", "include")
# Cardholders have English names: Faker's other languages never run.
LANGUAGE: Final = "en_"
CHECK: Final = "from mock_epay import server, fake; fake.Fake('seed').holder(); fake.Fake('seed').place()"


def main(folder: Path) -> None:
    """Slim an environment, and fail if that breaks it."""
    packages = next(folder.glob("lib/python*/site-packages"))
    for found in [*(one for pattern in UNUSED for one in folder.glob(pattern)), *_languages(packages / "faker")]:
        shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    compiled = compileall.compile_dir(
        packages, quiet=1, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    works = subprocess.run([folder / "bin/python3", "-B", "-c", CHECK], check=False).returncode == 0
    sys.exit(not (compiled and works))


def _languages(faker: Path) -> Iterator[Path]:
    """Find the languages of Faker's providers that are not used."""
    for folder in faker.glob("providers/*/*_*"):
        if folder.is_dir() and not folder.name.startswith((LANGUAGE, "__")):
            yield folder


if __name__ == "__main__":
    main(Path(sys.argv[1]))
