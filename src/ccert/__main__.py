"""``python -m ccert`` is the ``ccert`` command."""

import sys

from ccert.cli import main

sys.exit(main())
