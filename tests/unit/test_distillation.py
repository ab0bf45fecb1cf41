"""Distillation of an encoder: what a student learns, from whom, and how it grows."""

from dataclasses import replace

import pytest
import torch
from samples import TINY_SPEC, picture
from torch import Generator
from unit.small_training import LOOP

from metastyle_core.encoder import EncoderSpec, PerceptualEncoder, load_encoder
from metastyle_core.errors import CheckpointError, SettingsError
from metastyle_core.training import distillation, judged_pictures
from metastyle_core.training.distillation import Distillation, DistillationSettings
from metastyle_core.training.recipe import Shard
from metastyle_core.training.trainer import Trainer

STUDENT = EncoderSpec(
    "student", ((4,), (6,)), content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"),
    projected_channels={"relu1_1": 3, "relu2_1": 5},
)  # fmt: skip


@pytest.fixture(autouse=True)
def few_pictures_for_the_axes(monkeypatch):
    """A few pictures tell the axes of a teacher of fourteen channels."""
    monkeypatch.setattr(distillation, "_AXES_BATCHES", 4)


def make_distillation(tiny_encoder, pool, spec=STUDENT, *, replay=0, **options) -> Distillation:
    settings = DistillationSettings(batch=4, crop_px=64, precision="fp32", replay=replay)
    return Distillation(
        tiny_encoder, spec, pool, pool, settings, device=torch.device("cpu"), **options
    )


def test_distillation_lowers_the_error_and_exports_a_loadable_encoder(tmp_path, tiny_encoder, pool):
    recipe = make_distillation(tiny_encoder, pool)
    reports = []
    settings = replace(LOOP, updates=60, learning_rate=1e-2, log_every=20)
    Trainer(recipe, settings, tmp_path).run(reports.append)
    assert reports[-1].metrics["loss"] < 0.6 * reports[0].metrics["loss"]
    student = load_encoder("compact", weights=tmp_path / "compact.safetensors")
    assert student.spec == STUDENT
    assert student(torch.rand(1, 3, 32, 32))["relu2_1"].shape == (1, 5, 16, 16)


def test_distillation_goes_on_from_an_exported_encoder(tmp_path, tiny_encoder, pool):
    first = make_distillation(tiny_encoder, pool, seed=3)
    first.export(tmp_path, {})
    second = make_distillation(tiny_encoder, pool, seed=4)
    second.start_from(tmp_path / "compact.safetensors")
    wanted = dict(first.modules["student"].named_parameters())
    for name, parameter in second.modules["student"].named_parameters():
        torch.testing.assert_close(parameter, wanted[name].half().float(), rtol=0, atol=0)


def test_a_grown_student_begins_with_the_features_of_the_narrower_one(tmp_path, tiny_encoder, pool):
    narrow = make_distillation(tiny_encoder, pool, seed=3)
    narrow.export(tmp_path, {})
    wide = make_distillation(tiny_encoder, pool, replace(STUDENT, blocks=((5,), (9,))), seed=4)
    wide.start_from(tmp_path / "compact.safetensors")
    image = picture(40, 48)
    wanted = load_encoder("compact", weights=tmp_path / "compact.safetensors")(image)
    for layer, features in wide.modules["student"](image).items():
        torch.testing.assert_close(features, wanted[layer])
    # New channels are not heard yet, but they are there to learn.
    assert wide.modules["student"].get_parameter("convolutions.conv1_1.weight")[4].abs().sum() > 0


@pytest.mark.parametrize(
    "spec",
    [
        replace(STUDENT, blocks=((3,), (6,))),
        replace(STUDENT, blocks=((4, 4), (6,))),
        replace(STUDENT, projected_channels={"relu1_1": 3, "relu2_1": 4}),
    ],
)
def test_distillation_does_not_start_from_an_encoder_that_does_not_fit(
    spec, tmp_path, tiny_encoder, pool
):
    make_distillation(tiny_encoder, pool).export(tmp_path, {})
    with pytest.raises(CheckpointError, match="other or wider layers"):
        make_distillation(tiny_encoder, pool, spec).start_from(tmp_path / "compact.safetensors")


def test_projections_keep_what_the_axes_span(tiny_encoder, pool):
    """With as many axes as channels, Gram energies relative to each other are the teacher's."""
    spec = replace(STUDENT, projected_channels={"relu1_1": 6, "relu2_1": 8})
    settings = DistillationSettings(batch=4, crop_px=64, precision="fp32")
    recipe = Distillation(tiny_encoder, spec, pool, pool, settings, device=torch.device("cpu"))
    axes = recipe.modules["axes"]
    one, other = picture(64, 64, seed=1), picture(64, 64, seed=2)
    for tap in ("relu1_1", "relu2_1"):
        features = [tiny_encoder(x) for x in (one, other)]
        projected = [axes({**f}) for f in features]

        def distance(pair, tap=tap):
            return (pair[0][tap] - pair[1][tap]).square().sum() / pair[0][tap].square().sum()

        torch.testing.assert_close(distance(projected), distance(features), rtol=1e-3, atol=1e-5)


