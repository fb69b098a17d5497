"""Measures what the README's performance table states: `python -m benchmarks`.

What is installed is measured: a wheel's compiled engine, though the source tree lies beside this folder.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT in sys.path:  # `-m` put it first; last, it still lends this package its name
    sys.path.remove(_ROOT)
    sys.path.append(_ROOT)
