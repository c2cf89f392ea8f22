"""Mutated inputs of every kind end in a result or a one-line error: saved ones from long runs, and a few new ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer watches its processes as Linux allows")
def test_changed_inputs_do_no_harm(tmp_path: Path) -> None:
    """No death, hang, request, gigabytes or file elsewhere out of changed films, pictures, arrays, manifests, runs."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--rounds", "1", "--replay", "tests/fuzz_inputs"]
    command += ["--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
