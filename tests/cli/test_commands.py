"""The command line: every command is the public function of its name, documents itself, and fails with one line."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

import seqff
from seqff.cli import COMMANDS, main, options_of
from seqff.config_io import names_of

SMALL = [
    "--steps", "4", "--pairs.size-px", "16", "--pairs.gap", "1", "--pairs.far", "6", "--pairs.videos-per-batch", "3",
    "--pairs.clips-per-video", "2", "--pairs.clip-frames", "3", "--encoder.widths", "4", "6",
    "--encoder.kernels", "5", "3", "--encoder.strides", "2", "1", "--encoder.pools", "1", "1",
    "--objective.grid", "2", "--objective.head-out", "4", "--no-progress",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("config", "completion")])
def test_a_command_takes_what_its_function_takes(name: str) -> None:
    """Names and defaults of the options are those of the public function's arguments."""
    (kind,) = options_of(name)
    options = {spec.name: spec for spec in dataclasses.fields(kind) if spec.name not in ("json", "settings")}
    parameters = dict(inspect.signature(getattr(seqff, name)).parameters)
    parameters.pop("steps", None) if "settings" in kind.__dataclass_fields__ else None  # a setting, as a flag
    assert set(options) == set(parameters)
    for key, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            group = options[key].default_factory is not dataclasses.MISSING  # of settings: None for the function
            assert (None if group else options[key].default) == parameter.default, key


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_says_what_is_read_and_written_and_gives_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`seqff COMMAND --help` teaches, and exits with 0."""
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Reads:" in text
    assert "Writes:" in text
    assert f"Example: seqff {name}" in text


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_is_one_screen_and_leads_to_the_rest(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """About 40 lines of 80 columns; --help-all has every setting, --help GROUP a group, a typo a suggestion."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "videos", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 42
    assert max(map(len, lines)) <= 80
    assert "--help-all" in lines[-1]
    assert main([name, "--help-all"]) == 0
    everything = capsys.readouterr().out
    assert all(f"--{setting.replace('_', '-')}" in everything for setting in names_of(seqff.TrainConfig))
    for group in ("pairs", "encoder", "objective", "optim", "live"):
        assert main([name, "--help", group]) == 0
        shown = capsys.readouterr().out
        settings = [setting for setting in names_of(seqff.TrainConfig) if setting.startswith(f"{group}.")]
        assert all(f"--{setting.replace('_', '-')}" in shown for setting in settings)
        assert shown.count("  --") == len(settings)
    for asked, meant in (("pars", "pairs"), ("pairs.sizepx", "pairs.size-px"), ("pairs.size_px_", "pairs.size-px")):
        assert main([name, "--help", asked]) == 2
        assert f"did you mean '{meant}'?" in capsys.readouterr().err


def test_help_imports_no_torch() -> None:
    """The overview and a command's help answer without waiting for torch."""
    code = (
        "import sys; from seqff.cli import main; main(['--help']); main(['train', '--help']); "
        "sys.exit(bool({'torch', 'torchvision', 'cv2', 'av', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_overview_version_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists all commands; a typo gets a suggestion and exit code 2."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert main(["--version"]) == 0
    assert main(["trian"]) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["train", "videos", "--out", "run", "--pairs.gapp", "3"]) == 2


