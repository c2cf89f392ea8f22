"""The report reflects the files, is self-contained, and treats names as text."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.hostile import BROKEN, HOSTILE_FILE, HOSTILE_FOLDER, HOSTILE_LABEL, STEPS, Made
from helpers.reading_pages import Page, read_page

from seqff.cli import main
from seqff.config_io import load_config
from seqff.errors import RunError, SeqffError
from seqff.files import read_csv
from seqff.report import report
from seqff.video import Manifest

SECTIONS = ["learned", "mistakes", "health", "visualization", "dynamics", "map", "inputs", "cost", "reproduce"]
FIGURES = [
    "figure-probe", "figure-confusion", "figure-wrong",
    "figure-loss", "figure-within", "figure-rank", "figure-dead", "figure-distances",
    "figure-filters", "figure-channels", "figure-neighbors", "figure-trajectory", "figure-similarity", "figure-map",
    "figure-videos", "figure-cost", "figure-settings",
]  # fmt: skip
POINTS_ELSEWHERE = ("href", "src", "xlink:href", "action", "data", "srcset", "poster", "background")


@pytest.fixture(scope="module")
def page(made: Made) -> Page:
    """The page, parsed."""
    return read_page(made.page.read_text(encoding="utf-8"))


def copy_run(made: Made, tmp_path: Path) -> Path:
    """A copy of the run that may be changed."""
    return Path(shutil.copytree(made.run, tmp_path / "run"))


def write(run: Path, tmp_path: Path, **options: object) -> Page:
    """Write a page on the CPU and parse it."""
    done = report(run, out=tmp_path / "page.html", device="cpu", progress=False, **options)  # type: ignore[arg-type]
    return read_page(done.path.read_text(encoding="utf-8"))


def test_every_question_is_answered_in_order(page: Page) -> None:
    """All sections stand in their order, every figure once, and none is empty."""
    assert [element.attributes["id"] for element in page.all("section")] == SECTIONS
    assert [element.attributes["id"] for element in page.all("figure")] == FIGURES
    assert not [element for element in page.elements if element.attributes.get("class") == "absent"]
    assert all(element.text.strip() for element in page.all("figcaption"))


def test_nothing_comes_from_outside(made: Made, page: Page) -> None:
    """Every address is data: or a place in the page, in attributes and in styles."""
    for element in page.elements:
        for name in POINTS_ELSEWHERE:
            assert element.attributes.get(name, "#").startswith(("#", "data:")), element
        assert "url(" not in element.attributes.get("style", "")
    code = "".join(element.text for element in page.all("style") + page.all("script"))
    assert not [word for word in ("http:", "https:", "url(", "@import", "fetch(", "XMLHttp", "import(") if word in code]
    assert made.page.stat().st_size < 1_000_000


def test_hostile_names_stay_text(page: Page) -> None:
    """Names of files, folders and labels make no element and no attribute, and can be read as they are."""
    assert len(page.all("script")) == 2
    assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]
    assert all(element.attributes["src"].startswith("data:") for element in page.all("img"))
    for name in (HOSTILE_FILE, HOSTILE_FOLDER, BROKEN):
        assert name in page.by_id("inputs").text
    assert HOSTILE_LABEL in page.by_id("figure-map").text


def test_every_dot_has_its_frame_and_its_video(page: Page) -> None:
    """Each map has a dot for each usable video, and what is shown beside a dot is that video's frame and name."""
    clips = json.loads(page.by_id("clips").text)
    assert len(clips) == 10
    assert f"{HOSTILE_FOLDER}/{HOSTILE_FILE}" in {clip["video"] for clip in clips}
    dots = [element.attributes["data-clip"] for element in page.elements if "data-clip" in element.attributes]
    assert sorted(dots) == sorted([str(number) for number in range(10)] * 3)  # layer1, layer2, pixels
    frames = [page.by_id(f"frame{clip['frame']}").attributes["href"] for clip in clips]
    assert len(set(frames)) == 10
    assert all(base64.b64decode(frame.removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8" for frame in frames)


def test_accuracies_are_those_of_the_result(made: Made, page: Page) -> None:
    """The table has each layer's accuracy with its interval, untrained and pixels too."""
    result = json.loads((made.probe / "results.json").read_text())
    text = page.by_id("learned").text
    for entry in [*result["layers"], *(layer["untrained"] for layer in result["layers"]), result["pixels"]]:
        low, high = entry["interval"]
        assert f"{entry['accuracy']:.3f} [{low:.3f}, {high:.3f}]" in text


def test_bad_files_are_named_with_their_reasons(made: Made, page: Page) -> None:
    """What could not be used is in a table of its own, with the cause the scan found."""
    (bad,) = Manifest.load(made.manifest).bad
    text = page.by_id("table-bad").text
    assert BROKEN in text
    assert bad.cause in text
    assert "clip 1.mp4" not in text


def test_settings_on_the_page_can_be_trained_with(made: Made, page: Page, tmp_path: Path) -> None:
    """The file offered is what --config takes, and holds the run's settings; the seed is in the command."""
    (link,) = [element for element in page.all("a") if element.attributes.get("download")]
    saved = tmp_path / "settings.yaml"
    saved.write_bytes(base64.b64decode(link.attributes["href"].partition(",")[2]))
    config = load_config(saved)
    assert config.steps == STEPS
    assert config.encoder.widths == (4, 6)
    assert "--config settings.yaml --seed 3" in page.by_id("command").text


def test_the_same_run_gives_the_same_page(made: Made, tmp_path: Path) -> None:
    """To the byte; and t-SNE gives another map."""
    again, other = tmp_path / "again.html", tmp_path / "tsne.html"
    for out, projection in ((again, "pca"), (other, "tsne")):
        report(made.run, [made.probe], out=out, follow=2, device="cpu", progress=False, projection=projection)
    assert again.read_bytes() == made.page.read_bytes()
    assert "t-SNE, perplexity 3" in read_page(other.read_text()).by_id("figure-map").text


def test_videos_that_have_gone_are_said_to_have(made: Made, tmp_path: Path) -> None:
    """Without its videos and a probe the page still has every section, and says what is missing and why."""
    run = copy_run(made, tmp_path)
    manifest = Manifest.load(run / "manifest.sqlite")
    replace(manifest, root=tmp_path / "elsewhere").save(run / "manifest.sqlite")
    page = write(run, tmp_path)
    assert [element.attributes["id"] for element in page.all("section")] == SECTIONS
    assert [element.attributes["id"] for element in page.all("figure")] == FIGURES
    assert "None of the 10 videos" in page.by_id("figure-map").text
    assert "elsewhere" in page.by_id("figure-map").text
    assert "No probe was given" in page.by_id("figure-probe").text
    found = write(run, tmp_path, videos=made.videos, overwrite=True)
    assert len(json.loads(found.by_id("clips").text)) == 10


def test_a_damaged_run_gives_what_is_left(made: Made, tmp_path: Path) -> None:
    """No encoder, manifest, metrics or versions: said in their places."""
    run = copy_run(made, tmp_path)
    for name in ("encoder.safetensors", "manifest.sqlite", "metrics.jsonl", "env.json"):
        (run / name).unlink()
    page = write(run, tmp_path)
    assert [element.attributes["id"] for element in page.all("section")] == SECTIONS
    for id_, words in {
        "figure-channels": "no encoder.safetensors",
        "figure-loss": "metrics.jsonl",
        "figure-videos": "manifest.sqlite",
        "reproduce": "env.json is absent",
    }.items():
        assert words in page.by_id(id_).text, id_


def test_alarms_stand_first_in_words(made: Made, tmp_path: Path) -> None:
    """What the training warned of is on the page with its step; without alarms it says so."""
    run = copy_run(made, tmp_path)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert "No alarm was raised in 4 steps" in write(run, tmp_path, most_videos=0).by_id("health").text
    lines[2]["alarms"] = ["layer2 maps everything to one point <b>"]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write(run, tmp_path, most_videos=0, overwrite=True).by_id("health").text
    assert "Step 3: layer2 maps everything to one point <b>" in text


def test_the_check_without_labels_is_told(made: Made, tmp_path: Path) -> None:
    """Both figures beside those of the untrained net, as the last line has them; nothing where there was no check."""
    run = copy_run(made, tmp_path)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines[-1] |= {"layer1/retrieval": 0.875, "layer1/untrained_retrieval": 0.25, "layer1/time_order": 0.625}
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write(run, tmp_path, most_videos=0).by_id("health").text
    assert "Without labels" in text
    assert "The most similar frame is of the same video: more often than untrained in layer1" in text
    assert all(share in text for share in ("88%", "25%", "62%"))
    bare = [
        {name: value for name, value in line.items() if not name.endswith(("retrieval", "time_order"))}
        for line in lines
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in bare))
    assert "Without labels" not in write(run, tmp_path, most_videos=0, overwrite=True).by_id("health").text


def test_a_probe_of_another_encoder_is_refused_unless_asked_for(made: Made, tmp_path: Path) -> None:
    """Accuracies of another run are not passed off as this one's; of an evaluation's folds the run must be one."""
    probe = Path(shutil.copytree(made.probe, tmp_path / "probe"))
    result = json.loads((probe / "results.json").read_text())
    own = result["encoder_hash"]
    for hashes in ("feedfeedfeedfeed", ["feedfeedfeedfeed", "feedfeedfeedfee0"]):
        (probe / "results.json").write_text(json.dumps({**result, "encoder_hash": hashes}))
        with pytest.raises(RunError, match=r"this probe is of another encoder .*--other-encoder"):
            write(made.run, tmp_path, probes=[made.probe, probe], most_videos=0)
    page = write(made.run, tmp_path, probes=[made.probe, probe], most_videos=0, other_encoder=True)
    assert page.by_id("learned").text.count("Careful: this probe is of another encoder") == 1
    assert page.by_id("figure-probe-2")
    (probe / "results.json").write_text(json.dumps({**result, "encoder_hash": ["feedfeedfeedfeed", own]}))
    page = write(made.run, tmp_path, probes=[tmp_path], most_videos=0, overwrite=True)  # a folder of folders of results
    assert "this run is one of the folds" in page.by_id("learned").text


def test_confusions_and_wrong_clips_are_those_of_the_predictions(made: Made, page: Page) -> None:
    """Every array's counts are those of predictions.csv, the best layer's are shown, its wrong clips with frames."""
    rows = read_csv(made.probe / "predictions.csv")
    arrays = [name for name in rows[0] if name not in ("video", "label", "group", "fold")]
    result = json.loads((made.probe / "results.json").read_text())
    best = max(result["layers"], key=lambda layer: layer["accuracy"])["name"]
    panels = [element for element in page.elements if "data-array" in element.attributes and element.name == "div"]
    for name, panel in zip(arrays, panels, strict=True):
        right = sum(row["label"] == row[name] for row in rows)
        assert f"{name}: {right} of {len(rows)} right" in panel.text
        assert ("hidden" not in panel.attributes) == (name == best)
    cards = {element.text: element.attributes for element in page.all("article")}
    shown = [text for text, attributes in cards.items() if "hidden" not in attributes]
    wrong = [row for row in rows if row["label"] != row[best]]
    assert len(shown) == len(wrong)
    for row in wrong:
        assert [text for text in shown if f"true: {row['label']}" in text and f"{best} says {row[best]}" in text]
    players = [
        element.attributes["data-frames"].split() for element in page.elements if "data-frames" in element.attributes
    ]
    assert all(page.by_id(f"frame{number}") for frames in players for number in frames)


def test_the_commands_of_the_page_make_it_again(made: Made, page: Page, tmp_path: Path) -> None:
    """Put into a shell as they stand, they give the same encoder and the same accuracies."""
    (link,) = [element for element in page.all("a") if element.attributes.get("download")]
    settings = tmp_path / "settings.yaml"
    settings.write_bytes(base64.b64decode(link.attributes["href"].partition(",")[2]))
    places = {name: str(tmp_path / name) for name in ("RUN", "FEATURES", "PROBE", "page.html", "settings.yaml")}
    for line in page.by_id("command").text.splitlines():
        assert main([places.get(word, word) for word in shlex.split(line)[1:]]) == 0, line
    for name in ("encoder.safetensors", "encoder_untrained.safetensors"):
        assert (tmp_path / "RUN" / name).read_bytes() == (made.run / name).read_bytes()
    assert (tmp_path / "PROBE" / "predictions.csv").read_bytes() == (made.probe / "predictions.csv").read_bytes()


def test_options_of_extraction_and_probe_are_in_the_commands(made: Made, tmp_path: Path) -> None:
    """What was asked of a probe is stored with it and printed so that a shell reads it as it was."""
    probe = Path(shutil.copytree(made.probe, tmp_path / "probe"))
    result = json.loads((probe / "results.json").read_text())
    assert result["arguments"]["folds"] == 2
    assert result["extraction"]["per"] == "video"
    groups = "(?P<group>[a-z]+)_ it's"
    result["arguments"] |= {"groups": groups, "column": "a label", "labels": "given in Python"}
    result["extraction"] |= {"per": "clip", "clip_frames": 12}
    (probe / "results.json").write_text(json.dumps(result))
    lines = write(made.run, tmp_path, probes=[probe], most_videos=0).by_id("command").text.splitlines()
    extracted, probed, written = (shlex.split(line) for line in lines[1:])
    assert extracted[extracted.index("--per") + 1] == "clip"
    assert extracted[extracted.index("--clip-frames") + 1] == "12"
    assert probed[probed.index("--groups") + 1] == groups
    assert probed[probed.index("--columns") + 1] == "a label"
    assert probed[probed.index("--labels") + 1] == str(probe / "predictions.csv")
    assert written[2:5] == ["RUN", "PROBE/a label", "--out"]


def test_a_probe_of_a_network_beside_the_run_names_it(made: Made, tmp_path: Path) -> None:
    """The page says of which network and weights it is, and its features are made again from videos alone."""
    probe = Path(shutil.copytree(made.probe, tmp_path / "probe"))
    result = json.loads((probe / "results.json").read_text())
    result["encoder_hash"] = "0123456789abcdef"
    result["extraction"]["network"] = {"name": "resnet18", "weights": "my nets/r.pth", "size_px": 64}
    (probe / "results.json").write_text(json.dumps(result))
    page = write(made.run, tmp_path, probes=[probe], most_videos=0, other_encoder=True)
    said = page.by_id("learned").text
    assert "this probe is of another encoder (resnet18, my nets/r.pth) than that of this run" in said
    extracted = shlex.split(page.by_id("command").text.splitlines()[1])
    assert extracted[:2] == ["seqff", "extract"]
    assert extracted[3].startswith("--")
    named = {flag: extracted[extracted.index(flag) + 1] for flag in extracted if flag.startswith("--encoder.")}
    assert named == {
        "--encoder.name": "resnet18", "--encoder.weights": "my nets/r.pth", "--encoder.size-px": "64"
    }  # fmt: skip


def test_a_fold_of_an_evaluation_is_made_again_by_evaluate(made: Made, tmp_path: Path) -> None:
    """The command is that of the whole evaluation, with its own settings, and the page is of the same fold."""
    home = tmp_path / "an evaluation"
    run = shutil.copytree(made.run, home / "seed7" / "fold1" / "run")
    probe = shutil.copytree(made.probe, home / "seed7" / "probe")
    shutil.copy(made.manifest, home / "manifest.json")
    asked = {"per": "video", "grid": 2, "every": 1, "config": {"steps": 77}}
    (home / "evaluate.json").write_text(json.dumps(asked))
    page = write(Path(run), tmp_path, probes=[probe], most_videos=0)
    evaluated, written = (shlex.split(line) for line in page.by_id("command").text.splitlines())
    assert evaluated[:3] == ["seqff", "evaluate", str(home / "manifest.json")]
    assert evaluated[evaluated.index("--seeds") + 1] == "7"
    assert evaluated[evaluated.index("--max-bad") + 1] == "0.1"
    assert written[:4] == ["seqff", "report", "EVALUATION/seed7/fold1/run", "EVALUATION/seed7/probe"]
    assert "steps: 77" in page.by_id("figure-settings").text


def test_the_page_says_when_where_and_with_what(made: Made, page: Page) -> None:
    """Date, machine and versions of the training stand in the head."""
    known = json.loads((made.run / "env.json").read_text())
    head = page.all("header")[0].text
    assert f"trained {known['date']}" in head
    assert known["machine"] in head
    assert f"torch {known['torch']}" in head


def test_what_cannot_be_written_is_refused_in_one_line(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that is there, a folder that is no run, one without a result, another kind of file."""
    with pytest.raises(RunError, match="exists; overwrite"):
        report(made.run, out=made.page)
    with pytest.raises(RunError, match=r"no config\.yaml"):
        report(tmp_path, out=tmp_path / "page.html")
    with pytest.raises(RunError, match=r"no results\.json"):
        report(made.run, [made.run], out=tmp_path / "page.html")
    with pytest.raises(ValueError, match=r"must end with one of \.html"):
        report(made.run, out=tmp_path / "page.pdf")
    assert main(["report", str(made.run), "--out", str(made.page)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_writes_the_page(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`seqff report RUN PROBE --out page.html --json` says where it is, how large, and what it lacks."""
    out = tmp_path / "page.html"
    assert main(["report", str(made.run), str(made.probe), "--out", str(out), "--most-videos", "0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == out.stat().st_size
    assert said["absent"] == ["No videos were to be looked at (most_videos = 0)."]


def test_the_function_has_the_name_though_its_module_is_imported() -> None:
    """`seqff.report` is the function, before and after `seqff.report.page` is imported; so is doctor."""
    code = (
        "import sys, seqff.doctor, seqff.report.page; sys.exit(not (callable(seqff.report) and callable(seqff.doctor)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_umap_is_asked_for_before_any_work(made: Made, tmp_path: Path) -> None:
    """Without umap-learn the error says what to install."""
    try:
        import umap  # noqa: F401
    except ImportError:
        with pytest.raises(SeqffError, match="pip install umap-learn"):
            report(made.run, out=tmp_path / "page.html", projection="umap")
    else:
        pytest.skip("umap-learn is installed")
