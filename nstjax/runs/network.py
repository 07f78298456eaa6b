"""A network trained to stylize: its loss, its training in a run folder, what it is seen to do on the way."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from PIL import Image

from nstjax import files, images, validate
from nstjax.errors import NotFiniteError, UserError
from nstjax.feedforward import data
from nstjax.feedforward.apply import stylize
from nstjax.feedforward.loss import Batch, Constants, Perceptual, make_constants
from nstjax.images import sheet
from nstjax.networks import stylizers
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import Condition, extended, mean_style
from nstjax.optimize import Objective, calibrate, term_weights
from nstjax.runs import terms
from nstjax.runs.base import Outcome
from nstjax.training import loop
from nstjax.training.pictures import Pictures
from nstjax.training.processes import Follower, to_host

_TEXTURES = 0.2  # share of procedural textures where there are no pictures but the examples
_SHOWN = (4, 6)  # pictures and styles of a validation sheet, at most
_STATISTICS = 16  # batches that the statistics of batch norm are means over
_CALIBRATION_NOISE = 0.1


def _constants(run, perceptual):
    """The `Constants` of a run, with its weights calibrated where it says so."""
    config, encoder, shape = run.settings, run.encoder, run.style_shape
    styles = [jnp.asarray(images.resize_to_cover(p.pixels, *shape(p))) for p in run.styles]
    weights = term_weights(run.terms, terms.per_tap(config.terms))
    constants = make_constants(encoder, run.terms, styles, [weights] * len(styles))
    if not config.calibrate:
        return constants
    content = jnp.asarray(images.resize_to_cover(run.content.pixels, config.crop, config.crop))
    noisy = content + _CALIBRATION_NOISE * jax.random.normal(jax.random.key(0), content.shape)
    profile = {name: term.tap_weights or 1.0 for name, term in config.terms.items()}
    profile, none = term_weights(run.terms, profile), jnp.zeros(len(run.strengths))
    calibrated = []
    for i in range(len(styles)):
        problem = perceptual.problem(constants, Batch(content, jnp.int32(i), none, jnp.uint32(0)))
        try:
            calibrated.append(
                calibrate(perceptual.objective, noisy, problem, profile, config.calibrate).weights
            )
        except ValueError as error:
            raise UserError(f"calibrate: {error}") from None
    return constants._replace(weights=jax.tree.map(lambda *each: jnp.stack(each), *calibrated))


def make_loss(run) -> tuple[Perceptual, Constants]:
    """The loss of a `TrainingRun`, its static part and its arrays."""
    perceptual = Perceptual(
        run.transformer,
        Objective(run.encoder.apply, run.terms),
        tuple(run.strengths),
        first=run.transformer.styles - len(run.styles),
    )
    constants = _constants(run, perceptual)
    if run.extends:
        constants = constants._replace(fixed=run.extends.variables["params"])
    return perceptual, constants


def train(run, folder):
    """Trains the network of a `TrainingRun`, or goes on with it.

    Args:
      run: a `TrainingRun`.
      folder: a `RunFolder` that is not finished; a `Follower` in every process but the first.

    Returns:
      An `Outcome`, the content as the network paints it; None for a follower.
    """
    config, (perceptual, constants) = run.settings, make_loss(run)
    source = Pictures(run.paths, least=config.crop, side=round(data.LARGEST * config.crop))
    batches = data.make_batches(
        source,
        crop=config.crop,
        batch=config.batch,
        seed=config.seed,
        augmentation=config.augmentation,
        texture_share=0.0 if config.data else _TEXTURES,
        styles=len(run.styles),
        ranges=tuple(run.strengths.values()),
        share=(jax.process_index(), jax.process_count()),
    )
    look = functools.partial(_look, run, folder, perceptual, constants, batches)
    follows = isinstance(folder, Follower)
    try:
        with jax.default_matmul_precision(validate.PRECISIONS[config.precision]):
            state = loop.train(
                folder,
                Partial(perceptual, constants),
                _start(run),
                run.optimizer,
                batches,
                steps=config.steps,
                log_every=config.log_every,
                checkpoint_every=config.checkpoint_every,
                average=config.ema,
                watch=None if follows else loop.Watch(config.validate_every, look),
            )
    except NotFiniteError as error:
        start = images.resize(run.content.pixels, *run.canvas(config.size))
        return Outcome(start, str(error), {}, {})
    if follows:
        return None
    trained = _stylizer(run, to_host(state.result), batches)
    painted = np.asarray(_painted(run, trained))
    rows = files.read_json_lines(folder.path / "metrics.jsonl")
    cost = {"seconds": rows[-1]["seconds"], "together": 1, "steps": config.steps}
    weights = {
        f"{name}/{tap}": float(weight[0])
        for name, taps in constants.weights.items()
        for tap, weight in taps.items()
    }
    notes = [f"{len(source.left_out)} of {len(source)} pictures were left out"] if source.left_out else []
    written = {"network.safetensors": stylizers.encode(trained, config.dtype)}
    return Outcome(painted, None, weights, cost, tuple(notes), written)


def _start(run):
    """The params that training begins with: those of a network, or of the norms of styles to add."""
    if run.extends:
        return mean_style(run.extends.variables["params"], len(run.styles))
    network = run.transformer
    condition = Condition(jnp.zeros(network.styles), jnp.zeros(network.strengths))
    return jax.jit(network.init)(jax.random.key(run.settings.seed), jnp.zeros((8, 8, 3)), condition)["params"]


def _stylizer(run, params, batches):
    """The `Stylizer` of trained params."""
    config, network = run.settings, run.transformer
    if run.extends:
        params = extended(run.extends.variables["params"], params)
    variables = {"params": params}
    if network.norm == "batch":
        variables["statistics"] = _statistics(network, params, batches)
    about = {
        "trained through": run.network.label,
        "licence of that": run.network.about.get("licence", "not stated"),
        "terms": ", ".join(config.terms),
        "steps": str(config.steps),
    }
    label = f"{run.label}; a trained network"
    return Stylizer(network, variables, run.style_names, run.strengths, label, about=about)


def _statistics(network, params, batches):
    """Means over batches of what batch norm measures in one."""

    @jax.jit
    def measured(params, batch):
        chosen = jax.nn.one_hot(batch.styles, network.styles)
        condition = Condition(chosen, jnp.zeros_like(batch.strengths))
        options = {"training": True, "mutable": ["statistics"]}
        return network.apply({"params": params}, batch.images, condition, **options)[1]["statistics"]

    found = [measured(params, jax.tree.map(jnp.asarray, batches[i])) for i in range(_STATISTICS)]
    return jax.tree.map(lambda *each: jnp.mean(jnp.stack(each), 0), *found)


def _painted(run, trained):
    """The content [H, W, 3] in the blend of styles that the config asks for."""
    config = run.settings
    weights = tuple(config.style_weights) or (1.0, *(0.0,) * (len(run.styles) - 1))
    had = (0.0,) * (run.transformer.styles - len(run.styles))
    shares = jnp.asarray([*had, *weights], jnp.float32) / sum(weights)
    content = images.resize(run.content.pixels, *run.canvas(config.size))
    return stylize(trained, content, Condition(shares, jnp.zeros(len(run.strengths))))


def _look(run, folder, perceptual, constants, batches, step, params):
    """Measures a network on the pictures held out, writes a sheet of them, and keeps the network."""
    config, count, params = run.settings, len(run.styles), to_host(params)
    read = [images.load_picture(path) for path in run.held_out] or [run.content]
    squares = np.stack([images.resize_to_cover(p.pixels, config.crop, config.crop) for p in read])
    styles, none = np.arange(len(read)) % count, np.zeros((len(read), len(run.strengths)), np.float32)
    batch = Batch(squares, styles.astype(np.int32), none, np.arange(len(read), dtype=np.uint32))
    value, found = _measure(perceptual, constants, params, batch)
    trained = _stylizer(run, params, batches)
    named = []
    for square in squares[: _SHOWN[0]]:
        named.append(("", square))
        for name in trained.styles[-count:][: _SHOWN[1]]:
            named.append((name, np.asarray(stylize(trained, square, trained.condition(name)))))
    shown = [(name, Image.fromarray(images.to_uint8(pixels))) for name, pixels in named]
    made = sheet.flow(shown, 1 + min(count, _SHOWN[1]))
    files.make_folder(folder.path / "validation")
    path, encoded = folder.path / "validation" / f"{step:07d}", stylizers.encode(trained, config.dtype)
    files.write_atomic(path.with_suffix(".jpg"), sheet.encode(made, "JPEG", quality=88))
    files.write_atomic(path.with_suffix(".safetensors"), encoded)
    before = [
        row.get("validation/loss", np.inf) for row in files.read_json_lines(folder.path / "metrics.jsonl")
    ]
    if float(value) < min(before, default=np.inf):
        files.write_atomic(folder.path / "best.safetensors", encoded)
    return {"validation/loss": float(value), **{f"validation/{k}": float(v) for k, v in found.items()}}


_measure = jax.jit(lambda perceptual, *rest: perceptual(*rest), static_argnums=0)
