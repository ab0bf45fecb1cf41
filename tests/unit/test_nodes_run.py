"""What the nodes do: adapt on copies, stylize in pieces, save, reuse, blend."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from unit.conftest import SMALL_BASE, image, load, save, stylize
from unit.fake_host import FakeMemoryError, Interrupted

from metastyle_core.checkpoint import content_hash, read_tensors
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.images import resize

THUMBNAIL_BYTES = 4600


@pytest.fixture
def remembers_nothing(pack):
    """The pack learns every time, also what it has learned before."""
    pack.nodes.hosting.made_styles._MADE.most_bytes = 0


def test_the_model_is_in_the_hosts_care(model):
    assert model.patcher.model.network.channels == 8
    assert model.base().predictor is not None


def test_adaptation_learns_and_changes_nothing_that_others_hold(adapt, model, fake_host):
    before = content_hash(model.patcher.model.state_dict())
    result = adapt(steps=3)
    assert content_hash(model.patcher.model.state_dict()) == before
    assert result.style.base_sha256 == model.sha256
    assert result.style.losses["total"] > 0
    assert not any(t.requires_grad for t in result.style.fast_weights.values())
    assert len(result.style.thumbnail) <= THUMBNAIL_BYTES
    assert result.preview.shape[-1] == 3
    assert "steps: 3 in" in result.report
    assert fake_host.freed[0] > 0
    assert fake_host.emptied > 0


def test_the_copy_to_adapt_shares_no_memory_with_the_model(model):
    own = dict(model.base().network.named_parameters())
    for name, parameter in model.copy().network.named_parameters():
        assert torch.equal(parameter, own[name]), name
        assert parameter.data_ptr() != own[name].data_ptr(), name


@pytest.mark.parametrize("mode", ["norm", "full"])
def test_adaptation_in_float32_changes_nothing_that_others_hold(
    adapt, model, pack, monkeypatch, mode
):
    # In a shorter format the convolutions copy what they read, which hides what is shared.
    precision = pack.metastyle_core.precision
    monkeypatch.setattr(precision, "_cpu_multiplies_bf16", lambda: False)
    before = content_hash(model.patcher.model.state_dict())
    adapt(steps=2, mode=mode)
    assert content_hash(model.patcher.model.state_dict()) == before
    assert not any(p.requires_grad for p in model.patcher.model.parameters())


@pytest.mark.usefixtures("remembers_nothing")
def test_a_model_that_the_host_moved_in_inference_mode_still_trains(adapt, model):
    adapt()
    with torch.inference_mode():
        for parameter in model.patcher.model.parameters():
            parameter.data = parameter.data.clone()
    assert adapt().style.losses


@pytest.mark.usefixtures("remembers_nothing")
def test_the_same_seed_gives_the_same_style(adapt):
    first, second, other = adapt(), adapt(), adapt(seed=5)
    assert second.style is not first.style
    name = next(iter(first.style.fast_weights))
    assert torch.equal(first.style.fast_weights[name], second.style.fast_weights[name])
    assert not torch.equal(first.style.fast_weights[name], other.style.fast_weights[name])


def test_zero_steps_are_instant_and_without_a_curve(adapt):
    result = adapt(steps=0, encoder="vgg19")
    assert result.ui == {"metastyle_losses": []}
    assert not result.style.losses


def test_contents_of_the_user_are_shown_in_the_preview(adapt, fake_host):
    contents = image(70, 90, count=5)
    assert adapt(content_images=contents).preview.shape == (4, 70, 90, 3)
    picture = fake_host.progress[-1][2][1]
    assert (picture.width, picture.height) == (2 * 90 + 4, 2 * 70 + 4)


def test_a_style_can_be_resumed_also_one_that_was_loaded(adapt, run):
    first = adapt().style
    save(run, first, "first")
    loaded = load(run, "first")
    resumed = adapt(resume=loaded).style
    assert resumed.settings["resumed_from"] == "first"
    assert adapt(mode="full", resume=first).style.mode == "full"


def test_losses_and_pictures_come_calmly_and_at_the_end(adapt, fake_host):
    result = adapt(steps=4)
    events = [message for event, message, _ in fake_host.sent if event == "metastyle.losses"]
    assert len(events) < 4
    assert events[-1]["step"] == events[-1]["steps"] == 4
    assert {(message["node"], message["prompt_id"]) for message in events} == {("7", "prompt-1")}
    points = [point for message in events for point in message["points"]]
    assert points == result.ui["metastyle_losses"]
    assert [point[0] for point in points] == [1, 2, 3, 4]
    done, total, (kind, picture, limit) = fake_host.progress[-1]
    assert (done, total, kind, limit) == (4, 4, "JPEG", 512)
    assert picture.size == (256, 256), "our own scene, where no content is given"


@pytest.mark.usefixtures("remembers_nothing")
def test_losses_go_to_the_browser_that_started_the_run_and_to_no_other(adapt, fake_host):
    adapt()
    assert {browser for _, _, browser in fake_host.sent} == {"first"}
    fake_host.sent.clear()
    fake_host.browser = None
    learned = len(fake_host.progress)
    adapt()
    assert len(fake_host.progress) > learned
    assert not fake_host.sent


def test_every_open_browser_is_told_of_a_saved_style(adapt, run, fake_host):
    save(run, adapt(steps=0).style, "project/wave")
    fake_host.browser = None
    save(run, adapt(steps=0).style, "%year%/wave")
    assert fake_host.sent == [
        ("metastyle.styles", {"saved": "project/wave"}, None),
        ("metastyle.styles", {"saved": "2026/wave"}, None),
    ]


def test_a_long_curve_is_thinned_and_keeps_its_ends(pack):
    watcher = pack.nodes.hosting.watcher.Watcher("1")
    watcher.points.extend([[float(step)] * 4 for step in range(1, 1001)])
    curve = watcher.curve()
    assert len(curve) == 200
    assert (curve[0][0], curve[-1][0]) == (1, 1000), "losses are drawn as shares of the first"
    del watcher.points[1:]
    assert watcher.curve() == [[1.0] * 4]


@pytest.mark.parametrize("contents", [None, image(80, 80, count=2)], ids=["shipped", "given"])
def test_cancel_is_heard_while_contents_are_made(adapt, fake_host, contents):
    """Before each of nine photographs and of the crops, and of each when the encoder looks."""
    crops = 4 if contents is None else 2
    made = crops if contents is not None else 9 + crops
    for heard in (0, made - 1, made + crops - 1):
        fake_host.checks, fake_host.interrupt_after = 0, heard
        with pytest.raises(Interrupted):
            adapt(content_images=contents)
        assert not fake_host.progress, "no step was made"


def test_cancel_stops_at_the_next_step_and_the_next_run_is_whole(adapt, fake_host, model):
    before = content_hash(model.patcher.model.state_dict())
    fake_host.interrupt_after = 1
    with pytest.raises(Interrupted):
        adapt(steps=50)
    assert fake_host.checks == 2
    assert fake_host.emptied > 0
    fake_host.interrupt_after = None
    assert adapt(steps=2).style.losses
    assert content_hash(model.patcher.model.state_dict()) == before


def test_too_little_memory_halves_the_batch_and_says_so(adapt, pack, monkeypatch, caplog):
    whole = pack.nodes.hosting.bounded_adaptation.adapt_to_style
    tried = []

    def greedy(base, encoder, styles, contents, settings, **options):
        tried.append(settings.batch)
        if settings.batch > 1:
            raise FakeMemoryError
        return whole(base, encoder, styles, contents, settings, **options)

    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "adapt_to_style", greedy)
    assert adapt().style.settings["batch"] == 1
    assert tried == [2, 1]
    assert "Out of memory at 2 contents" in caplog.text


def test_too_little_memory_learns_from_parts_of_large_contents(adapt, pack, monkeypatch, caplog):
    """One picture of one's own is a single content a step, which no smaller batch makes less."""
    whole = pack.nodes.hosting.bounded_adaptation.adapt_to_style
    tried = []

    def greedy(base, encoder, styles, contents, settings, **options):
        tried.append((len(contents), contents.shape[-1], settings.batch))
        if contents.shape[-1] > 70 or settings.batch > 1:
            raise FakeMemoryError
        return whole(base, encoder, styles, contents, settings, **options)

    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "adapt_to_style", greedy)
    style = adapt(content_images=image(128, 128)).style
    assert tried == [(1, 128, 2), (4, 64, 2), (4, 64, 1)]
    assert style.settings["contents"] == 4
    assert "Out of memory at 128x128 px; trying quarters" in caplog.text


