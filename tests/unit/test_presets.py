"""What ships: the base, its styles and their thumbnails."""

from io import BytesIO

import pytest
from PIL import Image

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import SHIPPED_BASE, load_base
from metastyle_core.cli.demo import ARTWORK
from metastyle_core.encoder import load_encoder
from metastyle_core.errors import SettingsError
from metastyle_core.images import load_image
from metastyle_core.losses import LossSettings
from metastyle_core.measures import measure
from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.style import check_style
from metastyle_core.stylization import stylize
from metastyle_core.thumbnails import SCENE


@pytest.fixture(scope="module")
def base():
    return load_base()


def test_the_shipped_base_has_a_predictor_and_says_how_it_was_made(base):
    assert base.predictor is not None
    assert base.training["updates"]
    assert SHIPPED_BASE.stat().st_size < 8_000_000


def test_at_least_thirty_styles_ship():
    assert len(preset_paths()) >= 30


@pytest.mark.parametrize("name", preset_paths())
def test_every_shipped_style_fits_the_base_is_small_and_has_a_thumbnail(base, name):
    style = load_preset(name)
    check_style(style, base)
    assert preset_paths()[name].stat().st_size <= 68_000
    assert style.statistics is not None, "it can be refined without its painting"
    with Image.open(BytesIO(style.thumbnail or b"")) as picture:
        assert picture.size == (192, 192)
    assert style.name != name, "it has a title, not a file name"


def test_an_unknown_preset_is_refused_with_the_list():
    with pytest.raises(SettingsError) as caught:
        load_preset("nobody_anything")
    assert "nobody_anything" in str(caught.value)
    assert next(iter(preset_paths())) in str(caught.value)


def test_a_heavier_style_weight_gives_up_content_for_style(base):
    """The predictor is told the weight; between light and heavy both losses must move."""
    encoder = load_encoder("compact")
    painting, scene = (load_image(path).pixels[None] for path in (ARTWORK, SCENE))
    scores = []
    for weight in (1.0, 40.0):
        settings = AdaptationSettings(steps=0, loss=LossSettings(style_weight=weight))
        style = adapt_to_style(base, None, [painting], settings=settings)
        stylized = stylize(base, style, scene, precision="fp32")
        scores.append(measure(encoder, stylized, scene, painting))
    light, heavy = scores
    assert heavy["style"] < 0.7 * light["style"]
    assert heavy["content"] > 1.3 * light["content"]


@pytest.mark.parametrize(
    "name",
    ["bosch_garden_of_earthly_delights", "monet_impression_sunrise", "van_gogh_cafe_terrace"],
)
def test_no_rim_of_dots_runs_along_the_border(base, name):
    """The two outermost pixels change, along the border, no more than what lies inside."""
    scene = load_image(SCENE).pixels[None]
    picture = stylize(base, load_preset(name), scene, precision="fp32")
    rim, inside = 0.0, 0.0
    for _ in range(4):
        rim += float(picture[..., :2, :].diff(n=2).abs().mean())
        inside += float(picture[..., 8:32, :].diff(n=2).abs().mean())
        picture = picture.rot90(dims=(-2, -1))
    assert rim < 1.4 * inside
