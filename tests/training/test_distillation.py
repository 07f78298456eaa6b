"""Teachers, linear maps and the loss of a student; the recipe from end to end."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import numpy_vgg, relative_error

from nstjax import files, runs
from nstjax import images as library_images
from nstjax.errors import UserError
from nstjax.networks import formats, pretrained, vgg
from nstjax.networks.normalise import mean_activations
from nstjax.training import distillation, fidelity, mini, recipe, reconstruction
from nstjax.universal import levels

TAPS = ("relu1_1", "relu2_1")
CONFIGS = Path(__file__).parents[2] / "configs"


def images(n=4, size=32, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, size, size, 3)).astype(np.float32)


def student_params(seed=0):
    return {conv: p for conv, p in vgg.random_params(seed, vgg.TINY_WIDTHS).items() if conv <= "conv2_1"}


def as_teacher(params, scale=1.0):
    network = distillation.make_student(vgg.TINY_WIDTHS, TAPS)

    def teacher(images, padding):
        return {tap: scale * x for tap, x in network(params, images, padding).items()}

    return teacher


def identity_maps(scale=1.0):
    widths = dict(zip(TAPS, vgg.TINY_WIDTHS[:2], strict=True))
    return {tap: {"kernel": scale * jnp.eye(n), "bias": jnp.zeros(n)} for tap, n in widths.items()}


def test_a_student_that_is_its_teacher_has_no_loss_and_no_gradient():
    params = student_params()
    scales = {tap: jnp.ones(n) for tap, n in zip(TAPS, vgg.TINY_WIDTHS[:2], strict=True)}
    student = distillation.make_student(vgg.TINY_WIDTHS, TAPS)
    loss = distillation.make_loss(student, as_teacher(params), scales, {})
    value, report = loss({"vgg": params, "maps": identity_maps()}, images())
    assert value == 0 and set(report) == {f"{tap}/{kind}" for tap in TAPS for kind in ("feature", "gram")}
    # Twice the features: an error of 1/4 of their power, and (1 - 1/4)^2 of their Gram matrices'.
    loss = distillation.make_loss(student, as_teacher(params, 2.0), scales, {})
    value, report = loss({"vgg": params, "maps": identity_maps()}, images())
    for tap in TAPS:
        np.testing.assert_allclose(report[f"{tap}/feature"], 1 / 4, rtol=1e-5)
        np.testing.assert_allclose(report[f"{tap}/gram"], 9 / 16, rtol=1e-5)
    np.testing.assert_allclose(value, 2 * (1 / 4 + 9 / 16), rtol=1e-5)


def test_only_what_is_not_frozen_is_trained():
    params, other = student_params(), student_params(1)
    scales = {tap: jnp.ones(n) for tap, n in zip(TAPS, vgg.TINY_WIDTHS[:2], strict=True)}
    student = distillation.make_student(vgg.TINY_WIDTHS, TAPS)
    frozen = {conv: p for conv, p in params.items() if conv != "conv2_1"}
    loss = distillation.make_loss(student, as_teacher(other), scales, frozen)
    trained = {"vgg": {"conv2_1": params["conv2_1"]}, "maps": identity_maps()}
    gradient = jax.jit(jax.grad(lambda p: loss(p, images())[0]))(trained)
    assert jax.tree.structure(gradient) == jax.tree.structure(trained)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(gradient))


def test_fitted_maps_are_those_the_teacher_was_made_with():
    params, rng = student_params(), np.random.default_rng(0)
    student = distillation.make_student(vgg.TINY_WIDTHS, TAPS)
    made = {
        tap: {"kernel": rng.normal(size=(n, 5)).astype(np.float32), "bias": np.arange(5.0)}
        for tap, n in zip(TAPS, vgg.TINY_WIDTHS[:2], strict=True)
    }

    @jax.jit
    def features(images):
        return student(params, images, "zero")

    def teacher(images):
        return {tap: distillation.apply_map(made[tap], x) for tap, x in features(images).items()}

    pictures = [images(1, 40)[0], images(1, 32, 1)[0]]
    fitted = distillation.fit_maps(features, teacher, pictures)
    for tap in TAPS:
        assert relative_error(fitted[tap]["kernel"], made[tap]["kernel"]) < 1e-3  # a ridge of 1e-6
        assert relative_error(fitted[tap]["bias"], made[tap]["bias"]) < 1e-3
    found = fidelity.correlations(features, teacher, fitted, pictures)
    assert all(value > 0.9999 for value in found.values())
    # Noise of the teacher's own power leaves a correlation of the root of one half.

    def noisy(images):
        noise = np.random.default_rng(5)
        return {tap: x + np.std(x, (0, 1)) * noise.normal(size=x.shape) for tap, x in teacher(images).items()}

    found = fidelity.correlations(features, noisy, made, [images(1, 128)[0]])
    assert all(abs(value - 0.5**0.5) < 0.02 for value in found.values())


def test_scales_make_every_channel_weigh_the_same():
    teacher = as_teacher(student_params(), 30.0)
    batches = [images(2, 32, seed) for seed in range(3)]
    scales = distillation.unit_scales(lambda x: teacher(x, "zero"), batches)
    run = jax.jit(teacher, static_argnums=1)
    features = [run(b, "zero") for b in batches]
    for tap in TAPS:
        power = np.mean([np.mean((scales[tap] * f[tap]) ** 2, (0, 1, 2)) for f in features], 0)
        np.testing.assert_allclose(power, 1, rtol=1e-4)


def test_a_teacher_is_its_network_and_must_reach_its_taps(tmp_path):
    loaded, image = pretrained.load("random-tiny"), images(1, 32)[0]
    ours = jax.jit(distillation.make_teacher("random-tiny", distillation.DEEP), static_argnums=1)
    for padding in ("zero", "reflect"):
        theirs = numpy_vgg(loaded.params, loaded.preprocessing(image), "max", padding)
        for tap, found in ours(image, padding).items():
            assert relative_error(found, theirs[tap]) < 1e-4, tap
    params = {conv: p for conv, p in loaded.params.items() if conv <= "conv3_1"}
    formats.save(tmp_path / "short.safetensors", formats.Weights(params, vgg.CAFFE, "short"))
    with pytest.raises(UserError, match=r"teacher .*short.safetensors: ends at relu3_1, before relu4_1"):
        distillation.make_teacher(str(tmp_path / "short.safetensors"), distillation.DEEP)


def gram_distances(found, others):
    """[n]: sums over taps of relative squared errors of Gram matrices, in float64."""
    total = 0
    for tap in found:
        grams = []
        for x in (found[tap], others[tap]):
            flat = np.asarray(x, np.float64).reshape(len(x), -1, x.shape[-1])
            grams.append(np.einsum("bnc,bnd->bcd", flat, flat) / flat.shape[1])
        total += np.sum((grams[0] - grams[1]) ** 2, (1, 2)) / np.sum(grams[1] ** 2, (1, 2))
    return total


def test_pictures_in_pursuit_approach_the_others_each_further_than_the_one_before():
    brightness = np.linspace(0.2, 1, 6, dtype=np.float32)[:, None, None, None]
    params, pictures = student_params(), brightness * images(6)
    student = distillation.make_student(vgg.TINY_WIDTHS, TAPS)
    features = jax.jit(lambda x: student(params, x, "zero"))
    moved = np.asarray(jax.jit(lambda x: distillation.pursue(features, x, 9))(pictures))
    assert (moved[3:] == pictures[3:]).all() and moved.min() >= 0 and moved.max() <= 1
    furthest = np.abs(moved - pictures)[:3].max((1, 2, 3)) / distillation.PURSUIT_RATE
    # A step of Adam is at most about its rate long, and its first steps are.
    np.testing.assert_allclose(furthest, [3, 6, 9], rtol=0.05)
    before = gram_distances(features(pictures[:3]), features(pictures[3:]))
    after = gram_distances(features(moved[:3]), features(moved[3:]))
    assert (after < 0.9 * before).all()


@pytest.mark.slow
def test_the_weight_of_gram_matrices_and_the_pursuit_enter_the_loss():
    params, pictures = student_params(), images(8)
    scales = {tap: jnp.ones(n) for tap, n in zip(TAPS, vgg.TINY_WIDTHS[:2], strict=True)}
    student = distillation.make_student(vgg.TINY_WIDTHS, TAPS)
    teacher = as_teacher(student_params(1))
    trained = {"vgg": params, "maps": identity_maps()}
    value, report = distillation.make_loss(student, teacher, scales, {}, gram_weight=3.0)(trained, pictures)
    expected = sum(v * (3 if name.endswith("gram") else 1) for name, v in report.items())
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    moved = [
        distillation.pursue(lambda x, p=padding: student(params, x, p), part, 3)
        for padding, part in zip(("zero", "reflect"), np.split(pictures, 2), strict=True)
    ]
    of_moved, _ = distillation.make_loss(student, teacher, scales, {})(trained, jnp.concatenate(moved))
    pursuing = distillation.make_loss(student, teacher, scales, {}, pursuit=3)
    np.testing.assert_allclose(pursuing(trained, pictures)[0], of_moved, rtol=1e-5)


def config_of(name):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mini_config(*arguments):
    return config_of("mini").get_config(*arguments)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("texture_share", 1.0, r"texture_share must be in \[0, 1\); got 1.0"),
        ("shallow.batch", 6, "shallow.batch must be a positive multiple of 4; got 6"),
        ("decoder1.batch", 3, "decoder1.batch must be a positive multiple of 2; got 3"),
        ("deep.pursuit", -1, "deep.pursuit must be at least 0; got -1"),
        ("shallow.gram_weight", 0.0, "shallow.gram_weight must be above 0; got 0.0"),
        ("deep.size", 100, "deep.size must be a positive multiple of 16; got 100"),
        ("decoder4.steps", 0, "decoder4.steps must be a positive multiple of 1; got 0"),
        ("decoder1.optimizer", "sgd", "decoder1.optimizer must be adam or muon; got 'sgd'"),
        ("deep.learning_rate", 0.0, "deep.learning_rate must be above 0; got 0.0"),
        ("log_every", 0, "log_every must be at least 1; got 0"),
        ("dtype", "int8", "dtype must be float16 or float32; got 'int8'"),
        ("data", "nowhere", "data nowhere: no such folder"),
    ],
)
def test_a_bad_value_of_a_recipe_is_one_line(key, value, message, tmp_path):
    config = mini_config("smoke")
    config.update_from_flattened_dict({"teacher": "random-tiny", key: value})
    with pytest.raises(UserError, match=message):
        mini.load(config, tmp_path / "run")


def test_a_recipe_and_an_image_are_not_taken_for_one_another():
    with pytest.raises(UserError, match=r"the config has no key 'method'; expected that of an image"):
        runs.load(mini_config())
    image = config_of("demo").get_config()
    with pytest.raises(UserError, match=r"the config has no key 'data'; expected that of a recipe"):
        mini.check(image)


def test_a_teacher_that_is_missing_is_one_line_before_anything_is_trained(shared, tmp_path):
    config = mini_config("smoke")
    with config.unlocked():
        config.data = str(shared / "photos")
        config.teacher = str(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match=r"none\.safetensors.*: no such file"):
        mini.load(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_layers_are_scaled_to_a_mean_of_one_and_filters_to_what_they_are_worth(monkeypatch):
    pictures = [images(1, size, size)[0] for size in (40, 24)]
    monkeypatch.setattr(library_images, "calibration_images", lambda: pictures)
    params = {c: p for c, p in vgg.random_params(3, vgg.TINY_WIDTHS).items() if c <= "conv2_1"}
    params["conv1_2"]["bias"] = np.array([-1e3, 0, 0, 0], np.float32)  # a filter that never fires
    trained = formats.Weights(params, vgg.TORCHVISION, "tiny")
    rng = np.random.default_rng(0)
    maps = {"relu1_1": {"kernel": rng.normal(size=(vgg.TINY_WIDTHS[0], 5)), "bias": np.zeros(5)}}
    scaled = mini._normalised(trained, maps)
    how = {"pooling": "max", "padding": "zero"}
    before = mean_activations(trained, pictures, **how)
    after = mean_activations(scaled, pictures, **how)
    for conv in ("conv1_1", "conv2_1"):
        np.testing.assert_allclose(after[conv].mean(), 1, rtol=1e-3)
    gain = after["conv1_1"] / before["conv1_1"]
    worth = np.linalg.norm(maps["relu1_1"]["kernel"], axis=1)
    np.testing.assert_allclose(gain / gain.mean(), worth / worth.mean(), rtol=1e-3)
    # Where there is no map every filter that fires has a mean of 1; one that never does stays finite.
    np.testing.assert_allclose(after["conv1_2"][1:], 1, rtol=1e-3)
    assert after["conv1_2"][0] == 0 and np.isfinite(scaled.params["conv1_2"]["kernel"]).all()


@pytest.mark.slow
def test_the_recipe_leaves_an_encoder_and_decoders_and_goes_on_where_it_was(shared, tmp_path):
    config = mini_config("smoke")
    config.data = f"{shared / 'photos'},{shared / 'training'}"
    outputs = mini.make(mini.load(config, tmp_path / "run"))
    before = {name: path.read_bytes() for name, path in outputs.items()}
    loaded = pretrained.load(str(outputs["encoder"]))
    assert vgg.reachable_taps(loaded.params)[-1] == "relu5_1" and "Simonyan" in loaded.about["attribution"]
    decoders = pretrained.load_decoders(str(outputs["decoders"]))
    assert set(decoders.params) == {f"decoder{level}" for level in range(1, 6)}
    for path in outputs.values():
        path.unlink()
    again = mini.make(mini.load(config, tmp_path / "run"))
    assert {name: path.read_bytes() for name, path in again.items()} == before
    kept_away = {path.stem for path in (shared / "photos").iterdir()} & {*config.held_out, *config.left_out}
    used = files.read_json(tmp_path / "run" / "deep" / "provenance.json")["inputs"]["pictures"]
    used = {Path(name).stem for name in used}
    assert len(kept_away) == 13 and not kept_away & used and {"in01", "53_plasma"} <= used


def decoder_config(**values):
    config = config_of("decoder").get_config("smoke")
    with config.unlocked():
        config.update({"weights": "random-tiny", "levels": (2, 1), **values})
        config.decoder1.steps = 60
        config.decoder2.optimizer = "adam"
        config.decoder3.optimizer = "adam"
    return config


@pytest.fixture
def quick(monkeypatch):
    """Two of the package's pictures stand for all of them, and initialisation is compiled."""
    monkeypatch.setattr(library_images, "example_names", lambda: ("coffee", "brushwork"))
    init = jax.jit(reconstruction.init, static_argnums=(1, 2))
    monkeypatch.setattr(reconstruction, "init", init)