def test_far_too_little_memory_is_a_clear_error(adapt, pack, fake_host, monkeypatch, errors):
    def hopeless(*_, **__):
        raise FakeMemoryError

    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "adapt_to_style", hopeless)
    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "open_encoder", lambda _: None)
    (fake_host.models_dir / "metastyle" / "vgg19.safetensors").write_bytes(b"weights")
    close = "lose other programs that use the device"
    for changed, remedies in (
        ({}, f"C{close}"),
        ({"mode": "full", "brush_size": 128}, f"C{close}"),
        ({"brush_size": 160}, f"Lower brush_size or c{close}"),
        ({"encoder": "vgg19"}, f"Choose the encoder 'compact' or c{close}"),
    ):
        with pytest.raises(errors.MetaStyleError, match=rf"^{remedies}\. .*one content at a time"):
            adapt(**changed)


def test_a_preview_that_does_not_fit_is_drawn_smaller(adapt, pack, monkeypatch, caplog):
    whole = pack.nodes.hosting.previews.stylize_as_usual

    def greedy(base, style, images, **options):
        if max(images.shape) > 200:
            raise FakeMemoryError
        assert options["batch"] == 1
        return whole(base, style, images, **options)

    monkeypatch.setattr(pack.nodes.hosting.previews, "stylize_as_usual", greedy)
    result = adapt(content_images=image(192, 288, count=2))
    assert result.preview.shape == (2, 128, 192, 3)
    assert "Out of memory for a preview of 384 px" in caplog.text


