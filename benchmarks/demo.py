"""The table of `make demo` for the README: the whole demo with seed 0.

python -m benchmarks.demo    # 3 CPU minutes; then python -m benchmarks.tables
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import seqff
from benchmarks.measuring import arguments
from benchmarks.records import Records, machine


def main() -> int:
    """Run the demo and record its accuracies and CPU seconds."""
    arguments(__doc__, json=False).parse_args()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = seqff.demo(out=Path(folder) / "demo", overwrite=True).result.to_dict()
    layers = [
        {"name": layer["name"], "trained": layer["accuracy"], "untrained": layer["untrained"]["accuracy"]}
        for layer in result["layers"]
    ]
    seconds = round(time.process_time() - began)
    Records.of("demo").keep({"demo": "default", "seconds": seconds, "layers": layers, **machine()}, by=("demo",))
    return 0


if __name__ == "__main__":
    sys.exit(main())
