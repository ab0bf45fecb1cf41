"""Stylize Video: sound, times and trim kept, cancelled within a frame, absent on older hosts."""

import asyncio
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

from unit.conftest import image, stylize
from unit.fake_host import FakeMemoryError, Interrupted, VideoFromFile, loaded_pack
from unit.films import make_film, pixels_of, sound_of, times_of

from metastyle_core.film.reading import VideoFile


@pytest.fixture
def clip(tmp_path) -> Path:
    return make_film(tmp_path / "clip.mp4")


@pytest.fixture
def style(adapt):
    return adapt(steps=0).style


@pytest.fixture
def draw(run, model, style):
    """What the node makes of a video; keywords replace its inputs."""

    def execute(video, **changed):
        inputs = {
            "model": model, "style": style, "video": video, "strength": 1.0, "lock": "off",
            "lock_frames": 1, "precision": "fp32", "grain": 0.0, "seed": 0,
        }  # fmt: skip
        return run("MetaStyleStylizeVideo", **inputs | changed).args[0]

    return execute


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def temporary(fake_host) -> Path:
    return fake_host.models_dir.parent / "temp"


def test_frames_are_drawn_with_their_times_and_sound(draw, clip, temporary, fake_host, run, model,
                                                     style):  # fmt: skip
    drawn = draw(VideoFromFile(str(clip)))
    assert isinstance(drawn, VideoFromFile)
    assert [done for done, _, _ in fake_host.progress][-10:] == list(range(1, 11))
    path = Path(drawn.file)
    assert path.parent == temporary
    assert times_of(path) == times_of(clip)
    assert sound_of(path) == sound_of(clip)
    frame = next(VideoFile(clip).frames()).image().movedim(1, -1)
    plain = {"grain": 0.0, "abstraction": 0.0, "supersampling": 1.0}
    wanted = stylize(run, model, style, frame, **plain)[0].numpy() * 255
    assert np.abs(pixels_of(path)[0] - wanted).mean() < 8


def test_a_trim_is_kept_with_its_sound(draw, clip):
    video = VideoFromFile(str(clip))
    video.window = (0.3, 0.4)
    path = Path(draw(video).file)
    assert times_of(path) == pytest.approx([0, 0.1, 0.2, 0.3])
    data = [packet for _, packet in sound_of(path)]
    assert data == [packet for time, packet in sound_of(clip) if 0.3 <= time < 0.7]


def test_a_video_in_memory_is_read_from_there(draw, clip):
    path = Path(draw(VideoFromFile(BytesIO(clip.read_bytes()))).file)
    assert times_of(path) == times_of(clip)


def test_what_cannot_be_seen_in_the_file_is_saved_by_the_host_first(draw, clip, temporary):
    class Cropped(VideoFromFile):
        """Of another size than its file."""

        def get_dimensions(self):
            return (32, 32)

    class Older(VideoFromFile):
        """Knows of no window."""

        get_active_trim_window = None

    for kind in (Cropped, Older):
        video = kind(str(clip))
        path = Path(draw(video).file)
        assert len(video.saved) == 1
        assert len(times_of(path)) == 10
        assert not Path(video.saved[0]).exists()


def test_sound_that_mp4_does_not_hold_goes_into_mkv(draw, tmp_path):
    source = make_film(tmp_path / "clip.mkv", audio="pcm_s16le")
    path = Path(draw(VideoFromFile(str(source))).file)
    assert path.suffix == ".mkv"
    assert [data for _, data in sound_of(path)] == [data for _, data in sound_of(source)]


@pytest.mark.parametrize("lock", ["off", "first", "frame", "mean", "slow"])
def test_every_lock_draws_every_frame(draw, clip, lock):
    path = Path(draw(VideoFromFile(str(clip)), lock=lock, lock_frames=3).file)
    assert len(times_of(path)) == 10