def test_a_style_is_kept_when_no_picture_of_it_can_be_drawn(adapt, pack, monkeypatch, caplog):
    def hopeless(*_, **__):
        raise FakeMemoryError

    monkeypatch.setattr(pack.nodes.hosting.previews, "stylize_as_usual", hopeless)
    monkeypatch.setattr(pack.nodes.hosting.previews, "draw_thumbnail", hopeless)
    contents = image(80, 96)
    result = adapt(content_images=contents)
    assert result.style.losses
    assert result.style.thumbnail is None
    assert torch.equal(result.preview, contents)
    assert "without the style" in caplog.text
    assert "the style has none" in caplog.text


@pytest.mark.parametrize("what", ["stylize_as_usual", "draw_thumbnail"])
def test_other_errors_while_a_style_is_shown_are_not_hidden(adapt, pack, monkeypatch, what):
    def fail(*_, **__):
        raise RuntimeError("expected scalar type Half but found Float")

    monkeypatch.setattr(pack.nodes.hosting.previews, what, fail)
    with pytest.raises(RuntimeError, match="scalar type"):
        adapt()


def test_room_is_made_for_large_brushes_and_large_previews_too(adapt, fake_host):
    adapt()
    adapt(brush_size=512)
    adapt(content_images=image(480, 640))
    small, brush, preview = fake_host.freed
    assert brush > 500 * 512**2
    assert preview > 500 * 480 * 640
    assert small < preview


def test_contents_of_any_shape_can_be_shown(adapt):
    assert adapt(steps=1, content_images=image(64, 1600)).preview.shape == (1, 31, 768, 3)


def test_of_a_long_clip_only_the_frames_that_are_used_are_read(adapt, pack, monkeypatch):
    whole, read, learned = pack.nodes.hosting.bounded_adaptation.to_core_over_white, [], []
    adapt_to_style = pack.nodes.hosting.bounded_adaptation.adapt_to_style

    def count(images, *options):
        read.append(len(images))
        return whole(images, *options)

    def look(base, encoder, styles, contents, *settings, **options):
        learned.extend(contents.mean((1, 2, 3)).mul(8).round().int().tolist())
        return adapt_to_style(base, encoder, styles, contents, *settings, **options)

    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "to_core_over_white", count)
    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "adapt_to_style", look)
    brightness = torch.linspace(0, 1, 9)
    clip = brightness.view(9, 1, 1, 1).expand(9, 64, 64, 3)
    shown = pack.nodes.hosting.previews.pictures_to_show([clip])
    assert shown.mean((1, 2, 3)).tolist() == pytest.approx(brightness[:4].tolist())
    adapt(steps=1, content_images=clip)
    assert sum(read) == 1 + 4, "the style, and as many frames as there are crops"
    assert sorted(learned) == [0, 3, 5, 8], "evenly picked"


