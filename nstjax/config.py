"""The keys of an experiment, a term of its objective, and the argument of a config."""

import math

import ml_collections
from ml_collections import config_dict

from nstjax.errors import UserError, nearest


def default_config():
    """An unlocked ConfigDict with every key of an image experiment.

    Keys whose meaning is not in their name:
      method: "optimize"; configs of universal transfer have "transfer".
      content: a path or `example:NAME`; "" where no term compares with it (texture synthesis).
      style: the same; several separated by commas, blended by `style_weights` (empty: equally).
      size: long side in pixels of the content, and so of the result.
      style_size: long side of the style; 0 for that of the content.
      style_angles, style_scales: copies of each style, turned by so many degrees (reflections fill the
        corners) and so many times as large: every angle at every scale, all of one weight. Empty: (0,), (1,).
      weights: a weight set by name, path or mirror (`nstjax.networks.load`).
      preprocessing: of pictures for the weights: "caffe", "torchvision", or "" for that of the weight set,
        which is a guess, with a note, for a file that is not known (`nstjax.networks.load`).
      beyond_weights: what happens to taps deeper than the weights, as of a file that ends early: "refuse"
        them, or "drop" them (`nstjax.runs.terms.within`).
      normalise: Gatys' weight normalisation, calibrated on the example pictures.
      pooling_size: of a pooling of an odd number of rows: "floor", or "ceil" as in Caffe.
      conv: how the steps convolve: "direct"; "winograd", equal to it to about 1e-5; "auto", on a CPU the
        faster of the two in each layer, else "direct".
      precision: of features on an accelerator: "highest", products in float32; "high", in TensorFloat-32;
        "bfloat16", features in it. Statistics are float32. "": what the device does by itself.
      tile: side in pixels, a multiple of 32, of windows that features and gradients are made in, exactly, for
        pictures that memory does not hold the features of; 0 for none while there is memory, else 512.
      row_devices: how many local devices divide the rows of each picture among them, 0 for all; exact.
      init: "content", "style" (cropped to the canvas), "recoloured" (the content in the colours of the style,
        region by region), "noise" or a path.
      noise_scale: standard deviation of the noise around mean grey, in units of the [0, 1] range.
      optimizer, optimizer_args, schedule, schedule_args, project, ema: see `make_method` and `Plan` of
        `nstjax.optimize`.
      learning_rate: unset for the optimiser's usual: 1 for lbfgs (a factor on its first guess of a
        step), 0.02 for all others.
      content_mask, style_mask: label pictures (`nstjax.images.labels.load_labels`) of the canvas and of each
        style, for terms with `regions`; without content the canvas has the shape of content_mask.
      mask_mode: how masks go through the network, one of `nstjax.networks.masks.MODES`.
      mask_labels: how their colours are read: "nearest" or "strict" (`nstjax.images.labels.load_labels`).
      merge_labels: labels that count as others, such as "green:grey,purple:blue"; a label without one of its
        name on the other side is left out, with a note.
      terms: name → {loss, taps, weight, tap_weights, reference, transform, transform_args, limit,
        normalise, regions, published_for, hyper-parameters of the loss}. `tap_weights` multiplies `weight`
        tap by tap where it is given. A tap "a+b" is the features of a and, resized to them, those of b. A
        `transform`, "adain", "histogram", "mean_shift" or "wct", moves the content's features towards the
        style's before the loss compares with them; reference "content" only. `limit` and `normalise` are
        those of `nstjax.ops.gradients.Control`, `regions` that of `nstjax.optimize.Term`. `published_for`
        is the family of networks (`nstjax.networks.FAMILIES`) that the weight was published for: a run
        through another one that does not calibrate says so.
      calibrate: "" or what is divided by the norm of its gradient at a fixed picture, the content (else
        the style) under noise: the score of each of the "taps", or the sum over them of each of the
        "terms". A weight is then that norm, whatever the loss.
      max_evaluations, max_seconds: no step is begun after so many evaluations of objective and gradient, or
        seconds of steps (checked every `steps_per_call`; then no two runs are equal); 0 for no limit.
      stages: () or coarse-to-fine stages, each a dict of `size`, `steps` and whatever else differs.
      photorealistic: filters of `nstjax.photorealism` by name, separated by commas, that the finished picture
        goes through in order; `photorealistic_args` has the arguments of each by its name.
      steps_per_call: steps in one compiled call: how often progress is shown.
    """
    config = _of_pictures("optimize")
    config.style_angles = ()
    config.style_scales = ()
    config.weights = "vgg19-8bit"
    config.preprocessing = ""
    config.beyond_weights = "refuse"
    config.normalise = False
    config.pooling = "max"
    config.pooling_size = "floor"
    config.padding = "zero"
    config.conv = "auto"
    config.precision = ""
    config.tile = 0
    config.row_devices = 1
    config.init = "content"
    config.noise_scale = 1 / 255
    config.steps = 500
    config.max_evaluations = 0
    config.max_seconds = 0.0
    config.optimizer = "adam"
    config.optimizer_args = ml_collections.ConfigDict()
    config.learning_rate = config_dict.placeholder(float)
    config.schedule = "constant_schedule"
    config.schedule_args = ml_collections.ConfigDict()
    config.project = True
    config.ema = 0.0
    config.terms = ml_collections.ConfigDict()
    config.calibrate = ""
    config.stages = ()
    config.photorealistic = ""
    config.photorealistic_args = ml_collections.ConfigDict()
    config.steps_per_call = 10
    config.log_every = 10
    config.log_gradients = False
    config.preview_every = 50
    config.checkpoint_every = 50
    return config


