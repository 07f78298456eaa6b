"""Luan, Paris, Shechtman & Bala 2017, "Deep Photo Style Transfer": the result stays a photograph.

    python -m experiments.stylize --config=configs/deep_photo.py:masks \\
        --config.content=photo.jpg --config.style=other.jpg \\
        --config.content_mask=photo_mask.png --config.style_mask=other_mask.png --workdir=runs/deep_photo

Content, Gram losses region by region, and the matting Laplacian of the content, in two stages: the second
adds the matting term to the picture that the first has made. Pictures of the paper have gone through local
affine smoothing, and so does the result.

Arguments, comma-separated:

  variant=code   luanfujun/deep-photo-styletransfer: its weights and normalisation, total variation. The
                 default.
  variant=paper  the equations of section 3, with Gram matrices over positions, which the paper leaves open.
  masks          compares regions of equal labels; without it, the whole pictures.
  optimizer=lbfgs  or adam.
  size=700, steps=1000  the long side, and the steps of each stage, as published.
  coarse         two stages at a quarter and half of the size before, which find the colours at less cost.
  calibrated     strengths for weights, for any network (`--config.weights=mini`).
  smoke

`experiments.sweep` runs it with the four weights of the matting term in figure 3.

Expect, of eight cases of the authors' program with its own results, which are smoothed, through `vgg19-8bit`
(`experiments.deep_photo --config=configs/deep_photo.py:masks,size=400,steps=150 --config.init=recoloured`,
six minutes a case on two CPU cores that had other work): edge SSIM to the content, and Gram distance to the
style by region:

  case   without the term   with it        smoothed       the authors'
  01     .584  .194         .656  .198     .687  .294     .642  .308
  02     .730  .238         .747  .237     .725  .268     .720  .280
  04     .586  .247         .740  .251     .773  .306     .727  .353
  05     .540  .196         .652  .196     .750  .310     .654  .363
  07     .499  .211         .615  .208     .726  .301     .662  .383
  09     .548  .200         .659  .196     .752  .303     .756  .307
  13     .221  .180         .402  .189     .582  .377     .652  .414
  22     .102  .189         .167  .195     .392  .538     .382  .528

Smoothed, the edges are nearer to the content's than in the authors' pictures in six cases of eight; the style
is nearer in seven and 1.02 times as far in 22. Colours by region are nearer in 02 and 07, the same in 01 and
04, and farther in the others (.058 beside .037 at the most). Lines stay straight. No texture is painted, but
in 22 before it is smoothed, a flower after a street at night. The objective fell by 2 to 7 % in the last 50
of the 150 steps of a stage. From the content or from noise, as published, so few steps do not find the
colours.

Differs from the code: a label on one side is left out, where the program's target for one of the content is
the zero matrix; colours of masks go to the nearest label (--config.mask_labels=strict for the program's
thresholds); the gradient of a masked Gram matrix has both factors of the mask.
"""

from nstjax import presets
from nstjax.config import calibrated, default_config, parse_arg, smoke
from nstjax.errors import UserError, nearest
from nstjax.sweeps import design

VARIANTS = ("code", "paper")


ARGUMENTS = {"variant": "code", "optimizer": "lbfgs", "size": 700, "steps": 1000}
ARGUMENTS |= {"masks": False, "coarse": False, "calibrated": False, "smoke": False}
STRENGTHS = (1.0, 1e2, 1e4, 1e6)  # figure 3


def get_config(arg=None):
    arg = parse_arg(arg, **ARGUMENTS)
    if arg.variant not in VARIANTS:
        raise UserError(f"variant {arg.variant!r} is unknown{nearest(arg.variant, VARIANTS)}")
    config = default_config()
    config.size = arg.size
    config.steps = arg.steps  # -num_iterations, in each stage
    config.optimizer = arg.optimizer
    if arg.optimizer == "lbfgs":
        config.optimizer_args.memory_size = 100  # nCorrection
    config.init = "noise"
    config.noise_scale = 1e-4 / 255
    config.seed = 612  # -seed
    config.pooling_size = "ceil"  # of Caffe
    config.mask_mode = "deep_photo"
    config.terms.update(getattr(presets, f"deep_photo_{arg.variant}")())
    config = calibrated(config) if arg.calibrated else config
    if arg.masks:
        config.terms.style.regions = "sum"
    config.photorealistic = "local_affine"  # gen_all.py: radius 15, sigma 0.01
    config = smoke(config) if arg.smoke else config
    without = {"terms": {"matting": {"weight": 0.0}}}
    smaller = [{"size": config.size // 4} | without, {"size": config.size // 2} | without]
    config.stages = (*(smaller if arg.coarse else ()), without, {})
    config.lock()
    return config


def get_sweep(arg=None):
    parse_arg(arg, **ARGUMENTS)
    name = "terms.matting.weight"
    return design.Design(points=design.factor(name, STRENGTHS), baseline={name: "10000.0"})