@pytest.mark.parametrize(
    ("error", "lack"),
    [
        (FakeMemoryError("device"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("expected scalar type Half but found Float"), False),
    ],
)
def test_every_device_may_run_out_of_memory(pack, adapt, monkeypatch, error, lack, errors):
    assert pack.nodes.hosting.host.is_out_of_memory(error) is lack

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(pack.nodes.hosting.bounded_adaptation, "adapt_to_style", fail)
    kind = errors.MetaStyleError if lack else RuntimeError
    with pytest.raises(kind, match="^Close other programs" if lack else "scalar type"):
        adapt()


def test_stylizing_keeps_sizes_and_takes_any_images(run, adapt, model, fake_host):
    style = adapt(steps=0).style
    assert stylize(run, model, style, image(33, 47, count=3)).shape == (3, 33, 47, 3)
    assert stylize(run, model, style, image(32, 32).half()).dtype == torch.float32
    gray = image(32, 32, channels=1)
    alone = stylize(run, model, style, gray.expand(-1, -1, -1, 3))
    torch.testing.assert_close(stylize(run, model, style, gray), alone)
    patchers, needed = fake_host.loads[-1]
    assert patchers == [model.patcher]
    assert needed > 0


def test_room_is_made_for_the_largest_size_that_a_brush_draws(run, adapt, model, fake_host):
    style, images = adapt(steps=0).style, image(64, 64)

    def needed(**changed):
        stylize(run, model, style, images, supersampling=1.0, **changed)
        return fake_host.loads[-1][1]

    own = needed(brush=style.size_px / 32)
    assert needed(brush=style.size_px / 64) == own
    fine = needed(brush=style.size_px / 192)
    assert fine - own > 80 * (192**2 - 64**2)
    assert needed(brush=style.size_px / 192, strength=0.0) == own


def test_brush_0_follows_the_contents(adapt):
    sizes = [
        adapt(steps=0, brush_size=brush, **contents).style.settings["style_size_px"]
        for brush, contents in (
            (96, {"content_images": image(200, 150)}),
            (0, {"content_images": image(200, 150)}),
            (0, {}),
        )
    ]
    assert sizes == [96, 225, 576], "drawn 1.5 times as large"


def test_grain_changes_flat_areas_and_all_frames_alike(run, model, adapt):
    style, frames = adapt(steps=0).style, torch.full((2, 40, 48, 3), 0.5)
    plain, none, usual, grained, other = (
        stylize(run, model, style, frames, **grain)
        for grain in (
            {},
            {"grain": 0.0},
            {"grain": USUAL_GRAIN},
            {"grain": 1.0},
            {"grain": 1.0, "seed": 3},
        )
    )
    assert torch.equal(plain, usual)
    assert (plain - none).abs().max() > 1e-3
    assert (grained - plain).abs().max() > 1e-3
    assert not torch.equal(grained, other)
    torch.testing.assert_close(grained[0], grained[1], rtol=0, atol=1e-5)


def test_transparency_passes_through(run, adapt, model):
    images = image(32, 40, channels=4)
    result = stylize(run, model, adapt(steps=0).style, images)
    assert torch.equal(result[..., 3], images[..., 3])
    assert result.shape == images.shape


def test_colours_of_the_photograph_or_a_palette(run, adapt, model):
    style, images = adapt(steps=0).style, image(40, 48, count=2)
    palette = torch.tensor([0.9, 0.3, 0.1]).expand(1, 16, 16, 3)
    plain, unused, kept, matched = (
        stylize(run, model, style, images, **inputs)
        for inputs in (
            {},
            {"palette": palette},
            {"colour": "photograph"},
            {"colour": "match", "palette": palette},
        )
    )
    assert torch.equal(plain, unused)
    assert (kept - images).std(-1).mean() < (plain - images).std(-1).mean() / 2
    torch.testing.assert_close(matched.mean((0, 1, 2)), palette[0, 0, 0], rtol=0, atol=0.05)


def test_what_wraps_joins_at_its_edges(run, adapt, model):
    style, images = adapt(steps=0).style, image(40, 48)
    draw = partial(stylize, run, model, style, grain=0.0, abstraction=0.0)
    drawn = draw(images, seamless="both")
    beside = draw(images.repeat(1, 1, 2, 1), seamless="both")
    torch.testing.assert_close(beside[:, :, :48], beside[:, :, 48:], rtol=0, atol=1e-4)
    assert (drawn - draw(images)).abs().max() > 1e-2


def test_the_style_goes_where_the_mask_is(run, adapt, model, pack, monkeypatch):
    module = pack.nodes.hosting.bounded_stylization
    monkeypatch.setattr(module, "pictures_per_pass", lambda *_: 2)
    style, images = adapt(steps=0).style, image(40, 48, count=3)
    plain = stylize(run, model, style, images)
    masks = torch.zeros(3, 40, 48)
    masks[1, :, :24], masks[2] = 1.0, 0.25
    each = stylize(run, model, style, images, mask=masks)
    assert torch.equal(each[0], images[0])
    assert torch.equal(each[1, :, 24:], images[1, :, 24:])
    torch.testing.assert_close(each[1, :, :24], plain[1, :, :24])
    torch.testing.assert_close(each[2], torch.lerp(images[2], plain[2], 0.25))
    one = stylize(run, model, style, images, mask=masks[1:2])
    flat = stylize(run, model, style, images, mask=masks[1])
    assert torch.equal(one, flat)
    assert torch.equal(one[:, :, 24:], images[:, :, 24:])


def test_hidden_colour_does_not_touch_what_is_visible(run, adapt, model):
    style, images = adapt(steps=0).style, image(48, 48, channels=4)
    images[..., 3] = 1.0
    images[:, :, 24:, 3] = 0.0
    other = images.clone()
    other[:, :, 24:, :3] = torch.rand(1, 48, 24, 3)
    drawn, again = (stylize(run, model, style, pictures) for pictures in (images, other))
    torch.testing.assert_close(drawn, again, rtol=0, atol=1e-5)
    assert torch.equal(stylize(run, model, style, other, strength=0.0), other)


def test_strength_zero_gives_the_pictures_back(run, adapt, model):
    images = image(32, 40, count=2)
    assert torch.equal(stylize(run, model, adapt(steps=0).style, images, strength=0.0), images)


def test_stylizing_halves_its_batch_and_goes_on(run, adapt, model, pack, monkeypatch, errors):
    style, images = adapt(steps=0).style, image(32, 32, count=5)
    wanted = stylize(run, model, style, images)
    module, sizes = pack.nodes.hosting.bounded_stylization, []
    whole = module.stylize

    def greedy(base, chosen, colour, **options):
        sizes.append(len(colour))
        if len(colour) > 2:
            raise FakeMemoryError
        return whole(base, chosen, colour, **options)

    monkeypatch.setattr(module, "pictures_per_pass", lambda *_: 4)
    monkeypatch.setattr(module, "stylize", greedy)
    torch.testing.assert_close(stylize(run, model, style, images), wanted, rtol=0, atol=1e-5)
    assert sizes == [4, 2, 2, 1]
    monkeypatch.setattr(module, "pictures_per_pass", lambda *_: 1)
    monkeypatch.setattr(module, "stylize", lambda *_, **__: (_ for _ in ()).throw(FakeMemoryError))
    torch.testing.assert_close(stylize(run, model, style, images), wanted, rtol=0, atol=1e-5)
    monkeypatch.setattr(module, "stylize_rows", module.stylize)
    with pytest.raises(errors.MetaStyleError, match="Make the input 'images' smaller"):
        stylize(run, model, style, images)


def test_cancel_stops_between_pictures(run, adapt, model, fake_host):
    style = adapt(steps=0).style
    fake_host.checks, fake_host.interrupt_after = 0, 3
    with pytest.raises(Interrupted):
        stylize(run, model, style, image(32, 32, count=50))
    assert fake_host.checks == 4


def test_large_pictures_are_drawn_in_strips_that_can_be_stopped(
    run, adapt, pack, model, fake_host, monkeypatch
):
    style = adapt(steps=0).style
    images = image(64, 48, count=2, channels=4)
    mask = torch.rand(1, 32, 24)
    for changed in ({}, {"strength": 0.5, "grain": 0.5}, {"colour": "photograph", "mask": mask}):
        whole = stylize(run, model, style, images, **changed)
        module = pack.nodes.hosting.bounded_stylization
        with monkeypatch.context() as patch:
            patch.setattr(module, "Strips", partial(module.Strips, above_px=0, strip_px=8 * 48))
            fake_host.progress.clear()
            drawn = stylize(run, model, style, images, **changed)
        assert float((whole - drawn).abs().max()) < 2 / 255
        assert torch.equal(drawn[..., 3:], images[..., 3:])
        moves = [done for done, *_ in fake_host.progress]
        assert moves == sorted(moves)
        assert moves[-1] == fake_host.progress[-1][1] == 200
        assert len(set(moves)) > 50


def test_cancel_stops_within_a_strip(run, adapt, pack, model, fake_host, monkeypatch):
    style = adapt(steps=0).style
    module = pack.nodes.hosting.bounded_stylization
    monkeypatch.setattr(module, "Strips", partial(module.Strips, above_px=0, strip_px=8 * 48))
    fake_host.checks, fake_host.interrupt_after = 0, 10
    with pytest.raises(Interrupted):
        stylize(run, model, style, image(64, 48))
    assert fake_host.checks == 11


def test_the_brush_is_that_of_the_core_and_0_is_none(run, adapt, pack, model):
    style, images = adapt(steps=0, brush_size=384).style, image(130, 150)
    draw = partial(stylize, run, model, style, images, grain=0.0, abstraction=0.0)
    plain = draw()
    assert torch.equal(draw(brush=0.0), plain)
    drawn = draw(brush=1.0)
    wanted = pack.metastyle_core.stylization.stylize(
        model.base(), style, images.movedim(-1, 1), precision="fp32", brush=1.0, supersampling=1.5
    ).movedim(1, -1)
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-5)
    assert float((drawn - plain).abs().mean()) > 0.01