def default_transfer_config():
    """An unlocked ConfigDict with every key of universal style transfer.

    Keys whose meaning is not in their name, and that are not those of `default_config`:
      decoders: a file; "" for those that come with the weights.
      tile: pixels, the side of the windows in which a larger picture is transferred; 0 for any size at once.
      levels: of the decoders, in the order in which they are applied.
      alpha: the strength, one number or one a level.
      photorealistic, photorealistic_args: as of `default_config`.
      passes: through all levels.
      measured_by: the weight set whose losses measure the pictures of a sweep.
    """
    config = _of_pictures("transfer")
    config.tile = 1024
    config.weights = "mini"
    config.preprocessing = ""
    config.decoders = ""
    config.measured_by = "mini"
    config.levels = (5, 4, 3, 2, 1)
    config.alpha = (0.6,)
    config.transform = "wct"
    config.transform_args = ml_collections.ConfigDict()
    config.passes = 1
    config.photorealistic = ""
    config.photorealistic_args = ml_collections.ConfigDict()
    config.init = "content"
    return config


def default_training_config():
    """An unlocked ConfigDict with every key of a network that is trained to stylize.

    The terms, and the keys that say how they are read, are those of `default_config`. Others whose meaning is
    not in their name:
      content: the picture that the network paints at the end, at the size `size`.
      style: the styles of the network, separated by commas; each has a scale and a shift of its own.
      style_weights: the blend in which the content is painted; empty: the first style.
      data: folders of photographs, and the folders in them, separated by commas; "" for the examples, with
        procedural textures among them.
      held_out: names of pictures of `data`, without suffixes, that validation uses and training does not.
      extends: a trained network, "paintings" or a file, to add the styles to, by what it has for a style
        alone; the keys of the network and `strengths` are then its own. "" for a network from the start.
      network: a preset of `nstjax.networks.transformer`, and in `network_args` what differs from it.
      strengths: {term: (least, largest)}, factors of the weights of terms that the network takes as inputs;
        in training they are drawn for each picture, as `feedforward.data.make_batches` says.
      crop: side in pixels of the squares that the network learns from.
      batch: squares a step.
      accumulate: steps whose gradients are averaged before the parameters change.
      optimizer: of optax by name, or "muon", which learns faster (`nstjax.training.optimizers`).
      augmentation: "crop" (and flip) or "jitter" (`nstjax.feedforward.data`).
      precision: as in `default_config`.
      ema: decay of the average of the parameters that is the result; 0 for the last parameters.
      validate_every: steps between looks at the pictures held out.
      dtype: of the network's file.
    """
    config = _of_pictures("train")
    image = default_config()
    for key in (
        *("weights", "preprocessing", "beyond_weights", "normalise", "pooling", "padding"),
        *("conv", "precision"),
        *("terms", "calibrate", "optimizer", "optimizer_args", "schedule", "schedule_args"),
    ):
        config[key] = image[key]
    config.data = ""
    config.held_out = ()
    config.extends = ""
    config.network = "pytorch_examples"
    config.network_args = ml_collections.ConfigDict()
    config.strengths = ml_collections.ConfigDict()
    config.crop = 256
    config.batch = 4
    config.steps = 40000
    config.accumulate = 1
    config.augmentation = "crop"
    config.learning_rate = 1e-3
    config.ema = 0.0
    config.log_every = 50
    config.checkpoint_every = 250
    config.validate_every = 1000
    config.dtype = "float32"
    return config


