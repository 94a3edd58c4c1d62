"""`python -m shared.verify FILE --policy POLICY`. In: the command line. Out: the exit code of `cli.main`. Never anything more."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
