"""Large pictures by their rows: the drawing of the whole, in strips, in memory or in files."""

import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core import drawing, tiling
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.colour import Colouring
from metastyle_core.drawing import USUAL_SUPERSAMPLING
from metastyle_core.errors import ResultError
from metastyle_core.film.drawing import FilmDrawing
from metastyle_core.network import StylizationNetwork, noted_statistics, stylize_with
from metastyle_core.rows import (
    Plane,
    Rows,
    bordered_rows,
    gathered,
    resampled,
    rows_of,
    strips_of,
)
from metastyle_core.stylization import stylize
from metastyle_core.tiling import (
    Strips,
    draw_in_strips,
    needed_bytes,
    rows_of_strip,
    strip_bytes,
)

WHOLE = Strips(above_px=1_000_000)
CUT = Strips(above_px=0, strip_px=8 * 47)
TWO_LEVELS = 2 / 255


@pytest.fixture(scope="module")
def styles(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return [
        adapt_to_style(random_base, None, [picture(64, 64, seed=s)], settings=settings)
        for s in range(2)
    ]


def noisy(height, width, channels=3, seed=0, count=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, width, generator=generator)


def alpha_with_holes(count=1):
    alpha = (noisy(61, 47, 1, 3, count) * 1.5 - 0.5).clamp(0, 1)
    alpha[..., :30, :20] = 0
    return alpha


@pytest.mark.parametrize("seamless", ["none", "x", "y", "both"])
@pytest.mark.parametrize("size", [(61, 47), (96, 24), (16, 130)])
@pytest.mark.parametrize("in_files", [False, True])
def test_the_network_draws_in_strips_what_it_draws_whole(tmp_path, seamless, size, in_files):
    torch.manual_seed(0)
    network = StylizationNetwork(channels=4, blocks=2).double().requires_grad_(False)
    height, width = size if seamless == "none" else (side // 4 * 4 for side in size)
    image = noisy(height, width).double()
    strips = Strips(strip_px=8 * width, folder=tmp_path if in_files else None)
    parts = list(draw_in_strips(network, {}, rows_of(image), width, strips, seamless=seamless))
    assert [first for first, _ in parts] == [first for first, _ in strips_of(height, 8)]
    drawn = torch.cat([part for _, part in parts], dim=2)
    torch.testing.assert_close(drawn.double(), network(image, seamless), rtol=0, atol=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_a_megapixel_is_drawn_whole_and_larger_ones_are_not_on_the_cpu():
    drawn = round(1024 * USUAL_SUPERSAMPLING) ** 2
    most = Strips().most_whole(torch.device("cpu"))
    assert drawn <= most < 2 * drawn
    assert Strips().most_whole(torch.device("cuda")) == 16 * drawn
    assert Strips(above_px=7).most_whole(torch.device("cuda")) == 7


def test_strips_have_whole_fours_of_rows_and_what_they_take_is_told():
    assert [rows_of_strip(width, 1200) for width in (100, 80, 109, 1000)] == [12, 12, 8, 8]
    assert strip_bytes(100, 1200) == 12 * 100 * 1200
    assert needed_bytes(84, 184) == 80 * 100 * 200


def test_every_pass_has_as_many_strips_as_its_map_and_its_stride_ask_for():
    """Ten passes over a picture of 32 rows, 48 with its margins, in strips of 8 at its size."""
    told = []
    network = StylizationNetwork(channels=4, blocks=1).requires_grad_(False)
    strips = Strips(strip_px=8 * 44, on_strip=told.append)
    list(draw_in_strips(network, {}, rows_of(noisy(32, 44)), 44, strips))
    ends = [10 * share for share in told]
    counts = [sum(i < end < i + 1.001 for end in ends) for i in range(10)]
    assert counts == [6, 6, 6, 2, 2, 2, 2, 3, 6, 4]


def test_layers_read_no_more_rows_than_they_need():
    network, read = StylizationNetwork(channels=4, blocks=1).requires_grad_(False), []

    def noted(channels, first, last):
        read.append((first, last))
        return torch.zeros(1, channels, last - first, 12)

    run = tiling._Run(network, 12, Strips(), "none")
    for layer, channels in (
        (network.residual[0].first.convolution, 16),
        (network.decoder[0].convolution, 16),
        (network.output, 4),
    ):
        drawn = run.convolved(layer, Rows(32, partial(noted, channels))).read(5, 7)
        assert drawn.shape[2] == 2
    # A border of one row; rows 4 to 8 at twice the height and one more; and of four, in pairs.
    assert read == [(4, 8), (1, 5), (0, 12)]
    assert run._with_margins(rows_of(noisy(32, 12))).read(3, 9).shape == (1, 3, 6, 28)


def test_a_stretch_of_rows_grows_to_whole_groups():
    assert tiling._grouped(5, 7, 4) == (4, 8)
    assert tiling._grouped(4, 8, 4) == (4, 8)


def test_a_network_of_other_parts_is_told():
    with pytest.raises(TypeError, match=r"^A ReLU stands where a Conv2d should\.$"):
        tiling._of_kind(torch.nn.ReLU(), torch.nn.Conv2d)


def test_both_maps_that_are_kept_lie_in_the_folder(tmp_path, monkeypatch):
    folders = []

    def noted(height, folder):
        folders.append(folder)
        return Plane(height, folder)

    monkeypatch.setattr(tiling, "Plane", noted)
    network = StylizationNetwork(channels=4, blocks=1).requires_grad_(False)
    for folder in (tmp_path, None):
        list(draw_in_strips(network, {}, rows_of(noisy(32, 44)), 44, replace(CUT, folder=folder)))
    assert folders == [tmp_path, tmp_path, None, None]


def test_statistics_that_are_given_are_kept_to():
    torch.manual_seed(1)
    network = StylizationNetwork(channels=4, blocks=1).requires_grad_(False)
    with noted_statistics(network) as statistics:
        network(noisy(40, 40, seed=9) ** 3)
    image = noisy(61, 47)
    wanted = stylize_with(network, {}, image, statistics)
    parts = draw_in_strips(network, {}, rows_of(image), 47, CUT, statistics=statistics)
    drawn = torch.cat([part for _, part in parts], dim=2)
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-5)
    assert (network(image) - wanted).abs().max() > TWO_LEVELS


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strength": 0.5},
        {"strength": 0.0},
        {"grain": 0.7, "seed": 4},
        {"abstraction": 0.8, "grain": 0.5, "strength": 0.6},
        {"seamless": "both"},
        {"seamless": "x", "grain": 1.0},
        {"mask": noisy(61, 47, 1, 5)},
        {"mask": noisy(61, 47, 1, 6, count=2), "strength": 0.7},
        {"alpha": alpha_with_holes(2)},
        {"colouring": Colouring("photograph", 0.8)},
        {"colouring": Colouring("match", 0.9, noisy(20, 20, seed=8) ** 2)},
        {"colouring": Colouring("match", 1.0, noisy(20, 20) ** 2), "alpha": alpha_with_holes(2)},
        {"brush": 2.0},
        {"brush": 0.5},
        {"brush": 4.0, "seamless": "both", "grain": 0.5, "alpha": alpha_with_holes(2)},
        {"seamless": "both", "abstraction": 1.0},
    ],
    ids=str,
)
def test_every_option_does_the_same_in_strips(random_base, styles, tmp_path, options):
    images = noisy(61, 47, seed=2, count=2)
    in_files = replace(CUT, folder=tmp_path)
    whole, cut, filed = (
        stylize(random_base, styles, images, precision="fp32", strips=strips, **options)
        for strips in (WHOLE, CUT, in_files)
    )
    assert float((whole - cut).abs().max()) < TWO_LEVELS
    torch.testing.assert_close(cut, filed, rtol=0, atol=1e-5)


