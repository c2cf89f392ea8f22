"""`python -m seqff` is `seqff`."""

import sys

from seqff.cli import main

if __name__ == "__main__":
    sys.exit(main())
