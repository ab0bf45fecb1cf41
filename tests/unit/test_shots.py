"""Shots: where cuts are found, and what frames have in common when statistics are locked."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError
from metastyle_core.shots import Lock, draw_shots, find_shots, measure_shots
from metastyle_core.stylization import stylize

LEVEL = 1 / 255


def pan(seed: int, frames: int, step_px: int = 2):
    """A window of 64 px that moves over a made-up picture."""
    wide = picture(64, 64 + frames * step_px, seed=seed)
    return [wide[..., i * step_px : i * step_px + 64] for i in range(frames)]


def fade(image: torch.Tensor, frames: int):
    return [image * (1 - i / (frames - 1)) for i in range(frames)]


def as_drawn(_image, drawn, _colours):
    return drawn


@pytest.fixture(scope="module")
def draw(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    style = adapt_to_style(random_base, None, [picture(64, 64, seed=5)], settings=settings)

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
    down = [image] * 3 + fade(image, 11)
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


def test_the_chosen_frame_rules_its_shot_alone(locked, draw):
    frames = [*pan(1, 4), *pan(2, 4)]
    drawn = locked(frames, "7")
    for place in (0, 6):
        torch.testing.assert_close(drawn[place], draw(frames[place], None), rtol=0, atol=1e-5)
    with pytest.raises(SettingsError, match="frame 9, the film has 8"):
        locked(frames, "9")


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


def test_what_need_not_be_drawn_is_passed_on(random_base, draw):
    frames, lock = pan(1, 4), Lock("first")
    shots = find_shots(frames)
    held = measure_shots(draw, random_base.network, frames, shots, lock)
    pairs = [(i, frame if i != 2 else None) for i, frame in enumerate(frames)]
    found = dict(draw_shots(draw, as_drawn, random_base.network, pairs, shots, held, lock))
    assert found[2] is None
    torch.testing.assert_close(found[3], draw(frames[3], held[0].norms))


def test_bad_locks_and_empty_films_are_refused():
    for text in ("", "last", "mean", "-3", "first:2", "mean:x", "mean8"):
        with pytest.raises(SettingsError, match=f"'{text}'; write first"):
            Lock.parse(text)
    for text in ("0", "mean:0"):
        with pytest.raises(SettingsError, match="number is 0"):
            Lock.parse(text)
    assert Lock.parse("mean:8") == Lock("mean", 8)
    with pytest.raises(SettingsError, match="no frame"):
        find_shots([])