def test_in_strips_one_style_serves_all_pictures_and_overshoot_is_clamped(random_base, styles):
    beyond = noisy(61, 47, count=2) * 1.4 - 0.2
    drawn = stylize(random_base, styles[0], beyond, precision="fp32", strips=CUT)
    for i in range(2):
        alone = beyond[i : i + 1].clamp(0, 1)
        wanted = stylize(random_base, styles[0], alone, precision="fp32", strips=CUT)
        assert torch.equal(drawn[i : i + 1], wanted)


def test_styles_of_other_modes_and_formats_are_drawn_in_strips(random_base):
    style = low_rank_style(random_base, 3)
    image = picture(61, 47)
    for precision, limit in (("fp32", 1e-5), ("bf16", 0.05)):
        whole = stylize(random_base, style, image, precision=precision, strips=WHOLE)
        cut = stylize(random_base, style, image, precision=precision, strips=CUT)
        assert float((whole - cut).abs().max()) < limit


def test_strips_are_told_of_evenly_and_can_stop_the_work(random_base, styles):
    shares = []
    images = noisy(61, 47, count=2)
    stylize(random_base, styles, images, brush=2.0, strips=replace(CUT, on_strip=shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert max(b - a for a, b in itertools.pairwise(shares)) < 0.1

    class StopError(Exception):
        pass

    def stop(share):
        if share > 0.3:
            raise StopError

    with pytest.raises(StopError):
        stylize(random_base, styles, images, strips=replace(CUT, on_strip=stop))
    assert not torch.is_autocast_enabled("cpu")


def test_painting_in_touches_is_told_of_and_can_be_stopped(random_base, styles, monkeypatch):
    monkeypatch.setattr(drawing, "_TOUCHED_ROWS", 8)
    shares, before = [], []

    def noting(*arguments, **options):
        before.append(len(shares))
        return draw_in_strips(*arguments, **options)

    monkeypatch.setattr(drawing, "draw_in_strips", noting)
    draw = partial(stylize, random_base, styles[0], noisy(61, 47), abstraction=0.5, grain=0.5)
    draw(strips=replace(CUT, on_strip=shares.append))
    assert before == [8], "eight strips are painted over, and their strokes are found at once"
    assert 0 < shares[0] < 0.05
    assert shares == sorted(set(shares))
    assert 0.05 < shares[7] < 0.2
    assert shares[-1] == pytest.approx(1)

    class StopError(Exception):
        pass

    def stop(share):
        raise StopError

    with pytest.raises(StopError):
        draw(strips=replace(CUT, on_strip=stop))
    assert len(before) == 1, "the network is not reached"


def test_every_size_of_a_brush_is_told_of_before_the_network_draws_it(
    random_base, styles, monkeypatch
):
    monkeypatch.setattr(drawing, "_TOUCHED_ROWS", 8)
    told, passes = [], []

    def noting(*arguments, **options):
        began = len(told)
        yield from draw_in_strips(*arguments, **options)
        passes.append((began, len(told)))

    monkeypatch.setattr(drawing, "draw_in_strips", noting)
    strips = replace(CUT, on_strip=told.append)
    stylize(random_base, styles[0], noisy(128, 96), strips=strips, brush=2.0, abstraction=0.5)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    ends = [0, *(end for _, end in passes)]
    painted = [began - end for (began, _), end in zip(passes, ends, strict=False)]
    assert all(count >= rows // 8 for count, rows in zip(painted, (32, 64, 128), strict=True))


def test_a_broken_style_is_told_in_strips_too(random_base, styles):
    broken = {n: torch.full_like(t, torch.nan) for n, t in styles[0].fast_weights.items()}
    with pytest.raises(ResultError, match="draws NaN"):
        stylize(random_base, replace(styles[0], fast_weights=broken), picture(61, 47), strips=CUT)


def test_films_note_what_whole_frames_show(random_base, styles, monkeypatch):
    monkeypatch.setattr(tiling, "_MOST_WHOLE_ON_CPU", 100)
    image, network = noisy(61, 47), random_base.network
    with noted_statistics(network) as wanted:
        stylize_with(network, styles[0].fast_weights, image)
    with noted_statistics(network) as seen:
        FilmDrawing(random_base, styles[0], "fp32").draw(image, None)
    for name, value in wanted.items():
        torch.testing.assert_close(seen[name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(30, 20), (61, 47), (100, 90), (7, 9)])
def test_resampling_by_rows_is_interpolation(size):
    image = noisy(61, 47)

    def by_rows(kernel):
        rows = resampled(rows_of(image), 47, size, kernel)
        return torch.cat([rows.read(*strip) for strip in strips_of(size[0], 5)], dim=2)

    interpolate = torch.nn.functional.interpolate
    wanted = {
        "triangle": interpolate(image, size, mode="bilinear", antialias=True),
        "cubic": interpolate(image, size, mode="bicubic"),
        "sharp": interpolate(image, size, mode="bicubic", antialias=True),
        "area": interpolate(image, size, mode="area"),
    }
    for kernel, whole in wanted.items():
        torch.testing.assert_close(by_rows(kernel), whole, rtol=0, atol=1e-5)


def test_resampling_that_wraps_goes_on_at_the_other_edge():
    image = noisy(20, 24)
    turned = resampled(rows_of(image.roll((5, 6), (2, 3))), 24, (40, 48), "cubic", (True, True))
    plain = resampled(rows_of(image), 24, (40, 48), "cubic", (True, True))
    wanted = plain.read(0, 40).roll((10, 12), (2, 3))
    torch.testing.assert_close(turned.read(0, 40), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_borders_of_rows_are_those_of_padding(mode):
    image = noisy(9, 5)
    padded = torch.nn.functional.pad(image, (0, 0, 4, 4), mode=mode)
    for first, last in ((-4, 3), (2, 7), (5, 13), (-4, 13)):
        found = bordered_rows(rows_of(image), first, last, mode)
        assert torch.equal(found, padded[:, :, first + 4 : last + 4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_planes_give_back_what_was_put(tmp_path, dtype):
    image = noisy(20, 7, 5).to(dtype)
    for folder in (None, tmp_path):
        plane = Plane(20, folder)
        for first, last in ((12, 20), (0, 5), (5, 12)):
            plane.put(first, image[:, :, first:last])
        plane.put(3, image[:, :, 8:10])
        assert torch.equal(plane.read(10, 20), image[:, :, 10:])
        assert torch.equal(plane.read(3, 5), image[:, :, 8:10])


def test_gathering_rows_is_told_of_strip_by_strip(tmp_path):
    image, shares = noisy(20, 7), []
    plane = gathered(rows_of(image), 8, tmp_path, shares.append)
    assert shares == [0.4, 0.8, 1.0]
    assert torch.equal(plane.read(0, 20), image)


@pytest.mark.filterwarnings("error")
def test_the_file_of_a_plane_is_closed_and_goes_with_it(tmp_path):
    plane = Plane(4, tmp_path)
    plane.put(0, torch.ones(1, 3, 4, 5))
    file = plane._file
    assert not list(tmp_path.iterdir()), "nobody else sees it"
    del plane
    assert file.closed