@pytest.mark.slow
def test_decoders_of_an_encoder_are_trained_and_go_with_it(tmp_path, quick):
    config = decoder_config()
    output = recipe.make_decoders(*recipe.load_decoders(config, tmp_path))["decoders"]
    before = output.read_bytes()
    decoders = pretrained.load_decoders(str(output))
    assert [*decoders.params] == ["decoder1", "decoder2"] and decoders.widths == vgg.TINY_WIDTHS
    loaded = levels.load("random-tiny", (2,), decoders=str(output)).levels[2]
    assert jax.eval_shape(lambda x: loaded.decode(loaded.encode(x)), images(1)[0]).shape == (32, 32, 3)
    curves = [
        [row["loss"] for row in files.read_json_lines(tmp_path / f"decoder{n}" / "metrics.jsonl")]
        for n in (1, 2)
    ]
    assert [len(curve) for curve in curves] == [60, 4]
    assert np.mean(curves[0][-9:]) < 0.9 * np.mean(curves[0][:9])
    output.unlink()
    recipe.make_decoders(*recipe.load_decoders(config, tmp_path))  # finds both trained
    assert output.read_bytes() == before
    more = decoder_config(levels=(1, 2, 3))
    recipe.make_decoders(*recipe.load_decoders(more, tmp_path))  # trains the third alone
    assert [*pretrained.load_decoders(str(output)).params] == ["decoder1", "decoder2", "decoder3"]
    with pytest.raises(UserError, match=r"hold decoder1, decoder2, decoder3; levels ask for decoder4"):
        levels.load("random-tiny", (4,), decoders=str(output))
    tiny = pretrained.load("random-tiny", seed=1)
    formats.save(tmp_path / "other.safetensors", tiny)
    with pytest.raises(UserError, match="were trained for an encoder with another SHA-256"):
        levels.load(str(tmp_path / "other.safetensors"), (1,), decoders=str(output))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"levels": ()}, r"levels must be some of \(1, 2, 3, 4, 5\), each once; got \(\)"),
        ({"levels": (2, 2)}, r"levels must be some of .*; got \(2, 2\)"),
        ({"weights": "mni"}, "weights 'mni': no such file or weight set; did you mean 'mini'"),
        ({"data": "nowhere"}, "data nowhere: no such folder"),
        ({"dtype": "int8"}, "dtype must be float16 or float32"),
    ],
)
def test_a_bad_value_for_decoders_is_one_line(values, message, tmp_path, quick):
    with pytest.raises(UserError, match=message):
        recipe.load_decoders(decoder_config(**values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("driver, config", [("train", "decoder"), ("distill", "mini")])
def test_without_grain_a_driver_names_the_extra_before_anything_is_done(driver, config, tmp_path):
    line = [f"--config={CONFIGS}/{config}.py:smoke", "--config.data=nowhere", f"--workdir={tmp_path / 'run'}"]
    code = (
        f"import runpy, sys; sys.modules['grain'] = None; sys.argv[1:] = {line!r}; "
        f"runpy.run_module('experiments.{driver}', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CONFIGS.parent, capture_output=True, text=True)
    needed = "error: training needs the package grain, which is not installed; install nstjax[train]\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", needed)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_driver_trains_decoders(tmp_path):
    line = [sys.executable, "-m", "experiments.train", f"--config={CONFIGS}/decoder.py:smoke"]
    line += ["--config.weights=random-tiny", "--config.levels=1,", f"--workdir={tmp_path}"]
    done = subprocess.run(line, cwd=CONFIGS.parent, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"decoders: {tmp_path}/decoders.safetensors  SHA")
