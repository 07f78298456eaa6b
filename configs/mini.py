"""The small encoder `mini` and its decoders.

    python -m experiments.distill --config=configs/mini.py --workdir=runs/mini

Blocks 1 to 3 first learn the features of VGG-19 and their Gram matrices, then blocks 4 and 5; then come the
decoders. Half of the pictures that blocks learn from are on the way to the Gram matrices of others, where an
optimisation through the network leads (`nstjax.training.distillation.pursue`). Each part is a run folder,
goes on where it was stopped, and leaves its curve in metrics.jsonl. Two files come out: copy them to
nstjax/networks/trained and their SHA-256, which the command prints, to nstjax/networks/pretrained.py.
`python -m experiments.fidelity` says what they are worth.

Expect four and a half hours on two CPU cores that have other work: blocks 1 to 3 83 minutes, 4 and 5 two
hours, decoders an hour. The loss of blocks 1 to 3 falls from 1.79 to 0.51 (steps 50 and 5000), that of 4 and
5 from 2.63 to 1.55 (steps 50 and 3000), and those of the decoders to 0.044, 0.066, 0.13, 0.24 and 0.62.
docs/mini.md says what came out.

Argument: `seed=1` for another run of the recipe; `smoke`.
"""

import os

import ml_collections

from nstjax.config import parse_arg
from nstjax.training import recipe

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
    config.data = f"{SHARED}/photos,{SHARED}/training"
    config.held_out = HELD_OUT
    config.left_out = ("in24", "tar21")
    config.texture_share = 0.2
    config.teacher = "vgg19-8bit"
    # A step costs within a tenth of that through vgg.SLIM_WIDTHS, with a quarter fewer parameters.
    config.widths = (16, 32, 96, 96, 96)
    # A position of relu3_1 sees 24 pixels, one of relu5_1 sees 156.
    learning = {"optimizer": "muon", "pursuit": 12, "gram_weight": 0.3}
    config.shallow = part(steps=5000, learning_rate=2e-2, size=64, batch=16, **learning)
    config.deep = part(steps=3000, learning_rate=1e-2, size=128, batch=8, **learning)
    config.update(recipe.decoder_parts())
    config.dtype = "float16"  # of the files
    config.log_every = 50
    config.checkpoint_every = 250
    if arg.smoke:
        for name in ("shallow", "deep", *recipe.DECODERS):
            config[name].update(steps=4, size=32, batch=4)
        config.shallow.pursuit = config.deep.pursuit = 2
        config.dtype = "float32"  # filters of a network that learned nothing may be out of range
        config.log_every, config.checkpoint_every = 1, 2
    config.lock()
    return config
