"""`python -m inference.worker` is the command `overread-worker`."""

import sys

from inference.worker.main import main

sys.exit(main())
