"""The computations behind the report's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.reading_pages import read_page
from torch import nn

from seqff.config import EncoderConfig
from seqff.nets import build_encoder
from seqff.report.activations import Clip, middle, shown_layers, spread
from seqff.report.charts import Axes, nice_ticks, smooth, thin
from seqff.report.clip_map import COLORS, color_of
from seqff.report.cost import spent
from seqff.report.data import Probe, ReportData
from seqff.report.dynamics import self_similarity, slowness_words, step_share
from seqff.report.health import check_words, term_words
from seqff.report.html import Html, data_block, tag
from seqff.report.images import ImageStore
from seqff.report.learned import verdict
from seqff.report.mistakes import choose_wrong, confusion, mistakes
from seqff.report.projection import principal_axes, project
from seqff.report.visualization import choose_channels, filter_sheet, nearest
from seqff.transform import FrameTransform


def test_only_html_is_taken_as_html() -> None:
    """A plain string is escaped, in text and in attributes; odd characters become visible; JSON ends no script."""
    assert tag("p", "<b>", Html("<i></i>"), title='a"b') == '<p title="a&quot;b">&lt;b&gt;<i></i></p>'
    assert tag("p", "nul\x00 \udc80 \u202etxt") == "<p>nul\\u0000 \\udc80 \\u202etxt</p>"
    assert tag("p", "95\xa0% é 日本") == "<p>95\xa0% é 日本</p>"
    assert "</script><" not in data_block("x", ["</script><script>", "<!--"]).removesuffix("</script>")


def test_ticks_are_round_and_cover_the_values() -> None:
    """From below the lowest to above the highest value, in steps of 1, 2 or 5."""
    assert nice_ticks(0, 0.93) == pytest.approx([0, 0.5, 1.0])
    assert nice_ticks(0, 7) == [0, 2, 4, 6, 8]
    for low, high in ((0.0, 0.0), (0.0, 1e-7), (-3.2, 5.1), (0.0, 12345.0)):
        ticks = nice_ticks(low, high)
        assert ticks[0] <= low
        assert ticks[-1] >= high
        assert len(ticks) <= 7


def test_axes_put_values_where_they_belong() -> None:
    """Ends of the scales lie at the ends of the plane; y goes up; a scale of no length is no error."""
    axes = Axes((0, 10), (0, 1))
    assert axes.across(0) < axes.across(10)
    assert axes.up(0) > axes.up(1)
    assert Axes((1, 1), (0, 1)).across(1) > 0


def test_thinned_lines_keep_their_ends() -> None:
    """Long lines keep the first and the last point."""
    points = [(float(x), 0.0) for x in range(10_001)]
    kept = thin(points)
    assert len(kept) < 350
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_frames_are_chosen_within_the_video() -> None:
    """From the middle, or spread over all of it; never more than there are."""
    assert middle(100, 8).tolist() == list(range(46, 54))
    assert middle(3, 8).tolist() == [0, 1, 2]
    assert spread(100, 64).tolist() == list(range(0, 100, 2))
    assert spread(5, 64).tolist() == [0, 1, 2, 3, 4]
    assert shown_layers([f"layer{n}" for n in range(1, 51)])[::5] == ["layer1", "layer50"]


def test_a_descriptor_knows_motion() -> None:
    """Mean, deviation and mean |difference|: a clip that moves differs from one that stands by the last."""
    still, moving = np.zeros((4, 2), np.float32), np.array([[0, 0], [1, 1], [0, 0], [1, 1]], np.float32)
    blank = np.zeros((4, 1, 1, 3), np.uint8)
    clip = Clip("a", "a", np.arange(4), blank, pooled={"still": still, "moving": moving})
    assert clip.descriptor("still").tolist() == [0] * 6
    assert clip.descriptor("moving").tolist() == [0.5, 0.5, 0.5, 0.5, 1, 1]


def test_nearest_is_one_for_the_same_and_less_for_others() -> None:
    """The cosine of a frame with itself is 1 and the largest."""
    features = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    cosines = nearest(features, features)
    assert np.allclose(np.diag(cosines), 1, atol=1e-5)
    assert (cosines.argmax(axis=1) == np.arange(20)).all()


def test_channels_shown_differ_and_live() -> None:
    """The most varied channel comes first, its copy and dead ones are left out."""
    rng = np.random.default_rng(0)
    peaks = np.zeros((50, 6), np.float32)
    peaks[:, 1], peaks[:, 4] = 3 * rng.normal(size=50), rng.normal(size=50)
    peaks[:, 2] = 2 * peaks[:, 1] / 3
    assert choose_channels(peaks) == [1, 4]


def test_filters_are_drawn_one_tile_each() -> None:
    """A 3-channel filter keeps its colors; a first layer of one channel is drawn in gray."""
    config = EncoderConfig(widths=(9,), kernels=(5,), strides=(1,), pools=(1,))
    encoder = build_encoder(config, FrameTransform(16, 16))
    color = filter_sheet(encoder)
    encoder.layers[0] = nn.Conv2d(1, 9, 5)
    gray = filter_sheet(encoder)
    assert color is not None
    assert gray is not None
    assert color.shape == gray.shape == (2 * 6 + 1, 8 * 6 + 1, 3)
    assert (color[..., 0] != color[..., 2]).any()
    assert (gray[..., 0] == gray[..., 2]).all()


def test_slow_features_take_small_steps() -> None:
    """A line walked evenly takes small steps, the same places in a random order steps of 1; a still one 0."""
    line = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    assert step_share(line) < 0.01
    assert step_share(np.random.default_rng(0).permutation(line)) == pytest.approx(1, abs=0.3)
    assert step_share(np.zeros((5, 3), np.float32)) == 0


def test_repeating_motion_is_alike_after_a_period() -> None:
    """1 with itself and with the same phase, 0 for the farthest pair."""
    phase = np.arange(24) * 2 * np.pi / 8
    alike = self_similarity(np.stack([np.cos(phase), np.sin(phase)], axis=1).astype(np.float32))
    assert np.allclose(np.diag(alike), 1)
    assert np.allclose(alike[0, 8], 1, atol=1e-3)
    assert alike.min() == pytest.approx(0)
    assert alike[0, 4] < 0.01


def test_a_plane_is_laid_out_as_it_is() -> None:
    """Principal axes keep the distances of points that lie in a plane; constant features are no error."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 7))
    points, shares = principal_axes(plane)
    assert np.allclose(np.linalg.norm(points[:5, None] - points[5], axis=-1)[:, 0],
                       np.linalg.norm(plane[:5] - plane[5], axis=-1))  # fmt: skip
    assert sum(shares) == pytest.approx(1)
    flat, _ = project(np.ones((6, 3)), "pca", seed=0)
    assert np.isfinite(flat).all()


