"""Decoders for an encoder of your own: with them it does universal style transfer.

    python -m experiments.train --config=configs/decoder.py --config.weights=vgg19 \\
        --config.data=photographs --workdir=runs/decoders
    python -m experiments.universal --config=configs/wct.py --config.weights=vgg19 \\
        --config.decoders=runs/decoders/decoders.safetensors ...

Pictures are encoded, decoded and compared, and so are their features: pixel errors as a share of the
pictures' variance and `feature_weight` times feature errors as a share of the features' power
(`nstjax.training.reconstruction.make_loss`). Each level is a part: a run folder, a curve in
metrics.jsonl, and it goes on where it was stopped. Without `data`, crops come from the package's pictures
alone, which is little.

Differs from Li et al. 2017, sec. 3.1, and Wang et al. 2020: relative errors with a feature weight of 0.1
for absolute ones of 1 (of relu1_1 ... relu{level}_1 in the latter's code), Muon for Adam at 1e-4, crops of
a size a level for squares of 300 pixels of MS-COCO. Adam is `--config.decoder1.optimizer=adam`.

Expect (not run to its end yet): the steps, rates and sizes are those of configs/mini.py, which has the curves
of the decoders that come with `mini`, from its own photographs. For the full VGG-19 nothing was trained here:
it needs an accelerator.

`levels` says which decoders: (1, 2, 3) for weights that end at relu3_4. Argument: `smoke`.
"""

import ml_collections

from nstjax.config import parse_arg
from nstjax.training import recipe


def get_config(arg=None):
    arg = parse_arg(arg, wide=False, smoke=False)
    config = ml_collections.ConfigDict()
    config.seed = 0
    config.weights = "mini"
    config.preprocessing = ""  # that of the weights
    config.levels = (1, 2, 3, 4, 5)
    config.data = ""
    config.held_out = ()
    config.left_out = ()
    config.texture_share = 0.2  # of crops: procedural textures
    config.update(recipe.decoder_parts(wide=arg.wide))
    config.dtype = "float16"  # of the file
    config.log_every = 50
    config.checkpoint_every = 250
    if arg.smoke:
        for name in recipe.DECODERS:
            config[name].update(steps=4, size=32, batch=2)
        config.log_every, config.checkpoint_every = 1, 2
    config.lock()
    return config
