"""Forward-Forward on MNIST: time and test error of short and long runs, with and without labels.

    python -m benchmarks.forward_forward mnist.npz --runs supervised-short    # 54 CPU seconds; all runs: 10 minutes

The file contains x_train, y_train, x_test and y_test. Settings were chosen with --held-out, which trains on the first
50 000 images of the shuffled training set and evaluates on the other 10 000, without the test set.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqff
from benchmarks.measuring import arguments, seconds_of, write

RUNS: dict[str, dict[str, Any]] = {
    "supervised-short": {
        "net": {"widths": (500, 500), "lr": 1e-2},
        "epochs": 8,
    },
    "supervised-long": {
        "net": {"widths": (500, 500), "jitter": 1, "lr": 1e-2, "skip_first": False},
        "epochs": 30,
    },
    "unsupervised-short": {
        "net": {"widths": (1000, 1000), "mode": "unsupervised", "lr": 1e-3, "skip_first": False},
        "epochs": 6,
        "softmax": {"epochs": 6},
    },
    "unsupervised-long": {
        "net": {"widths": (2000, 2000), "mode": "unsupervised", "jitter": 1, "lr": 1e-3, "skip_first": False},
        "epochs": 8,
        "softmax": {"epochs": 8},
    },
}


def load(path: Path, *, held_out: bool) -> tuple[Any, Any, Any, Any]:
    """Return images and labels for training and evaluation."""
    data = np.load(path)
    x, y = data["x_train"], data["y_train"]
    if not held_out:
        return x, y, data["x_test"], data["y_test"]
    order = np.random.default_rng(123).permutation(len(x))
    train, rest = order[:-10_000], order[-10_000:]
    return x[train], y[train], x[rest], y[rest]


def fit_and_measure(setting: dict[str, Any], epochs: int, seed: int, data: tuple[Any, Any, Any, Any]) -> dict[str, Any]:
    """Train one net; return its errors and its time."""
    x, y, x_test, y_test = data
    net = seqff.ForwardForward(**setting["net"], seed=seed)
    errors: dict[str, float] = {}

    def fit() -> None:
        net.fit(x, y, epochs=epochs)
        if "softmax" in setting:
            net.fit_softmax(x, y, **setting["softmax"])

    took = dict(zip(("wall_seconds", "cpu_seconds"), seconds_of(fit), strict=True))
    if net.mode == "supervised":
        errors["goodness"] = float((net.predict(x_test) != y_test).mean())
    errors["softmax"] = float((net.predict(x_test, by="softmax") != y_test).mean())
    last = {name: round(value, 4) for name, value in net.history[-1].items()} if net.history else {}
    return {"seed": seed, "epochs": epochs, **took, "error": errors, "last_epoch": last}


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__)
    parser.add_argument("mnist", type=Path, help="mnist.npz")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=None, help="instead of the run's number")
    parser.add_argument("--untrained", action="store_true", help="the control: layers are not trained")
    parser.add_argument("--held-out", action="store_true", help="evaluate on 10 000 images of the training set")
    options = parser.parse_args()
    if not options.mnist.exists():
        print(f"skipped: {options.mnist} is not there", file=sys.stderr)
        return 0
    data = load(options.mnist, held_out=options.held_out)
    results = []
    for name in options.runs:
        setting = RUNS[name]
        for seed in options.seeds:
            epochs = 0 if options.untrained else (options.epochs or setting["epochs"])
            result = {"run": name, "measured_on": "held-out" if options.held_out else "test", **setting}
            result |= {"threads": torch.get_num_threads(), **fit_and_measure(setting, epochs, seed, data)}
            results.append(result)
            errors = ", ".join(f"{how} {error:.2%}" for how, error in result["error"].items())
            print(
                f"{name}: {result['measured_on']} error {errors}; {epochs} epochs, seed {seed}, "
                f"{result['wall_seconds']:.0f} s ({result['cpu_seconds']:.0f} s of CPU, {result['threads']} threads)",
                flush=True,
            )
            write(options.json, {"runs": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
