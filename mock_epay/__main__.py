"""The command line; past it goes the question whether payments are taken, which is asked all the time."""

import gc
import sys


def main() -> int:
    """Run a command and return its exit code."""
    if sys.argv[1:2] == ["ready"]:
        from mock_epay import ready  # noqa: PLC0415

        return ready.main(sys.argv[2:])
    gc.disable()  # what is imported stays, and to look through it meanwhile takes a twelfth of a start
    from mock_epay import cli  # noqa: PLC0415  (several times as slow to import as all that `ready` does)

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
