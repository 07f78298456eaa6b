"""A network for each of five style losses, everything else the same, measured by all losses.

    python -m experiments.sweep --config=configs/learned.py --config.data=photographs \\
        --config.content=photo.jpg --workdir=runs/learned

One style, one seed, the same batches. Each tap of a loss is divided by the norm of its gradient at the
content under noise and pulls 20 / (number of taps) times as hard as the content, whatever its units. The
picture is that of the content through each network.

Expect, with 145 photographs, Tübingen and `vgg19-8bit` (:steps=300), three to four minutes a network on two
CPU cores without other work; what is left of each loss, as a share of that of the photograph:

                        by gram   sliced_wasserstein   moments_l1   histogram
  gram                    .202           .214             .583         .198
  sliced_wasserstein      .198           .158             .595         .173
  moments_l1              .218           .230             .487         .206
  histogram               .220           .201             .626         .189

So 300 steps through sliced Wasserstein do better than through Gram by Gram's own measure, and best by all but
that of `moments_l1`, whose network dissolves houses and sky alike into strokes (edge SSIM .035; .061 to .094
for the others). `wasserstein_gaussian` was not trained to its end: with its matrix square roots it made not
50 steps in eleven minutes beside other work.

Arguments: `losses=gram+histogram`, some of them, the first the baseline; `steps=600`, of training; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_training_config, parse_arg, smoke_training, term
from nstjax.errors import check_choice
from nstjax.sweeps import design

LOSSES = ("gram", "sliced_wasserstein", "wasserstein_gaussian", "moments_l1", "histogram")
ARGUMENTS = {"losses": "", "steps": 600, "smoke": False}
PULL = 20.0


def get_config(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    config = default_training_config()
    config.style = "example:mosaic"
    config.network_args = {"widths": (16, 32, 64), "output": "sigmoid"}
    config.crop = 128
    config.steps = arg.steps
    config.optimizer = "muon"
    config.learning_rate = 2e-2
    config.schedule = "cosine_decay_schedule"
    config.schedule_args = {"init_value": 1.0, "decay_steps": arg.steps}
    config.calibrate = "taps"
    config.terms.content = term("feature", "relu3_1", reference="content")
    config.terms.style = _style("gram")
    config = smoke_training(config) if arg.smoke else config
    config.lock()
    return config


def get_sweep(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    losses = tuple(arg.losses.split("+")) if arg.losses else LOSSES[: 2 if arg.smoke else None]
    for loss in losses:
        check_choice("losses: loss", loss, presets.STYLE_LOSSES)
    return design.Design(
        points=design.factor("loss", {loss: {"terms.style": _style(loss)} for loss in losses}),
        baseline={"loss": losses[0]},
    )


def _style(loss):
    made = presets.style_term(loss)
    made.weight = PULL / len(made.taps)
    return made
