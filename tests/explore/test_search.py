"""Similar moments are found in other videos, and moments can be named conveniently."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.reading_pages import read_page

import seqff
from seqff.cli import main
from seqff.errors import RunError
from seqff.features import FeatureStore, StoredVideo, write_store


def find(store: FeatureStore, like: str, **options: Any) -> Any:
    """Search without bars."""
    return seqff.search(store, like=like, progress=False, **options)


def test_hits_show_what_was_asked_for_in_other_videos(states: FeatureStore) -> None:
    """One hit a video, none of the video asked for or of its copy, and videos that show the state come first."""
    found = find(states, "a/one.avi@1.0")  # state x; a/two shows it from 2 to 4 s, b/one from 4 s, b/three at both ends
    videos = [hit.moment.video for hit in found.hits]
    assert sorted(videos) == ["a/two.avi", "b/one.avi", "b/three.avi"]
    assert all(hit.similarity > 0.9 for hit in found.hits)
    when = {hit.moment.video: hit.moment.start_seconds for hit in found.hits}
    assert 2 <= when["a/two.avi"] < 4 <= when["b/one.avi"]
    assert not 2 <= when["b/three.avi"] < 4
    assert found.typical < 0.5
    assert [hit.similarity for hit in found.hits] == sorted((hit.similarity for hit in found.hits), reverse=True)


def test_several_hits_of_a_video_lie_apart(states: FeatureStore) -> None:
    """No neighbors of one second, and never more of a video than asked for."""
    found = find(states, "a/one.avi@1.0", per_video=3, spacing=0.7, top=9)
    times: dict[str, list[float]] = {}
    for hit in found.hits:
        times.setdefault(hit.moment.video, []).append(hit.moment.start_seconds)
    assert len(found.hits) == 9
    assert all(len(starts) == 3 and np.diff(sorted(starts)).min() >= 0.7 for starts in times.values())


@pytest.mark.parametrize("center", ["all", "video", "none"])
def test_similarity_is_the_cosine_of_scaled_features(states: FeatureStore, center: str) -> None:
    """The same numbers as by a plain formula."""
    x, video = states.to_numpy("layer1").astype(np.float64), np.array(states.index.video)
    own = np.stack([x[video == name].mean(axis=0) for name in video])
    x -= {"all": x.mean(axis=0), "video": own, "none": np.zeros(8)}[center]
    x /= 1 if center == "none" else np.sqrt(np.square(x).mean(axis=0))
    for hit in find(states, "b/one.avi@0.5", center=center, layer="layer1").hits:
        a, b = x[(video == "b/one.avi").argmax() + 5], x[hit.moment.row]
        assert hit.similarity == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


def test_without_centering_all_moments_are_alike(make_states: Callable[..., FeatureStore]) -> None:
    """What all features share hides in what they differ; that is why it is taken away."""
    store = make_states(shared=100.0)
    assert find(store, "a/one.avi@1.0", center="none").typical > 0.99
    assert find(store, "a/one.avi@1.0").typical < 0.5


def test_whole_videos_are_found_by_their_name(make_states: Callable[..., FeatureStore]) -> None:
    """A store with a row a video takes no time, and its hits are videos."""
    store = make_states(per="video")
    found = find(store, "two.avi")
    assert found.query.video == "a/two.avi"
    assert len(found.hits) == 3  # the copy is no video of its own
    assert found.hits[0].moment.stop_seconds is None
    with pytest.raises(ValueError, match="whole videos"):
        find(store, "two.avi@1.0")
    with pytest.raises(ValueError, match="center"):
        find(store, "two.avi", center="video")


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ("one.avi@1", "a/one.avi, b/one.avi; write more of the path"),
        ("a/oen.avi@1", "did you mean a/one.avi"),
        ("THREE@1", "did you mean b/three.avi"),
        ("qqqqqqq@1", "it has a/one.avi, a/two.avi"),
        ("three.avi", "write VIDEO@SECONDS, such as b/three.avi@1.5"),
        ("three.avi@soon", "no video 'three.avi@soon'"),
        ("three.avi@6.5", "from 0.00 s to 6.00 s, none at 6.5 s"),
        ("three.avi@-1", "none at -1 s"),
        ("@1", "no video '@1'"),
    ],
)
def test_what_names_no_moment_gets_candidates(states: FeatureStore, like: str, words: str) -> None:
    """Ambiguous and unknown names name videos; times say which there are."""
    with pytest.raises(ValueError, match="avi") as caught:
        find(states, like)
    assert words in str(caught.value)


def test_a_video_may_have_the_sign_in_its_name(tmp_path: Path) -> None:
    """Of a name with @ the last one is before the seconds; where rows are videos it is part of the name."""
    videos = [StoredVideo(name, name, 1) for name in ("x@2.avi", "x@3", "y.avi")]
    store = write_store(tmp_path / "s", {"layer1": np.random.default_rng(0).normal(size=(3, 4))}, videos=videos)
    assert find(store, "x@3").query.video == "x@3"
    assert find(store, "@2.avi").query.video == "x@2.avi"


def test_clips_are_found_by_a_time_within(by_clip: FeatureStore) -> None:
    """The clip around the time is taken, and hits say when they begin and end."""
    found = find(by_clip, "subject0_0.mp4@0.25", layer=0)
    moment = found.query
    assert moment.stop_seconds is not None
    assert moment.start_seconds <= 0.25 <= moment.stop_seconds
    rate = by_clip.index.time_seconds[1] / 2  # a clip every 2 frames
    assert moment.stop_seconds - moment.start_seconds == pytest.approx(4 * rate, rel=0.01)
    assert found.layer == "layer1"


def test_the_page_shows_the_frames(by_frame: FeatureStore, by_clip: FeatureStore, tmp_path: Path) -> None:
    """Every hit has its frames, read by the run's manifest; clips can be played."""
    for store, film in ((by_frame, 0), (by_clip, 6)):
        file = tmp_path / f"{store.per}.html"
        found = find(store, "subject0_0.mp4@0.2", top=5, out=file)
        assert found.path == file
        page = read_page(file.read_text(encoding="utf-8"))
        assert sum(element.attributes.get("class") == "frame" for element in page.elements) == 6
        assert sum(element.attributes.get("class") == "player" for element in page.elements) == film
        assert not [element for element in page.elements if element.attributes.get("class") == "absent"]
        assert all(hit.moment.video in page.by_id("table-hits").text for hit in found.hits)


