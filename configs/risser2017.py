"""Risser, Wilmot & Barnes 2017, "Stable and Controllable Neural Texture Synthesis and Style Transfer".

    python -m experiments.stylize --config=configs/risser2017.py \\
        --config.content=photo.jpg --config.style=painting.jpg --workdir=runs/risser

Gram and histogram losses, gradients limited instead of weighted, from coarse to fine.

Expect, through `vgg19-8bit`, The Golden Gate Bridge and The Starry Night at 512 x 384 pixels: 900
evaluations in 17 minutes on two CPU cores that had other work; a clean new Starry Night, in which the near
tower has become the cypress and the bridge is gone, for a limit of 1 is small beside 100.

The paper's claim, that histograms make textures stable, holds here. Textures of The Starry Night from five
seeds of noise, through blocks 1 to 3 of VGG-19, 48, 96 and 192 pixels, 300 steps each (`python -m
experiments.seeds --config=configs/risser2017.py:texture,size=192 --config.beyond_weights=drop
--variants=histogram=false,histogram=true`, with the deeper histogram at relu3_1, which that command leaves
out now), root mean squares over channels in units of the style's
deviation, Gram alone and with histograms:

                                     picture        relu1_1        relu2_1        relu3_1
  error of means                     .009  .002     .007  .002     .005  .004     .007  .004
  error of standard deviations       .015  .008     .010  .003     .007  .007     .011  .005
  spread of means between seeds      .009  .001     .005  .002     .003  .002     .005  .003
  spread of deviations               .008  .001     .008  .002     .005  .004     .007  .003

Both make a new night sky of every seed, and at this size the eye sees no difference in contrast.

Arguments: `texture` for synthesis from noise, without content; `histogram=false` for Gram alone;
`localised` compares regions of the same colour in --config.content_mask and --config.style_mask;
`size=512` of the last stage; `smoke`.
"""

from nstjax import presets
from nstjax.config import default_config, parse_arg, smoke


def get_config(arg=None):
    arg = parse_arg(arg, texture=False, histogram=True, localised=False, size=512, smoke=False)
    config = default_config()
    config.size = arg.size
    config.optimizer = "adam"
    config.learning_rate = 0.02
    config.pooling = "average"
    config.terms.update(presets.risser2017())
    if arg.texture:
        config.content, config.init, config.noise_scale = "", "noise", 0.2
        del config.terms.content
    if not arg.histogram:
        del config.terms.histogram
    if arg.localised:
        for term in config.terms.values():
            term.regions = "equal" if term.reference == "style" else ""
    # Twice the size from stage to stage (pierre-wilmot/NeuralTextureSynthesis), the style as large.
    config.stages = tuple(
        {"size": arg.size // part, "style_size": arg.size // part, "steps": 300} for part in (4, 2, 1)
    )
    config = smoke(config) if arg.smoke else config
    config.lock()
    return config
