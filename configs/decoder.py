"""Decoders for an encoder of your own: with them it does universal style transfer.

    python -m experiments.train --config=configs/decoder.py:wide --config.weights=vgg19-8bit \\
        --config.data=photographs --config.levels=1,2,3,4 --workdir=runs/decoders
    python -m experiments.universal --config=configs/wct.py --config.weights=vgg19-8bit \\
        --config.decoders=runs/decoders/decoders.safetensors --config.levels=3,2,1 ...

Pictures are encoded, decoded and compared, and so are their features: pixel errors as a share of the
pictures' variance and `feature_weight` times feature errors as a share of the features' power
(`nstjax.training.reconstruction.make_loss`). Each level is a part: a run folder, a curve in
metrics.jsonl, and it goes on where it was stopped. Without `data`, crops come from the package's pictures
alone, which is little.

Differs from Li et al. 2017, sec. 3.1, and Wang et al. 2020: relative errors with a feature weight of 0.1
for absolute ones of 1 (of relu1_1 ... relu{level}_1 in the latter's code), features scaled channel by channel
while a decoder learns, crops of a size a level for squares of 300 pixels of MS-COCO, and fewer steps.

Expect, with `wide`, levels 1 to 4 of `vgg19-8bit` and 145 pictures, 40 minutes on two CPU cores that had
other work. Losses at the end 0.043, 0.090, 0.28 and 0.58 (0.8 after 250 steps of level 3, 1.2 after 200 of
level 4); PSNR of photographs held out, encoded and decoded, 30.8, 28.3, 23.8 and 18.8 dB
(`experiments.fidelity --measure=psnr`). Levels 3 to 1 transfer styles and keep shapes (docs/decoders.jpg);
level 4 has learned too little yet: shapes dissolve. The file has 8.4 MB and does not come with the package.
Without `wide`, the steps and rates are those of configs/mini.py, which suit slim encoders.

`levels` says which decoders: (1, 2, 3) for weights that end at relu3_4. Arguments: `wide`, for encoders of
VGG-19's width, whose decoders learn faster under Adam than under Muon; `smoke`.
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