@pytest.mark.parametrize("mode", ["low_rank", "full"])
def test_large_styles_move_with_the_host(run, adapt, model, fake_host, mode):
    style = adapt(mode=mode, steps=1).style
    stylize(run, model, style, image(32, 32))
    assert fake_host.loads[-1][0] == [model.patcher, style.fast_weights.patcher]
    saved = save(run, style, "whole").args[0]
    assert saved.name == "whole"
    assert load(run, "whole").mode == mode


def test_saved_styles_come_back_the_same(run, adapt, model, fake_host):
    style = adapt().style
    output = save(run, style, "project/%year%/wave")
    assert output.args[0].name == "wave"
    assert output.ui.image.shape[-1] == 3
    path = fake_host.models_dir / "metastyle_styles" / "project" / "2026" / "wave.safetensors"
    assert path.is_file()
    back, name = run("MetaStyleLoadStyle", style="project/2026/wave").args
    assert name == "wave"
    images = image(32, 32)
    assert torch.equal(stylize(run, model, back, images), stylize(run, model, style, images))


def test_saving_again_numbers_the_file_or_replaces_it(run, adapt, fake_host):
    style, folder = adapt(steps=0).style, fake_host.models_dir / "metastyle_styles"
    assert save(run, style).args[0].name == "wave"
    assert save(run, style).args[0].name == "wave_2"
    assert save(run, style, overwrite="overwrite", fp16=True).args[0].name == "wave"
    assert sorted(p.stem for p in folder.iterdir()) == ["wave", "wave_2"]
    stored = next(iter(read_tensors(folder / "wave.safetensors").tensors.values()))
    assert stored.dtype == torch.float16


