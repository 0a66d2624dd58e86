"""The fakes that the gateway's tests use, to be held against the real things."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration" / "gateway"))
