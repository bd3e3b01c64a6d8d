"""``python -m chatglm_server``: the same as the console script ``chatglm-server``."""

import sys

from .cli.main import main

sys.exit(main())
