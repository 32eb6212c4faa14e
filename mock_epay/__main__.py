"""`python -m mock_epay` is `mock-epay`."""

import sys

from mock_epay.cli import main

if __name__ == "__main__":
    sys.exit(main())
