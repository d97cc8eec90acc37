"""`python -m kd.runtime`."""

import sys

from kd.runtime.program import main

if __name__ == "__main__":
    sys.exit(main())