def test_the_page_says_when_videos_are_not_at_hand(states: FeatureStore, tmp_path: Path, clips: Path) -> None:
    """Without a run, and where other videos lie, it says so instead of a picture."""
    for number, videos in enumerate([None, clips]):
        file = tmp_path / f"{number}.html"
        find(states, "a/one.avi@1", out=file, videos=videos)
        page = read_page(file.read_text(encoding="utf-8"))
        absent = [element.text for element in page.elements if element.attributes.get("class") == "absent"]
        assert len(absent) == 4
        assert all("--videos FOLDER" in text for text in absent)


def test_names_are_text(tmp_path: Path) -> None:
    """A page cannot be broken by what a video is called."""
    names = ["<script>alert(1)</script>.avi", '"><img src=x>.avi', "plain.avi"]
    videos = [StoredVideo(name, name, 1) for name in names]
    store = write_store(tmp_path / "s", {"layer1": np.random.default_rng(0).normal(size=(3, 4))}, videos=videos)
    find(store, names[0], out=tmp_path / "page.html")
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(page.all("script")) == 1
    assert not page.all("img")


def test_features_that_say_nothing_are_named(states: FeatureStore, tmp_path: Path) -> None:
    """A layer that has collapsed, values that are not finite, a single video, a file in the way."""
    with pytest.raises(RunError, match=r"says of a/one\.avi@1\.00 what it says of all rows on average"):
        find(states, "a/one.avi@1", layer="pixels")
    with pytest.raises(ValueError, match="did you mean 'layer2'"):
        find(states, "a/one.avi@1", layer="leyer2")
    videos = [StoredVideo("a.avi", "a", 1), StoredVideo("b.avi", "b", 1)]
    bad = write_store(tmp_path / "bad", {"layer1": np.array([[1.0, 2.0], [np.nan, 1.0]])}, videos=videos)
    with pytest.raises(RunError, match=r"not finite at b\.avi"):
        find(bad, "a.avi")
    alone = write_store(tmp_path / "alone", {"layer1": np.ones((1, 2))}, videos=videos[:1])
    with pytest.raises(RunError, match=r"no video other than a\.avi"):
        find(alone, "a.avi", center="none")
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(RunError, match="exists"):
        find(states, "a/one.avi@1", out=tmp_path / "page.html")
    with pytest.raises(ValueError, match=r"must end with one of \.html"):
        find(states, "a/one.avi@1", out=tmp_path / "page.pdf")


def test_the_command(states: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table, JSON, and a CSV file that say the same; a wrong name is one line."""
    given = ["search", str(states.path), "--like", "three.avi@0.5", "--top", "2", "--no-progress"]
    assert main([*given, "--layer", "0", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["layer"] == "layer1"
    assert main([*given, "--layer", "layer1", "--out", str(tmp_path / "hits.csv")]) == 0
    text = capsys.readouterr().out
    with (tmp_path / "hits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == [hit["video"] for hit in printed["hits"]]
    assert all(row["video"] in text for row in rows)
    assert main(["search", str(states.path), "--like", "one.avi@1"]) == 2
    assert "write more of the path" in capsys.readouterr().err
