"""``python -m textok.cli``, for launchers that start modules on many processes."""

import sys

from textok.cli.entry import main

sys.exit(main())