def _of_pictures(method):
    """The keys that every method has."""
    config = ml_collections.ConfigDict({"method": method})
    config.content = "example:coffee"
    config.style = "example:brushwork"
    config.style_weights = ()
    config.content_mask = ""
    config.style_mask = ""
    config.mask_mode = "area"
    config.mask_labels = "nearest"
    config.merge_labels = ""
    config.size = 512
    config.style_size = 0
    config.seed = 0
    return config


def term(
    loss,
    taps,
    *,
    reference="style",
    weight=1.0,
    tap_weights=(),
    transform="",
    transform_args=None,
    limit=0.0,
    normalise="",
    regions="",
    published_for="",
    **hyper,
):
    """A term of an objective as a ConfigDict."""
    fields = {
        "loss": loss,
        "taps": (taps,) if isinstance(taps, str) else tuple(taps),
        "reference": reference,
        "weight": float(weight),
        "tap_weights": tuple(tap_weights),
        "transform": transform,
        "transform_args": transform_args or {},
        "limit": float(limit),
        "normalise": normalise,
        "regions": regions,
        "published_for": published_for,
    }
    return ml_collections.ConfigDict(fields | hyper)


def parse_arg(arg, **defaults):
    """Reads a config's argument: comma-separated `key=value` and bare flags.

    Args:
      arg: e.g. "size=384,smoke" or None.
      **defaults: every key there is with its default; its type converts the value. False for a flag.

    Returns:
      A ConfigDict of the keys.

    Raises:
      UserError: for an unknown key or a value of the wrong type.
    """
    values = dict(defaults)
    for item in filter(None, (arg or "").split(",")):
        key, _, value = item.partition("=")
        if key not in defaults:
            raise UserError(f"config argument {key!r} is unknown{nearest(key, defaults)}")
        kind = type(defaults[key])
        if kind is bool:
            if value not in ("", "true", "false"):
                raise UserError(f"config argument {key!r} is a flag; got {value!r}")
            values[key] = value != "false"
            continue
        try:
            values[key] = kind(value)
        except ValueError:
            raise UserError(f"config argument {key!r} must be {kind.__name__}; got {value!r}") from None
        if kind is float and not math.isfinite(values[key]):
            raise UserError(f"config argument {key!r} must be finite; got {value}")
    return ml_collections.ConfigDict(values)


# Pulls of terms at the start, by what they compare: shares of the gradient that suit any network.
_STRENGTHS = {"content": 1.0, "style": 20.0, "picture": 0.5}


def calibrated(config):
    """Gives every term a strength in the place of its weights, so that it fits any network.

    A term on the style pulls 20 times as hard as one on features of the content, and that twice as hard as
    one on the picture itself; the taps of a term share its strength alike (`calibrate` is "taps"). Filters
    keep their own scale: `normalise` would amplify those of a small network that hardly ever fire. A weight
    of 0 stays, and so do the weights of terms whose gradient is limited or normalised.
    """
    config.calibrate = "taps"
    config.normalise = False
    for term in config.terms.values():
        if term.weight and not term.limit and not term.normalise:
            role = "picture" if tuple(term.taps) == ("image",) else term.reference
            term.weight, term.tap_weights = _STRENGTHS[role] / len(term.taps), ()
    return config


def smoke(config):
    """Cuts a config down to seconds on two CPU cores: a small picture, few steps, the small encoder."""
    config = config if config.calibrate else calibrated(config)
    config.size = 64
    config.steps = min(config.steps, 6)
    config.weights, config.preprocessing = "mini", ""
    config.normalise = False
    config.stages = ()
    config.steps_per_call = config.log_every = 2
    config.preview_every = config.checkpoint_every = 4
    return config


def smoke_training(config):
    """Cuts the config of a network down to seconds on two CPU cores, as `smoke` does that of a picture."""
    config = config if config.calibrate else calibrated(config)
    config.size, config.crop, config.batch = 64, 32, 2
    config.steps, config.accumulate = min(config.steps, 6), 1
    config.network_args.update({"widths": (4, 6, 8), "blocks": 1})
    config.weights, config.preprocessing = "mini", ""
    config.normalise = False
    config.log_every, config.checkpoint_every, config.validate_every = 2, 4, 3
    return config