def test_shares_of_a_distillation_add_up_to_the_whole(tiny_encoder, pool):
    recipe = make_distillation(tiny_encoder, pool)
    weight = recipe.modules["student"].get_parameter("convolutions.conv1_1.weight")
    whole = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    wanted = weight.grad.clone()
    weight.grad.zero_()
    parts = [recipe.accumulate_gradients(Generator().manual_seed(0), Shard(r, 2)) for r in range(2)]
    assert [part.count for part in parts] == [2, 2]
    torch.testing.assert_close(weight.grad, wanted, rtol=1e-4, atol=1e-5)
    loss = sum(part.metrics["loss"] for part in parts)
    assert loss == pytest.approx(whole.metrics["loss"], rel=1e-4)


def test_a_distillation_without_a_finite_loss_names_the_same_metrics(tiny_encoder, pool):
    """Processes add up their metrics by position, so that the names must agree."""
    recipe = make_distillation(tiny_encoder, pool)
    good = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    with torch.no_grad():
        recipe.modules["student"].get_parameter("convolutions.conv1_1.bias").fill_(float("nan"))
    bad = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    assert (bad.count, bad.skipped) == (0, 4)
    assert bad.metrics == dict.fromkeys(good.metrics, 0.0)


def test_a_third_of_a_students_pictures_are_those_it_judged_as_they_are(
    random_base, tiny_encoder, pool, monkeypatch
):
    asked = []

    def draw(supply, count, generator):
        asked.append(count)
        return torch.full((count, 3, 64, 64), 0.25)

    monkeypatch.setattr(judged_pictures.JudgedPictures, "draw", draw)
    recipe = make_distillation(tiny_encoder, pool, base=random_base)
    seen = []
    with tiny_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        outcome = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    assert asked == [1]
    assert outcome.count == 4
    assert [bool((picture == 0.25).all()) for picture in seen[0]] == [True, False, False, False]


@pytest.mark.usefixtures("few_judged_steps")
def test_a_student_learns_from_its_own_adaptations_and_is_not_moved_by_them(
    random_base, tiny_encoder, pool
):
    recipe = make_distillation(tiny_encoder, pool, base=random_base)
    before = {k: p.detach().clone() for k, p in recipe.modules["student"].named_parameters()}
    assert recipe.accumulate_gradients(Generator().manual_seed(0), Shard()).count == 4
    for name, parameter in recipe.modules["student"].named_parameters():
        assert torch.equal(parameter, before[name])


@pytest.mark.parametrize(
    ("settings", "message"), [({"batch": 2}, "3 are needed"), ({"crop_px": 48}, "48 px")]
)
def test_a_student_with_a_base_needs_room(settings, message, random_base, tiny_encoder, pool):
    chosen = replace(DistillationSettings(batch=4, crop_px=64), **settings)
    with pytest.raises(SettingsError, match=message):
        Distillation(
            tiny_encoder, STUDENT, pool, pool, chosen, device=torch.device("cpu"), base=random_base
        )


def test_judged_pictures_need_a_predictor(random_base, tiny_encoder, pool):
    with pytest.raises(SettingsError, match="predictor"):
        make_distillation(tiny_encoder, pool, base=replace(random_base, predictor=None))


def test_replayed_updates_ask_the_teacher_once(tiny_encoder, pool):
    recipe = make_distillation(tiny_encoder, pool, replay=2)
    generator, asked = Generator().manual_seed(0), []
    with tiny_encoder.register_forward_hook(lambda *_: asked.append(1)):
        outcomes = [recipe.accumulate_gradients(generator, Shard()) for _ in range(6)]
    assert len(asked) == 2
    losses = [outcome.metrics["loss"] for outcome in outcomes]
    # The student does not train here, so that a picture keeps its loss, up to its rounding.
    assert losses[1] == pytest.approx(losses[0], rel=0.004)
    assert losses[2] == pytest.approx(losses[0], rel=0.004)
    assert losses[3] != pytest.approx(losses[0], rel=0.004)


def test_the_teachers_word_is_in_float32_whatever_the_convolutions_are(tiny_encoder, pool):
    settings = DistillationSettings(batch=2, crop_px=32, precision="bf16")
    recipe = Distillation(tiny_encoder, STUDENT, pool, pool, settings, device=torch.device("cpu"))
    _, targets = recipe._batch(Generator().manual_seed(0), Shard())
    assert {target.dtype for target in targets.values()} == {torch.float32}


def test_remembered_batches_are_limited(tiny_encoder, pool, monkeypatch):
    monkeypatch.setattr(distillation, "_REMEMBERED_BATCHES", 2)
    recipe = make_distillation(tiny_encoder, pool, replay=1)
    generator = Generator().manual_seed(0)
    for _ in range(8):
        recipe.accumulate_gradients(generator, Shard())
    assert len(recipe._remembered) == 2


def test_a_teacher_needs_the_students_taps(pool):
    shallow = PerceptualEncoder(replace(TINY_SPEC, blocks=((6,),), content_layers=("relu1_1",),
                                        style_layers=("relu1_1",)))  # fmt: skip
    with pytest.raises(SettingsError, match="relu2_1"):
        make_distillation(shallow, pool)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 1},
        {"distorted": 2.0},
        {"replay": -1},
    ],
)
def test_illegal_settings_of_a_distillation_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        DistillationSettings(**wrong)