def test_colours_go_to_the_largest_groups() -> None:
    """More groups than colors: the rest share one."""
    groups = [f"class{number}" for number in range(COLORS + 3) for _ in range(20 - number)]
    colors = color_of(groups)
    assert sorted(set(colors.values())) == list(range(COLORS + 1))
    assert [name for name, color in colors.items() if color == COLORS] == ["class10", "class11", "class12"]


def test_time_goes_on_after_a_resumption() -> None:
    """The clock of metrics.jsonl starts anew when a run is resumed; seconds and frames are summed over both parts."""
    lines = [{"step": 10, "seconds": 5.0, "frames": 100}, {"step": 20, "seconds": 9.0, "frames": 100},
             {"step": 30, "seconds": 4.0, "frames": 100}]  # fmt: skip
    assert spent(lines) == (13.0, 3000.0, 30)


def test_the_verdict_rests_on_the_interval_of_the_difference() -> None:
    """Better than untrained is said of layers whose interval leaves out 0, and only of those."""

    def layer(name: str, low: float, high: float) -> dict[str, object]:
        return {"name": name, "accuracy": 0.6, "interval": [0.5, 0.7], "difference": {"interval": [low, high]}}

    sure, unsure, worse = layer("layer1", 0.1, 0.3), layer("layer2", -0.1, 0.4), layer("layer3", -0.3, -0.1)
    assert verdict({"layers": [sure, unsure], "majority": 0.1}).startswith("Yes: layer1 knows more")
    assert verdict({"layers": [unsure, worse], "majority": 0.1}).startswith("Not shown")
    assert "layer3 worse" in verdict({"layers": [unsure, worse], "majority": 0.1})
    alone = {**unsure, "difference": None}
    assert "no untrained net" in verdict({"layers": [alone], "majority": 0.1})