def test_a_given_picture_becomes_the_thumbnail(run, adapt):
    style = adapt(steps=0).style
    red = torch.zeros(1, 64, 64, 3)
    red[..., 0] = 1.0
    shown = save(run, style, style_image=red).ui.image
    assert shown[..., 0].mean() > 0.9
    assert shown[..., 1].mean() < 0.1


def test_a_base_without_a_predictor_adapts_from_its_own_start(run, adapt, fake_host, base_file):
    plain = fake_host.models_dir / "metastyle" / "plain.safetensors"
    plain.write_bytes(base_file.read_bytes())
    model = run("LoadMetaStyle", base="plain.safetensors").args[0]
    assert adapt(model=model, steps=1).style.losses


def test_blending_takes_growing_and_fixed_sockets(run, adapt, model):
    one, two = adapt(steps=0).style, adapt(steps=0, style_images=image(80, 80, seed=9)).style
    weights = {f"weight_{number}": 1.0 for number in range(1, 7)} | {"weight_1": 3.0}
    grown = run("MetaStyleBlendStyles", styles={"style_1": one, "style_3": two}, **weights)
    fixed = run("MetaStyleBlendStyles", **{"styles.style_1": one, "styles.style_3": two}, **weights)
    assert grown.args[0].name == "75% style + 25% style"
    for name, tensor in grown.args[0].fast_weights.items():
        wanted = 0.75 * one.fast_weights[name] + 0.25 * two.fast_weights[name]
        torch.testing.assert_close(tensor, wanted)
        assert torch.equal(tensor, fixed.args[0].fast_weights[name])


def test_a_blend_has_the_pictures_of_its_styles_in_its_shares(run, adapt):
    style = adapt(steps=0).style
    parts = [style.with_thumbnail(torch.full((3, side, 64), level))
             for side, level in ((48, 0.8), (64, 0.4))]  # fmt: skip
    blend = run(
        "MetaStyleBlendStyles",
        styles={"style_1": parts[0], "style_2": parts[1]}, weight_1=3.0, weight_2=1.0,
    ).args[0]  # fmt: skip
    shown = save(run, blend, "blend").ui.image
    assert shown.shape == (1, 48, 64, 3)
    torch.testing.assert_close(shown, torch.full_like(shown, 0.7), rtol=0, atol=0.02)


def test_a_blend_of_a_style_without_a_picture_has_none_and_shows_none(run, adapt):
    style = adapt(steps=0).style
    styles = {"style_1": style, "style_2": replace(style, thumbnail=None)}
    blend = run("MetaStyleBlendStyles", styles=styles).args[0]
    assert blend.thumbnail is None
    assert save(run, blend, "blend").ui is None


@pytest.mark.parametrize("mode", ["norm", "low_rank", "full"])
def test_a_blend_over_frames_goes_from_style_to_style(run, adapt, model, mode):
    one = adapt(steps=1, mode=mode).style
    two = adapt(steps=1, mode=mode, style_images=image(80, 80, seed=9)).style
    styles = {"style_1": one, "style_2": two}
    blend = run("MetaStyleBlendSchedule", styles=styles, curve="linear", route="once").args[0]
    images = image(32, 32).expand(3, -1, -1, -1)
    frames = stylize(run, model, blend, images)
    for frame, style in ((0, one), (2, two)):
        alone = stylize(run, model, style, images[:1])
        torch.testing.assert_close(frames[frame : frame + 1], alone, rtol=0, atol=1e-5)


def test_a_list_of_pictures_of_any_sizes_is_one_style(adapt, pack):
    pictures = [image(72, 80), image(96, 70, count=2, seed=4)]
    listed = adapt(style_images=pictures, steps=[2], mode=["norm"])
    assert listed.style.settings["style_images"] == 3