def test_a_lock_leaves_the_rest_of_the_picture_alone(draw, tmp_path):
    still = (image(48, 96)[0].numpy() * 255).astype(np.uint8)
    entered = still.copy()
    entered[:40, :28] = 255
    source = make_film(
        tmp_path / "clip.mkv", pictures=[still] * 3 + [entered] * 3, times=range(6),
        codec="ffv1", layout="bgr0", audio=None,
    )  # fmt: skip
    change = {}
    for lock in ("off", "first"):
        frames = pixels_of(Path(draw(VideoFromFile(str(source)), lock=lock).file))
        change[lock] = np.abs(frames[0].astype(int) - frames[-1])[:, -16:].mean()
    assert change["off"] > 3 * change["first"]


def test_colours_mask_edges_and_steadiness_reach_the_frames(draw, clip):
    film = VideoFromFile(str(clip))
    plain = pixels_of(Path(draw(film).file))[0].astype(int)
    half = torch.zeros(1, 24, 32)
    half[..., :16] = 1
    green = torch.tensor([0.1, 0.8, 0.1]).expand(1, 8, 8, 3)

    def drawn(**inputs):
        return pixels_of(Path(draw(film, **inputs).file))[0].astype(int)

    masked, own = drawn(mask=half), pixels_of(clip)[0]
    assert np.abs(masked[:, 36:] - own[:, 36:]).mean() < 4
    assert np.abs(masked[:, :28] - plain[:, :28]).mean() < 4
    matched = drawn(colour="match", palette=green).mean((0, 1))
    assert matched == pytest.approx([25, 204, 25], abs=8)
    kept = drawn(colour="photograph")
    assert np.abs(kept - own).std(-1).mean() < np.abs(plain - own).std(-1).mean()
    for inputs in ({"steady": "2"}, {"steady": "4"}, {"seamless": "x"}):
        assert np.abs(drawn(**inputs) - plain).mean() > 0.1


@pytest.mark.parametrize(("lock", "after"), [("off", 4), ("first", 3), ("first", 14)])
def test_cancel_stops_within_a_frame_and_leaves_nothing(
    draw, clip, temporary, fake_host, lock, after
):
    fake_host.interrupt_after = fake_host.checks + after
    with pytest.raises(Interrupted):
        draw(VideoFromFile(str(clip)), lock=lock)
    assert fake_host.checks == fake_host.interrupt_after + 1
    assert files_in(temporary) == []


def test_bad_videos_are_one_line(pack, draw, tmp_path, clip, temporary):
    small = make_film(tmp_path / "small.mkv", pictures=[np.zeros((8, 64, 3), np.uint8)],
                      times=[0], codec="ffv1", layout="bgr0", audio=None)  # fmt: skip
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    with pytest.raises(pack.metastyle_core.errors.MetaStyleError, match="Input 'video' is 64x8 px"):
        draw(VideoFromFile(str(small)))
    with pytest.raises(pack.metastyle_core.errors.MetaStyleError, match="no film that can be read"):
        draw(VideoFromFile(str(text)))
    with pytest.raises(
        pack.metastyle_core.errors.MetaStyleError, match="frame 30, the film has 10"
    ):
        draw(VideoFromFile(str(clip)), lock="frame", lock_frames=30)
    with pytest.raises(
        pack.metastyle_core.errors.MetaStyleError, match="Input 'mask' is 32x32 px and the picture"
    ):
        draw(VideoFromFile(str(clip)), mask=torch.ones(1, 32, 32))
    assert files_in(temporary) == []


def test_too_little_memory_says_what_to_do(draw, clip, monkeypatch, pack, temporary):
    def fail(*_: object, **__: object) -> torch.Tensor:
        raise FakeMemoryError("out of memory")

    monkeypatch.setattr(pack.metastyle_core.film.drawing, "stylize", fail)
    with pytest.raises(pack.metastyle_core.errors.MetaStyleError, match="one frame of 64x48 px"):
        draw(VideoFromFile(str(clip)))
    assert files_in(temporary) == []


def test_an_older_host_has_all_other_nodes(fake_host):
    with loaded_pack(fake_host, old=True) as pack:
        extension = asyncio.run(pack.comfy_entrypoint())
        names = {node.__name__ for node in asyncio.run(extension.get_node_list())}
    assert "StylizeVideo" not in names
    assert {"Stylize", "AdaptToStyle", "LoadMetaStyle"} <= names
