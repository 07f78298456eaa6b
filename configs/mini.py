"""The small encoder `mini` and its decoders.

    python -m experiments.distill --config=configs/mini.py --workdir=runs/mini

Expect: to be measured.

Argument: `seed=1` for another run of the recipe; `smoke`.
"""

import os

import ml_collections

from nstjax import vgg
from nstjax.config import parse_arg

SHARED = os.environ.get("NSTJAX_SHARED", "../shared")
# Every seventh photograph is kept for tests. So is in24, which is in21 again, and tar21 is a painting
# that tests use as a style.
HELD_OUT = ("in07", "in14", "in21", "in28", "in35", "in42", "tar07", "tar14", "tar28", "tar35", "tar42")


def part(**values):
    return ml_collections.ConfigDict(values)


def get_config(arg=None):
    arg = parse_arg(arg, seed=0, smoke=False)
    config = ml_collections.ConfigDict()
    config.seed = arg.seed
    config.data = f"{SHARED}/photos"
    config.held_out = HELD_OUT
    config.left_out = ("in24", "tar21")
    config.texture_share = 0.2
    config.teacher = ml_collections.ConfigDict()
    config.teacher.shallow = f"{SHARED}/weights/vgg19_keras_blocks1-3.h5"
    config.teacher.deep = f"{SHARED}/weights/wct16x_5se.safetensors"
    config.widths = vgg.SLIM_WIDTHS
    # A position of relu3_1 sees 24 pixels, one of relu5_1 sees 156.
    config.shallow = part(steps=2500, learning_rate=5e-3, size=80, batch=16)
    config.deep = part(steps=5000, learning_rate=2e-3, size=160, batch=8)
    config.decoders = part(steps=1200, learning_rate=1e-3, size=128, batch=8, feature_weight=0.1)
    config.dtype = "float16"  # of the files
    config.log_every = 50
    config.checkpoint_every = 250
    if arg.smoke:
        for each in (config.shallow, config.deep, config.decoders):
            each.steps, each.size, each.batch = 4, 32, 2
        config.dtype = "float32"  # filters of a network that learned nothing may be out of range
        config.log_every, config.checkpoint_every = 1, 2
    config.lock()
    return config