def test_contents_of_any_sizes_are_learned_on_and_shown_together(adapt, pack):
    contents = [image(70, 90, count=2), image(160, 128, seed=3), image(64, 200, count=2, seed=4)]
    listed = adapt(content_images=contents)
    assert len(listed.styles) == 1
    assert listed.preview.shape == (4, 70, 90, 3)
    shown = pack.nodes.hosting.previews.pictures_to_show(contents)
    middle = resize(contents[1].movedim(-1, 1), 112, 90)[:, :, 21:91]
    torch.testing.assert_close(shown[2:3], middle)


def test_lists_of_settings_are_one_style_each_and_the_shorter_repeat_their_last(adapt):
    pictures = [image(72, 80), image(96, 70, seed=4)]
    listed = adapt(
        seed=[5, 6, 7], steps=[1, 2], style_weight=[20], mode=["norm", "low_rank"],
        style_images=pictures,
    )  # fmt: skip
    settings = [style.settings for style in listed.styles]
    assert [each["seed"] for each in settings] == [5, 6, 7]
    assert [each["steps"] for each in settings] == [1, 2, 2]
    assert [each["mode"] for each in settings] == ["norm", "low_rank", "low_rank"]
    assert [each["style_images"] for each in settings] == [2, 2, 2]
    assert len(listed.previews) == 3
    assert ["seed: 6" in each for each in listed.reports] == [False, True, False]
    assert [point[0] for point in listed.ui["metastyle_losses"]] == [1, 2]
    alone = adapt(seed=6, steps=2, mode="low_rank", style_images=pictures).style
    for name, tensor in listed.styles[1].fast_weights.items():
        assert torch.equal(tensor, alone.fast_weights[name])


def test_each_of_several_styles_says_which_it_is(adapt, fake_host):
    adapt(seed=[1, 2, 3], steps=2)
    events = [message for event, message, _ in fake_host.sent if event == "metastyle.losses"]
    finished = [each for each in events if each["step"] == 2]
    assert [(each["run"], each["runs"]) for each in finished] == [(1, 3), (2, 3), (3, 3)]


def test_styles_done_before_one_that_fails_are_not_learned_twice(adapt, pack, monkeypatch):
    watching, learned = pack.nodes.hosting.watcher.Watcher, []

    def take(self, report):
        learned.append(self.run)
        if self.run == 3 and len(learned) == 3:
            raise Interrupted

    monkeypatch.setattr(watching, "__call__", take)
    with pytest.raises(Interrupted):
        adapt(seed=[1, 2, 3], steps=1)
    assert len(adapt(seed=[1, 2, 3], steps=1).styles) == 3
    assert learned == [1, 2, 3, 3]


def test_the_levels_of_a_painting_can_be_chosen(adapt):
    assert adapt(steps=0).style.levels == 0.2, "workflows of older releases do not say"
    assert [adapt(steps=0, levels=each).style.levels for each in (0, 0.7)] == [0, 0.7]


def test_the_abstraction_of_what_is_learned_on_can_be_chosen(adapt):
    def abstraction(**inputs):
        (style,) = adapt(steps=1, **inputs).styles
        return style.settings["abstraction"]

    assert abstraction() == 0.25, "workflows of older releases do not say"
    assert abstraction(abstraction=0.0) == 0.0
    assert abstraction(abstraction=0.6) == 0.6
    contents = image(64, 72)
    plain, painted = (
        adapt(steps=0, abstraction=amount, content_images=contents).preview for amount in (0, 1)
    )
    assert (plain - painted).abs().max() > 0.01


def test_strokes_are_the_weight_of_the_nearest_places(adapt):
    def weight(**more):
        return adapt(steps=1, **more).style.settings["loss"]["nearest_weight"]

    assert weight() == 0.2, "as a workflow of an older release"
    assert weight(strokes=2.0) == 2.0
    assert weight(strokes=0) == 0
    assert [
        s.settings["loss"]["nearest_weight"] for s in adapt(steps=1, strokes=[0.0, 1.0]).styles
    ] == [0, 1]


def test_masks_in_a_list_are_one_each(adapt):
    pictures = [image(72, 80), image(96, 70, seed=4)]
    masks = [torch.ones(1, 72, 80), torch.ones(96, 70)]
    assert adapt(style_images=pictures, style_mask=masks).style.settings["style_masks"] == 2


def test_a_stop_ends_one_of_several_styles(adapt, pack, monkeypatch):
    watching = pack.nodes.hosting.watcher

    def press():
        watcher = watching._RUNNING["7"]
        if len(watcher.points) == 1 and watcher.points[0][0] == 1 and not pressed:
            pressed.append(watching.stop_and_keep("7"))

    pressed = []
    monkeypatch.setattr(watching.host, "stop_if_interrupted", press)
    settings = [style.settings for style in adapt(seed=[1, 2], steps=4).styles]
    assert settings[0]["stopped_after"] == 2
    assert "stopped_after" not in settings[1]