def test_the_whole_way_by_commands(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """scan, train, extract, probe on a folder of videos; every --json is JSON; results.json has its fixed names."""
    run, features, probe = tmp_path / "run", tmp_path / "features", tmp_path / "probe"
    assert main(["scan", str(clips), "--json", "--no-progress"]) == 0
    assert len(json.loads(capsys.readouterr().out)["entries"]) == 8
    assert main(["train", str(clips), "--out", str(run), "--json", *SMALL]) == 0
    assert "layer1/loss" in json.loads(capsys.readouterr().out)["metrics"]
    assert main(["extract", str(run), str(clips), "--out", str(features), "--json", "--no-progress"]) == 0
    assert json.loads(capsys.readouterr().out)["arrays"]["layer1"] == [8, 48]
    arguments = ["probe", str(features), "--labels", "folder", "--folds", "2", "--out", str(probe), "--no-progress"]
    assert main([*arguments, "--groups", r"(?P<group>subject\d)", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((probe / "results.json").read_text())
    assert printed["protocol"] == written["protocol"] == "v1"
    for layer in written["layers"]:
        assert {"name", "accuracy", "interval", "untrained"} <= set(layer)
        assert {"accuracy", "interval"} <= set(layer["untrained"])
    assert {"accuracy", "interval"} <= set(written["pixels"])
    assert main([*arguments, "--overwrite"]) == 0
    assert "layer2" in capsys.readouterr().out


def test_config_file_and_flags(clips: Path, tmp_path: Path) -> None:
    """Flags win over the file, the file over the defaults; a typo in the file is named with a suggestion."""
    file = tmp_path / "config.yaml"
    file.write_text("steps: 3\nobjective: {margin: 1.25, head_out: 9}\n")
    run = tmp_path / "run"
    assert main(["train", str(clips), "--out", str(run), *SMALL, "--config", str(file)]) == 0
    text = (run / "config.yaml").read_text()
    assert "steps: 4" in text
    assert "margin: 1.25" in text
    assert "head_out: 4" in text


def _empty_file(folder: Path) -> Path:
    (folder / "zero.mp4").write_bytes(b"")
    return folder


def _text_file(folder: Path) -> Path:
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    return folder


def _audio_only(folder: Path) -> Path:
    with av.open(str(folder / "audio.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder


@pytest.mark.parametrize("command", ["scan", "train"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nowhere", ["nowhere"]),
        (lambda folder: folder, ["mp4"]),
        (_empty_file, ["zero.mp4"]),
        (_text_file, ["text.mp4"]),
        (_audio_only, ["audio.mp4", "no video"]),
    ],
    ids=["missing folder", "empty folder", "zero bytes", "text", "audio only"],
)
def test_bad_videos_get_a_clear_line(
    command: str, make: object, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is said without a trace, the file is named, the exit code is 1, no run folder is left."""
    folder = tmp_path / "videos"
    folder.mkdir()
    run = tmp_path / "run"
    arguments = [str(make(folder)), "--no-progress"] + (["--out", str(run)] if command == "train" else [])  # type: ignore[operator]
    assert main([command, *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"seqff {command}: error: ")
    assert "Traceback" not in error
    assert all(word in error for word in words)
    assert not run.exists()


def test_wrong_settings_labels_and_folders_get_a_clear_line(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown config key, existing out folders, unknown videos in a label file, CUDA where there is none, no run."""

    def fails(*arguments: object, code: int = 1) -> str:
        assert main([str(argument) for argument in arguments]) == code
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return error

    config, run, features = tmp_path / "config.yaml", tmp_path / "run", tmp_path / "features"
    config.write_text("objective: {margn: 1.0}\n")
    assert "did you mean 'objective.margin'?" in fails("train", clips, "--out", run, "--config", config, code=2)
    assert "cannot be read" in fails("train", clips, "--out", run, "--config", tmp_path / "none.yaml", code=2)
    assert main(["train", str(clips), "--out", str(run), *SMALL]) == 0
    assert "resume continues it" in fails("train", clips, "--out", run, *SMALL)
    assert "encoder.json" in fails("extract", tmp_path, clips, "--out", features)
    assert main(["extract", str(run), str(clips), "--out", str(features), "--no-progress"]) == 0
    assert str(features) in fails("extract", run, clips, "--out", features)
    labels = tmp_path / "labels.csv"
    labels.write_text("video,label\nclass_0/no_such_clip.mp4,a\n")
    assert "no_such_clip" in fails("probe", features, "--labels", labels, "--out", tmp_path / "probe")
    assert fails("probe", tmp_path / "nothing", "--labels", "folder", "--out", tmp_path / "probe")
    assert not (tmp_path / "probe").exists()


def test_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, readers, and how fast it decodes and trains, as text and as JSON."""
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["readers"]["pyav"] == "found"
    assert report["decode_frames_per_second"] > 0
    assert report["training_frames_per_second"] > 0
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "torch" in said
    assert "600 steps in" in said
