"""The process that renders: a JSON text a line in, its blocks a line out.

It is a process because lexers are regular expressions, some of which a hostile text keeps busy for hours, and Python
can neither interrupt one nor do anything else meanwhile.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

from .blocks import rendered


def main(seconds: float) -> None:
    """Renders until the server closes the pipe, or is gone. A text that takes more than `seconds` ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to the server, which then ends this one
    with Path(os.devnull).open("w") as nowhere:
        for line in sys.stdin.buffer:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)  # its clock does not need Python's lock
            blocks = rendered(json.loads(line))
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.buffer.write(json.dumps(blocks).encode() + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]))
