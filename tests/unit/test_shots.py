"""Shots: where cuts are found, and what frames have in common when statistics are locked."""

from dataclasses import replace

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError
from metastyle_core.network import noted_statistics
from metastyle_core.shots import Lock, draw_shots, find_shots, measure_shots
from metastyle_core.stylization import stylize

LEVEL = 1 / 255


def pan(seed: int, frames: int, step_px: int = 2):
    """A window of 64 px that moves over a made-up picture."""
    wide = picture(64, 64 + frames * step_px, seed=seed)
    return [wide[..., i * step_px : i * step_px + 64] for i in range(frames)]


def woven(*amplitudes: float):
    """Frames of one brightness, as far apart as their amplitudes, which are their contrasts."""
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    return [(0.5 + amplitude * signs).expand(1, 3, 64, 64) for amplitude in amplitudes]


def flat(*levels: float):
    return [torch.full((1, 3, 64, 64), level) for level in levels]


def fade(image: torch.Tensor, frames: int):
    return [image * (1 - i / (frames - 1)) for i in range(frames)]


def as_drawn(_image, drawn, _colours):
    return drawn


@pytest.fixture(scope="module")
def draw(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    style = adapt_to_style(random_base, None, [picture(64, 64, seed=5)], settings=settings)
    style = replace(style, palette=None)

    def drawn(image, statistics):
        return stylize(random_base, style, image, precision="fp32", statistics=statistics)

    return drawn


@pytest.fixture(scope="module")
def locked(random_base, draw):
    """Draw frames under a lock, all three passes."""

    def run(frames, lock):
        shots, lock = find_shots(frames), Lock.parse(lock)
        held = measure_shots(draw, random_base.network, frames, shots, lock)
        pairs = enumerate(frames)
        found = list(draw_shots(draw, as_drawn, random_base.network, pairs, shots, held, lock))
        assert [place for place, _ in found] == list(range(len(frames)))
        return [drawn for _, drawn in found]

    return run


def starts(frames) -> list[int]:
    shots = find_shots(frames)
    assert [place for shot in shots for place in shot.frames] == list(range(len(frames)))
    return [shot.frames.start for shot in shots]


def test_cuts_are_found_and_pans_are_none():
    assert starts([*pan(1, 8), *pan(2, 8), *pan(3, 5)]) == [0, 8, 16]
    assert starts(pan(1, 20, step_px=4)) == [0]


@pytest.mark.parametrize(
    ("amplitudes", "cuts"),
    [
        ([0.1, 0.3], [1]),
        ([0.1, 0.14], []),
        ([0.1, 0.2, 0.4], []),
        # Beside the step of 0.2 are two of 0.1 and two of 0, half of them above a third of it.
        ([0.1, 0.3, 0.3, 0.2, 0.3, 0.3, 0.2], [1]),
        ([0.2, 0.3, 0.3, 0.2, 0.3, 0.3, 0.1], [6]),
        # Of the four beside the step of 0.2, three are 0.1.
        ([0.1, 0.3, 0.3, 0.2, 0.3, 0.2], []),
        ([0.2, 0.3, 0.2, 0.3, 0.3, 0.1], []),
    ],
)
def test_a_cut_is_thrice_what_changes_in_the_four_frames_before_and_after(amplitudes, cuts):
    assert starts(woven(*amplitudes)) == [0, *cuts]


@pytest.mark.parametrize(
    ("levels", "gains"),
    [
        # The first is the brightest of three before 0.4, and less than 1% above the second.
        ([0.5, 0.4975, 0.4, 0.2, 0.1, 0.0], {1: 0.995, 2: 0.8, 3: 0.4, 4: 0.2, 5: 0.0}),
        ([0.5, 0.4, 0.3, 0.2, 0.0], {1: 0.8, 2: 0.6, 3: 0.4, 4: 0.0}),
        # It flickers while it falls; what was brighter long before is no part of the fade.
        ([0.5, 0.2, 0.3, 0.0], {1: 0.4, 2: 0.6, 3: 0.0}),
        ([0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.0], {5: 1.0, 6: 0.5, 7: 0.0}),
        ([0.5, 0.2, 0.1], {}),
        (
            [0.5, 0.4, 0.2, 0.01, *[0.0] * 5],
            {1: 0.8, 2: 0.4, 3: 0.02} | dict.fromkeys(range(4, 9), 0),
        ),
        ([0.0, 0.25, 0.5, 0.25, 0.0], {0: 0.0, 1: 0.5, 3: 0.5, 4: 0.0}),
        ([0.01] * 5, {}),
    ],
)
def test_gains_of_a_fade_are_shares_of_the_brightness_it_falls_from(levels, gains):
    last = len(levels) - 1
    (shot,) = find_shots(flat(*levels))
    assert shot.gains == pytest.approx(gains)
    (back,) = find_shots(flat(*levels[::-1]))
    assert back.gains == pytest.approx({last - place: gain for place, gain in gains.items()})


def test_a_shot_that_fades_in_and_out_keeps_its_brightest_frame():
    (shot,) = find_shots(flat(0.0, 0.5, 0.5, 0.0))
    assert shot.clear == (1,)
    assert shot.gains == {0: 0.0, 2: 1.0, 3: 0.0}


@pytest.mark.parametrize(
    ("contrasts", "clear"),
    [
        ([0.0, 0.0], (0, 1)),
        ([0.03, 0.03, 0.03, 0.07, 0.1, 0.1], (4, 5)),
        ([0.1, 0.1, 0.1, 0.07, 0.1], (0, 1, 2, 4)),
        ([0.1, 0.09, 0.085, 0.1], (0, 1, 2, 3)),
        ([0.02, 0.02, 0.06, 0.1, 0.1], (3, 4)),
    ],
)
def test_clear_frames_have_the_contrast_that_the_better_half_of_the_shot_has(contrasts, clear):
    (shot,) = find_shots(woven(*contrasts))
    assert shot.clear == clear


def test_a_dark_frame_with_a_lamp_is_not_black():
    lamp = torch.zeros(1, 3, 64, 64)
    lamp[..., :8, :8] = 1.0
    assert starts([*flat(0.5, 0.5), lamp, lamp]) == [0, 2]


def test_of_a_large_frame_every_second_pixel_is_looked_at():
    (cells,) = woven(0.5)
    unlike = cells.repeat_interleave(8, -2).repeat_interleave(8, -1)
    seen = torch.full_like(unlike, 0.5)
    hidden = unlike.clone()
    hidden[..., ::2, ::2] = 0.5
    assert starts([seen, hidden]) == [0]
    assert starts([seen, unlike]) == [0, 1]


def test_an_object_a_flash_and_noise_are_no_cuts(generator):
    frames = pan(1, 10)
    frames[5] = (frames[5] * 1.3).clamp(0, 1)
    frames = [(f + 0.1 * torch.rand(f.shape, generator=generator) - 0.05) for f in frames]
    for frame in frames[7:]:
        frame[..., :32, :32] = 1
    assert starts(frames) == [0]


def test_a_shot_begins_after_black_and_not_at_it():
    black = [torch.zeros(1, 3, 64, 64)] * 3
    first, second = picture(64, 64, seed=1), picture(64, 64, seed=2)
    frames = [*black, *[first] * 4, *fade(first, 6), *black, *reversed(fade(second, 6))]
    assert starts(frames) == [0, 17]


def test_a_frame_drawn_with_its_own_statistics_is_the_same(locked, draw):
    (frame,) = pan(1, 1)
    torch.testing.assert_close(locked([frame], "first")[0], draw(frame, None), rtol=0, atol=1e-5)


@pytest.mark.parametrize("lock", ["first", "1", "mean:2"])
def test_an_object_in_a_quarter_changes_the_rest_by_a_level_at_most(locked, draw, lock):
    still = picture(160, 160, seed=4)
    entered = still.clone()
    entered[..., :80, :80] = 1
    frames = [still, still, still, entered, entered]
    # Farther from the object than the network of the tests sees, about 40 px.
    rest = torch.ones(160, 160, dtype=torch.bool)
    rest[:120, :120] = False

    def change(before, after):
        return float((before - after).abs().amax(1)[0][rest].max())

    assert change(draw(still, None), draw(entered, None)) > 5 * LEVEL
    drawn = locked(frames, lock)
    assert change(drawn[0], drawn[-1]) < LEVEL


def test_a_fade_to_black_fades_and_one_from_black_comes_back(locked, draw):
    image = picture(64, 64, seed=4)
    unlocked = [float(draw(f, None).mean()) for f in fade(image, 11)]
    assert unlocked[-2] > 0.9 * unlocked[0]
    down = [image] * 3 + fade(image, 11) + [torch.zeros_like(image)] * 4
    for frames in (down, down[::-1]):
        means = [float(drawn.mean()) for drawn in locked(frames, "first")]
        wanted = [unlocked[0] * float(f.mean() / image.mean()) for f in frames]
        assert means == pytest.approx(wanted, abs=0.02)


def test_a_cut_gives_the_next_shot_its_own_statistics(locked, draw):
    frames = [*pan(1, 4), *pan(2, 4)]
    drawn = locked(frames, "first")
    for place in (0, 4):
        torch.testing.assert_close(drawn[place], draw(frames[place], None), rtol=0, atol=1e-5)
    assert (drawn[7] - draw(frames[7], None)).abs().max() > LEVEL


@pytest.mark.parametrize("number", [5, 7, 8])
def test_the_chosen_frame_rules_its_shot_alone(locked, draw, number):
    frames = [*pan(1, 4), *pan(2, 4)]
    drawn = locked(frames, str(number))
    for place in (0, number - 1):
        torch.testing.assert_close(drawn[place], draw(frames[place], None), rtol=0, atol=1e-5)


def test_a_chosen_frame_beyond_the_film_is_refused(locked):
    remedy = r"choose one of them\.$"
    for frames in ([*pan(1, 4), *pan(2, 4)], pan(1, 5)):
        with pytest.raises(SettingsError, match=rf"frame 9, the film has {len(frames)}; {remedy}"):
            locked(frames, "9")


@pytest.mark.parametrize(
    ("lock", "references"), [("first", [0]), ("mean:3", [0, 2, 5]), ("mean:9", list(range(8)))]
)
def test_references_are_spread_and_no_frame_after_the_last_is_read(
    random_base, draw, lock, references
):
    frames, read, drawn = pan(1, 8), [], []

    def images():
        for place, frame in enumerate(frames):
            read.append(place)
            yield frame

    def noted(image, statistics):
        drawn.append(read[-1])
        return draw(image, statistics)

    shots = find_shots(frames)
    measure_shots(noted, random_base.network, images(), shots, Lock.parse(lock))
    assert drawn == references
    assert read == list(range(references[-1] + 1))


def test_a_mean_over_frames_is_that_of_all_their_pixels_together(random_base, draw):
    frames, name = pan(1, 2, step_px=8), "encoder.0.norm"
    shots = find_shots(frames)
    (held,) = measure_shots(draw, random_base.network, frames, shots, Lock("mean", 2))
    seen = []
    first = random_base.network.encoder[0].norm
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for frame in frames:
        draw(frame, None)
    hook.remove()
    variance, mean = torch.var_mean(torch.cat(seen), dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(held.norms[f"{name}.mean"], mean)
    torch.testing.assert_close(held.norms[f"{name}.variance"], variance)


def test_a_slow_mean_moves_with_the_film(locked):
    frames = pan(1, 12)
    slow, first = locked(frames, "slow"), locked(frames, "first")
    torch.testing.assert_close(slow[0], first[0])
    apart = [float((a - b).abs().mean()) for a, b in zip(slow, first, strict=True)]
    assert apart[11] > apart[3] > 0


def test_a_slow_mean_takes_a_fiftieth_of_every_clear_frame(random_base, draw):
    frames, mean = pan(1, 4), "encoder.0.norm.mean"
    shots = find_shots(frames)
    (start,) = measure_shots(draw, random_base.network, frames, shots, Lock("slow"))
    given, colours = [], []

    def drawn(_, statistics):
        given.append(statistics)
        return draw(frames[len(given) - 1], statistics)

    def finish(_image, drawing, moments):
        colours.append(float(moments._sums[1].sum() / moments._sums[0]))
        finished.append(float(drawing.sum()) / 64**2)
        return drawing

    finished = []
    pairs = enumerate(frames)
    list(draw_shots(drawn, finish, random_base.network, pairs, shots, [start], Lock("slow")))
    wanted, colour = start.norms[mean], colours[0]
    for place, frame in enumerate(frames):
        torch.testing.assert_close(given[place][mean], wanted)
        assert colours[place] == pytest.approx(colour)
        with noted_statistics(random_base.network) as own:
            draw(frame, None)
        wanted = wanted + (own[mean] - wanted) / 50
        colour += (finished[place] - colour) / 50


def test_a_lamp_in_a_fade_is_finished_at_white_and_the_rest_as_it_was(random_base, draw):
    image = picture(64, 64, seed=4)
    frames = [image] * 3 + fade(image, 11)
    frames[8] = frames[8].clone()
    frames[8][..., :4, :4] = 1.0
    shots, read, moments = find_shots(frames), [], []
    held = measure_shots(draw, random_base.network, frames, shots, Lock("first"))

    def finish(photograph, drawn, colours):
        read.append(photograph)
        moments.append(colours)
        return drawn

    pairs = enumerate(frames)
    list(draw_shots(draw, finish, random_base.network, pairs, shots, held, Lock("first")))
    assert len(shots) == 1
    assert read[8].max() == 1
    rest = torch.ones(64, 64, dtype=torch.bool)
    rest[:4, :4] = False
    torch.testing.assert_close(read[7], image)
    torch.testing.assert_close(read[8][..., rest], image[..., rest], rtol=0, atol=0.02)
    assert moments == [held[0].colours] * len(frames)


def test_what_need_not_be_drawn_is_passed_on(random_base, draw):
    frames, lock = pan(1, 4), Lock("first")
    shots = find_shots(frames)
    held = measure_shots(draw, random_base.network, frames, shots, lock)
    pairs = [(i, frame if i != 2 else None) for i, frame in enumerate(frames)]
    found = dict(draw_shots(draw, as_drawn, random_base.network, pairs, shots, held, lock))
    assert found[2] is None
    torch.testing.assert_close(found[3], draw(frames[3], held[0].norms))


def test_bad_locks_and_empty_films_are_refused():
    remedy = r"write first, a frame's number, mean:N for the mean of N frames, or slow\.$"
    for text in ("", "last", "mean", "-3", "first:2", "mean:x", "mean8"):
        with pytest.raises(SettingsError, match=f"'{text}'; {remedy}"):
            Lock.parse(text)
    for text in ("0", "mean:0"):
        with pytest.raises(SettingsError, match="number is 0"):
            Lock.parse(text)
    assert Lock.parse("mean:8") == Lock("mean", 8)
    words = r"^The film has no frame; choose another one or another part of it\.$"
    with pytest.raises(SettingsError, match=words):
        find_shots([])