def test_a_smooth_line_is_a_running_mean() -> None:
    """Noise goes, a straight line and the steps stay, short lines are as they were."""
    line = [(float(x), 2.0 * x) for x in range(400)]
    smoothed, over = smooth(line)
    assert over == 27
    assert np.allclose(smoothed[13:-13], line[13:-13])
    noisy = [(float(x), (-1.0) ** x) for x in range(400)]
    assert max(abs(y) for _, y in smooth(noisy)[0][13:-13]) < 0.1
    assert smooth(line[:20]) == (line[:20], 1)
    assert smooth(line[:61])[1] == 5  # what a training of the least steps logs


def test_the_check_without_labels_in_words() -> None:
    """Each layer is named once, where its shown figures put it."""
    rows = [("layer1", "88%", "80%"), ("layer2", "50%", "50%"), ("layer3", "10%", "20%"), ("layer4", "", "")]
    words = check_words("nearer in time is more similar", rows)
    assert words == (
        "Nearer in time is more similar: more often than untrained in layer1; as often in layer2; less often in layer3."
    )
    assert check_words("x", [("layer1", "", "")]) == ""


def test_the_weights_of_terms_in_words() -> None:
    """Each term's weighted share of a layer's last loss; nothing where there is one term, or where terms are none."""
    last = {"layer1/temporal_hinge_loss": 0.2, "layer1/video_infonce_loss": 0.6, "layer2/temporal_hinge_loss": 0.1}
    lines = [{"step": 1, **dict.fromkeys(last, 9.0)}, {"step": 2, **last, "layer2/video_infonce_loss": 0.05}]

    def words(*terms: str) -> str:
        config = {"objective": {"terms": list(terms)}}
        return term_words(ReportData(Path(), config, {}, lines, None, None, None, [], {}))

    assert words("temporal_hinge", "video_infonce:1,2") == (
        "What each term adds to the loss at the end: temporal_hinge (weight 1) is 25% of layer1, 50% of layer2; "
        "video_infonce (weight 1) is 75% of layer1; video_infonce (weight 2) is 50% of layer2."
    )
    assert words("nonsense") == words() == ""


def test_what_is_said_of_slowness_is_true_of_its_figures() -> None:
    """A layer is called slower only if its figure is smaller, than that of pixels or than its own untrained."""
    shares = {"pixels": 20, "layer1": 20, "layer2": 30, "untrained/layer1": 25, "untrained/layer2": 30}
    words = slowness_words(shares, ["layer1", "layer2"], 2)
    assert words == "In the 2 videos followed, no layer is slower than pixels. Training made layer1 slower."
    words = slowness_words({**shares, "layer1": 8}, ["layer1", "layer2"], 1)
    assert "layer1 is slower than pixels: layer1 goes 8\xa0%" in words
    assert "layer2" not in words


def test_wrong_clips_are_chosen_for_every_layer() -> None:
    """Those that most layers get wrong come first; videos of several rows count by what is said of most."""
    said = {"a": "xx", "b": "yx", "c": "xy", "d": "yy"}
    answers = [
        {"video": video, "label": "x", "group": "", "fold": "1", "layer1": both[0], "layer2": both[1]}
        for video, both in said.items()
    ]
    answers += [{**answers[0], "layer1": "y"}, answers[0]]
    layers = [{"name": "layer1", "accuracy": 0.5}, {"name": "layer2", "accuracy": 0.6}]
    probe = Probe(Path(), "probe", {"layers": layers}, answers)
    assert probe.best_layer == "layer2"
    assert [one.video for one in choose_wrong(probe)] == ["d", "b", "c"]
    assert confusion(probe, "layer1", ["x", "y"]).tolist() == [[3, 3], [0, 0]]


def test_many_classes_are_a_picture_and_the_worst_of_them_a_table() -> None:
    """A matrix of 70 classes is drawn, and the ten that are all right are left out of the list, which says so."""
    answers = [
        {"video": f"{n}.mp4", "label": f"c{n:02d}", "group": "", "fold": "1", "layer1": f"c{n if n < 10 else 0:02d}"}
        for n in range(70)
    ]
    probe = Probe(Path(), "probe", {"layers": [{"name": "layer1", "accuracy": 0.1}]}, answers)
    data = ReportData(Path(), {}, {}, [], None, None, None, [probe], {})
    body = mistakes(data, None, ImageStore(1, 1), "no videos").body
    page = read_page(body)
    assert page.all("img")[0].attributes["alt"].startswith("confusions of layer1")
    assert "The 60 classes with the lowest accuracy, of 70." in page.by_id("figure-confusion").text
    rows = [element.text for element in page.all("tr")[1:]]
    assert len(rows) == 60
    assert rows[0] == "c100%0 of 1c00 (1)"