def test_a_mask_leaves_out_what_is_no_part_of_the_style(adapt):
    inside = torch.zeros(1, 96, 100)
    inside[:, :, :80] = 1
    painting = image(96, 100)
    changed = painting.clone()
    changed[:, :, 80:] = 1 - changed[:, :, 80:]
    one, other = (adapt(style_images=p, style_mask=inside).style for p in (painting, changed))
    for name, tensor in one.fast_weights.items():
        assert torch.equal(tensor, other.fast_weights[name])


def test_stop_and_keep_gives_the_best_so_far(adapt, pack, monkeypatch):
    watching = pack.nodes.hosting.watcher

    def press():
        if len(watching._RUNNING["7"].points) == 2:
            watching.stop_and_keep("7")

    monkeypatch.setattr(watching.host, "stop_if_interrupted", press)
    result = adapt(steps=40)
    assert result.style.settings["stopped_after"] == 3
    assert "steps: 3 of 40, then stopped, in" in result.report
    assert len(result.ui["metastyle_losses"]) == 3
    monkeypatch.undo()
    assert "stopped_after" not in adapt(steps=1).style.settings, "the next run is not stopped"


def test_quality_stands_in_for_the_widgets_and_custom_does_not(adapt, monkeypatch, pack):
    quality = pack.metastyle_core.quality
    short = quality.QualityPreset(1, "low_rank", batch=1)
    monkeypatch.setitem(quality.PRESETS, "best", short)
    style = adapt(steps=3, encoder="vgg19", quality="best").style
    assert (style.mode, style.settings["steps"], style.settings["encoder"]) == (
        "low_rank",
        1,
        "compact",
    )
    assert adapt(quality="custom").style.settings["steps"] == 2


def test_styles_of_any_modes_blend_once_the_model_is_connected(adapt, run, model, pack, caplog):
    narrow, wide = adapt(steps=0).style, adapt(steps=1, mode="full").style
    sockets = {"styles": {"style_1": narrow, "style_2": wide}}
    with pytest.raises(pack.metastyle_core.errors.SettingsError, match="the input 'model'"):
        run("MetaStyleBlendStyles", **sockets)
    mixed = run("MetaStyleBlendStyles", **sockets, model=model).args[0]
    assert mixed.mode == "full"
    assert "The mixture is of mode full" in caplog.text
    images = image(40, 48, count=3)
    assert stylize(run, model, mixed, images[:1]).shape == (1, 40, 48, 3)
    blend = run("MetaStyleBlendSchedule", **sockets, model=model, curve="linear", route="once")
    drawn = stylize(run, model, blend.args[0], images)
    for row, style in ((0, narrow), (2, wide)):
        alone = stylize(run, model, style, images[[row]])
        torch.testing.assert_close(drawn[[row]], alone, rtol=1e-4, atol=1e-4)
    fine = adapt(steps=1, mode="low_rank").style
    small = {"styles": {"style_1": narrow, "style_2": fine}}
    assert run("MetaStyleBlendStyles", **small).args[0].mode == "low_rank"
    blend = run("MetaStyleBlendSchedule", **small, curve="linear", route="once").args[0]
    assert stylize(run, model, blend, images).shape == images.shape


def test_a_preset_is_drawn_without_anything_beside_it(run, adapt, model, pack, monkeypatch):
    node = pack.nodes.stylize_with_preset
    monkeypatch.setattr(node, "base_of_style", lambda _: SMALL_BASE)
    save(run, adapt(steps=0).style, "wave")
    images = image(40, 56, count=2, channels=4)
    drawn = run("MetaStyleStylizeWithPreset", images=images, style="wave", strength=0.7).args[0]
    settings = {"strength": 0.7, "precision": "auto", "grain": USUAL_GRAIN}
    wanted = stylize(run, model, load(run, "wave"), images, **settings)
    torch.testing.assert_close(drawn, wanted)
    check = node.StylizeWithPreset
    assert check.validate_inputs("gone").startswith("Choose another style")
    assert check.validate_inputs("wave") is True
    before = check.fingerprint_inputs("wave")
    save(run, adapt(steps=0).style, "wave", overwrite="overwrite", fp16=True)
    assert check.fingerprint_inputs("wave") != before


def test_a_painting_is_saved_beside_the_scene_only_when_it_is_connected(run, adapt):
    style = adapt(steps=0).style
    save(run, style, "plain")
    save(run, style, "kept", painting=image(200, 300))
    assert load(run, "plain").painting is None
    kept = load(run, "kept")
    assert kept.thumbnail == load(run, "plain").thumbnail
    assert 0 < len(kept.painting) <= 4600
