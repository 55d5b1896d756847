"""`python -m tests.programs`: install the programs that come as wheels."""

import sys

from tests.programs import main

sys.exit(main())
