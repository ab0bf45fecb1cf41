"""`python -m metastyle_core` is the same as `metastyle`."""

import sys

from .cli import main

sys.exit(main())
