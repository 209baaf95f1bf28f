"""`python -m saliency`, the same as the `saliency` command."""

import sys

from saliency.cli import main

sys.exit(main())
