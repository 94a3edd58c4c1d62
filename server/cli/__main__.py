"""`python -m server.cli`: the same as `meterproof`."""

import sys

from . import main

sys.exit(main())
