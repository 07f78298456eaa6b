"""The recipe of `mini`, a small encoder with decoders: from pictures and teachers to two files."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nstjax import images, validate
from nstjax.errors import UserError
from nstjax.networks import formats, pretrained, vgg
from nstjax.networks.normalise import mean_activations, rescale
from nstjax.training import data, distillation, recipe

PARTS = ("shallow", "deep", *recipe.DECODERS)
CALIBRATION_BATCHES = 12
# The least activation, and the least weight, of a filter for its scaling, as a share of its layer's mean.
RAREST = 1e-3
ABOUT = {
    "what": "VGG-19 to relu5_1 with narrow layers, each scaled to a mean activation of 1; decoders for it",
    "recipe": "python -m experiments.distill --config=configs/mini.py",
    "teacher": "VGG-19, its kernels in 8 bits",
    "licence": "MIT",
    "attribution": (
        "Trained from random weights to imitate VGG-19 of K. Simonyan and A. Zisserman, Visual Geometry "
        "Group, University of Oxford (weights CC BY 4.0)"
    ),
}


def load(config: Any, workdir: str | Path, command: str = "") -> recipe.Recipe:
    """The recipe of a config, checked.

    Args:
      config: a ConfigDict, as `configs/mini.py` returns it.
      workdir: path of a folder.
      command: the command line, for provenance.

    Raises:
      UserError: if grain is not installed, for a value that is out of range, and for a picture or a teacher
        that cannot be read.
    """
    data.import_grain()
    check(config)
    distillation.make_teacher(config.teacher, distillation.DEEP)
    return recipe.load(config, workdir, [pretrained.load(config.teacher)], command)


def check(config: Any) -> None:
    """Raises UserError for a config that is no recipe, or a value that is out of range."""
    validate.needs_keys(config, ("data", "held_out", "teacher", *PARTS), "a recipe, such as configs/mini.py")
    recipe.check(config, PARTS)
    validate.kinds(config, {"teacher": "", "widths": ()})
    if len(config.widths) != 5 or not all(isinstance(width, int) and width > 0 for width in config.widths):
        raise UserError(f"widths must be five integers above 0; got {tuple(config.widths)}")
    for name in ("shallow", "deep"):
        part = config[name]
        validate.kinds(part, {"pursuit": 0, "gram_weight": 0.0}, f"{name}.")
        if part.batch % 4:  # halves for two paddings, and of each half for the pursuit
            raise UserError(f"{name}.batch must be a positive multiple of 4; got {part.batch}")
        if part.pursuit < 0:
            raise UserError(f"{name}.pursuit must be at least 0; got {part.pursuit}")
        if not part.gram_weight > 0:
            raise UserError(f"{name}.gram_weight must be above 0; got {part.gram_weight}")


def make(plan: recipe.Recipe) -> dict[str, Path]:
    """Trains the encoder, blocks 1 to 3 before 4 and 5, and then its decoders.

    Returns:
      {"encoder": path, "decoders": path}, the outputs.

    Raises:
      UserError: for a run folder of another recipe, or a file that cannot be written.
      NotFiniteError: if training failed.
    """
    outputs = {"encoder": plan.workdir / "mini.safetensors"}
    outputs["decoders"] = plan.workdir / "mini_decoders.safetensors"
    formats.save(outputs["encoder"], _encoder(plan), dtype=plan.config.dtype)
    decoders = recipe.decoders(plan, pretrained.load(str(outputs["encoder"])), recipe.DECODERS, ABOUT)
    formats.save_decoders(outputs["decoders"], decoders, dtype=plan.config.dtype)
    return outputs


def _encoder(plan):
    config = plan.config
    network = vgg.VGG19(vgg.TORCHVISION, config.widths)
    start = network.init(jax.random.key(config.seed), jnp.zeros((16, 16, 3)), ("relu5_1",))["params"]
    shallow = {conv: p for conv, p in start.items() if conv <= "conv3_1"}
    deep = {conv: p for conv, p in start.items() if conv > "conv3_1"}
    shallow = _distill(plan, "shallow", distillation.SHALLOW, shallow, {})
    deep = _distill(plan, "deep", distillation.DEEP, deep, shallow["vgg"])
    params = {**shallow["vgg"], **deep["vgg"]}
    return _normalised(
        formats.Weights(params, vgg.TORCHVISION, "mini", about=ABOUT), shallow["maps"] | deep["maps"]
    )


def _normalised(trained, maps):
    """Scales every filter to a mean activation of 1 (Gatys et al.); at taps, the layer as a whole.

    Within a tap, filters keep the weights that the teacher gives them: a filter that rarely fires would
    dominate every squared distance there if its mean were 1.
    """
    means = mean_activations(trained, images.calibration_images(), pooling="max", padding="zero")
    scales = {}
    for conv, mean in means.items():
        mean = np.maximum(mean, RAREST * mean.mean())
        tap = conv.replace("conv", "relu")
        share = np.asarray(distillation.importance(maps[tap])) if tap in maps else 1 / mean
        share = np.maximum(share, RAREST * share.mean())
        scales[conv] = share / np.mean(share * mean)
    return dataclasses.replace(trained, params=rescale(trained.params, scales))


def _distill(plan, name, taps, params, frozen):
    """{"vgg", "maps"}: convolutions of a student, trained from `params` above `frozen` ones, and its maps."""
    part, batches = plan.config[name], recipe.batches(plan, name)
    teacher = distillation.make_teacher(plan.config.teacher, taps)
    some = [jnp.asarray(batches[i]) for i in range(CALIBRATION_BATCHES)]
    student = distillation.make_student(plan.config.widths, taps)
    scales = distillation.unit_scales(jax.jit(lambda images: teacher(images, "zero")), some)

    @jax.jit
    def features(images):
        return student({**frozen, **params}, images, "zero")

    @jax.jit
    def wanted(images):
        return {tap: scales[tap] * x for tap, x in teacher(images, "zero").items()}

    maps = distillation.fit_maps(features, wanted, some)
    weights = {"gram_weight": part.gram_weight, "pursuit": part.pursuit}
    loss = distillation.make_loss(student, teacher, scales, frozen, **weights)
    return recipe.train_part(plan, name, loss, {"vgg": params, "maps": maps}, batches)
