"""Measures what the README's performance table states: `python -m benchmarks`.

It measures the installed package, such as a wheel with the compiled engine, not the source tree beside this folder.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT in sys.path:  # `-m` put it first; at the end, this package can still be imported
    sys.path.remove(_ROOT)
    sys.path.append(_ROOT)
