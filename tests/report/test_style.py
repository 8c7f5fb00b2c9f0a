import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors, image
from matplotlib.figure import Figure

from skelray.report.figures import style

DATA = pd.DataFrame({"epoch": [1, 2, 3], "<b>$weak$</b>": [0.1, 0.25, 1 / 3], "强": [0.2, 0.3, 0.4]})


@style.in_style()
def drawn():
    figure, axes = style.empty_figure("epoch", "held-out top-1 (%)")
    for look, name in zip(style.series_styles(2), DATA.columns[1:], strict=True):
        axes.plot(DATA["epoch"], 100 * DATA[name], label=name, **look)
    axes.legend()
    return figure


def test_a_figure_is_kept_as_png_svg_and_the_numbers_it_shows(tmp_path):
    paths = style.save_figure("mine", "curves", drawn(), DATA, tmp_path)
    assert {path.name for path in paths} == {"curves.png", "curves.svg", "curves.csv"}
    assert {path.parent for path in paths} == {tmp_path / "figures" / "mine"}
    content = {path.suffix: path.read_bytes() for path in paths}
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(content[".csv"])), DATA)
    pixels = image.imread(io.BytesIO(content[".png"]), format="png")
    assert pixels.shape[:2] == (600, 960)
    assert (pixels[0, 0, :3] == 1).all()  # white paper
    text = content[".svg"].decode()
    assert "held-out top-1 (%)" in text
    assert "&lt;b&gt;$weak$&lt;/b&gt;" in text  # a label is shown as it is: neither markup nor mathematics
    assert "<b>" not in text


def test_the_same_numbers_make_the_same_bytes_whatever_the_users_settings_are(tmp_path):
    first = [path.read_bytes() for path in style.save_figure("a", "curves", drawn(), DATA, tmp_path)]
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "svg.fonttype": "path", "savefig.dpi": 50}):
        second = [path.read_bytes() for path in style.save_figure("b", "curves", drawn(), DATA, tmp_path)]
        assert matplotlib.rcParams["font.size"] == 20
    assert first == second


def lightness(colour):
    return float(np.dot(colors.to_rgb(colour), [0.2126, 0.7152, 0.0722]))


def test_series_differ_in_more_than_their_colour():
    looks = style.series_styles(28)
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == 28
    assert style.series_styles(30)[28] == looks[0]
    assert max(map(lightness, style.COLOURS)) < 0.7  # none is lost on white paper


def test_each_form_is_drawn_once_and_in_few_colours_however_many_there_are(tmp_path, monkeypatch):
    times = []
    draw = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda figure, renderer: times.append(1) or draw(figure, renderer))
    figure, axes = style.panels(1, 1)
    axes[0][0].imshow(np.random.default_rng(0).uniform(size=(90, 90, 3)))
    kept = next(path for path in style.save_figure("mine", "many", figure, DATA, tmp_path) if path.suffix == ".png")
    assert len(times) == 2
    assert figure.dpi == 100
    pixels = (255 * image.imread(kept)[..., :3]).round().astype(int)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 128
    assert (pixels[0, 0] == 255).all()


@pytest.mark.parametrize("name", ["../x", "a b"])
def test_a_figure_stays_in_its_folder(name, tmp_path):
    with pytest.raises(ValueError, match="letters, digits"):
        style.save_figure("mine", name, drawn(), DATA, tmp_path)
