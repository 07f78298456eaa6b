"""Published objectives as sets of terms, each number with its source.

A preset is {name: term} for `config.terms`, computes the same as the named program or paper of the same
features, and says for which network (`published_for`), unless its weights fit any. Programs whose networks
come from Caffe round the sizes of poolings up: `config.pooling_size` is "ceil" in their configs.
"""

import functools

from nstjax.config import term
from nstjax.networks.vgg import TAPS, WIDTHS

STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

# The losses that compare with a style, to be compared with each other: as `style_term` binds them.
STYLE_LOSSES = (
    *("gram", "gram_l1_normalised", "covariance", "correlation", "mean_std", "moments_l1", "cmd"),
    *("shifted_gram", "cross_gram", "wasserstein_gaussian", "histogram", "histogram_binned"),
    *("sliced_wasserstein", "mmd_linear", "mmd_polynomial", "mmd_gaussian", "mmd_gaussian_paired"),
    *("wct_distance", "relaxed_emd", "contextual", "mrf", "colour_histogram", "palette"),
)
# Hyper-parameters of those that have no default, or whose default is for another size of picture.
_STYLE_ARGUMENTS = {"cross_gram": {"split": 2 / 3}, "shifted_gram": {"shifts": (2, 4, 8)}}
# All pairs of positions are too many where features are fine; `contextual` says why not relu1_1.
_STYLE_TAPS = {
    "contextual": ("relu2_1", "relu3_1"),
    "cross_gram": ("relu2_1+relu1_1", "relu3_1+relu2_1"),
    "mmd_gaussian": ("relu3_1",),
    "colour_histogram": ("image",),
    "palette": ("image",),
}


def _published_for(family):
    """Marks the terms of a preset with the family of networks that its weights are for."""

    def mark(preset):
        @functools.wraps(preset)
        def marked(*arguments, **options):
            terms = preset(*arguments, **options)
            for each in terms.values():
                each.published_for = family
            return terms

        return marked

    return mark


def style_term(loss, **options):
    """The term of one of `STYLE_LOSSES` at the taps where it is compared with the others."""
    return term(loss, _STYLE_TAPS.get(loss, STYLE_TAPS), **_STYLE_ARGUMENTS.get(loss, {}), **options)


@_published_for("normalised")
def gatys2016_paper():
    """Gatys et al. 2016, equations 1 to 7, alpha / beta = 1e-3; average pooling, normalised network."""
    return {
        "content": _content("feature_sum", "relu4_2", weight=1e-3),  # alpha
        "style": term("gram", STYLE_TAPS, convention="gatys2016", weight=1 / 5),  # w_l = 1/5, beta 1
    }


@_published_for("normalised")
def gatys2016_normalised():
    """leongatys/NeuralImageSynthesis, its weights for the normalised network; average pooling."""
    return {
        "content": _content("feature", "relu4_2", weight=1e6),
        "style": term("gram", STYLE_TAPS, weight=1e9 / 5),
    }


@_published_for("original")
def gatys2016_code():
    """leongatys/PytorchNeuralStyleTransfer; max pooling, network as it is."""
    return {
        "content": _content("feature", "relu4_2", weight=1.0),
        "style": term("gram", STYLE_TAPS, tap_weights=_per_square(STYLE_TAPS)),  # 1e3 / C^2
    }


@_published_for("normalised")
def deep_textures():
    """Gatys et al. 2015 and leongatys/DeepTextures; average pooling, normalised network."""
    taps = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
    return {"style": term("gram", taps, convention="deep_textures", weight=1e9)}


@_published_for("original")
def neural_style():
    """jcjohnson/neural-style at its defaults; max pooling, network as it is."""
    return {
        "content": _content("feature", "relu4_2", weight=5.0),  # -content_weight
        "style": term("gram", STYLE_TAPS, convention="neural_style", weight=100.0),
        "tv": _tv_corner(1e-3),  # -tv_weight
    }


@_published_for("original")
def fast_neural_style():
    """jcjohnson/fast-neural-style, the training loss of Johnson et al. 2016; there of VGG-16."""
    taps = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    return {
        "content": _content("feature", "relu3_3", weight=1.0),
        "style": term("gram", taps, convention="fast_neural_style", weight=5.0),
        "tv": _tv_corner(1e-6, pixel_range=255.0),
    }


@_published_for("original")
def deep_photo_code():
    """luanfujun/deep-photo-styletransfer at its defaults; max pooling, network as it is."""
    return {
        "content": _content("feature", "relu4_2", weight=5.0),  # -content_weight
        "style": term("gram", STYLE_TAPS, convention="deep_photo", weight=100.0),
        "tv": _tv_corner(1e-3),
        "matting": _matting(1e4),  # -lambda
    }


@_published_for("original")
def deep_photo_paper():
    """Luan et al. 2017, section 3, with Gram matrices over positions, which the paper leaves open.

    Half the mean square of the difference of two Gram matrices is 1 / (2 N_l^2) times its sum, N_l the
    number of filters.
    """
    return {
        "content": _content("feature_deep_photo", "conv4_2", weight=1.0),  # alpha
        "style": term("gram", STYLE_TAPS, weight=100 / 5 / 2),  # Gamma beta
        "matting": _matting(1e4),  # lambda
    }


def _matting(weight):
    return term("matting", "image", reference="content", convention="deep_photo", weight=weight)


def wct2017():
    """The style loss that Li et al. 2017 report (WCT, table 1): covariances at five taps, alike."""
    return {"style": term("covariance", STYLE_TAPS)}


def risser2017():
    """Risser et al. 2017: Gram and histogram losses whose gradients are limited, not weighted.

    The limits are the paper's: 100 for style, 1 for content, of gradients of raw sums in a network that
    reads values from 0 to 255. The weights undo the means that our losses are, but for the number of
    positions, which the limits make irrelevant while they bind.
    """
    return {
        "content": _content("feature_sum", "relu4_1", weight=1.0, limit=1.0),
        "style": term("gram", STYLE_TAPS[:4], convention="neural_texture_synthesis", weight=1.0, limit=100.0),
        "histogram": term("histogram", ("relu1_1", "relu4_1"), weight=1e6, limit=100.0),
    }


def deep_painterly(style_weight=1.0):
    """luanfujun/deep-painterly-harmonization without its masks: gradients normalised to their weights.

    The style's noise is taken to be low, so that the weight of total variation is that of the histogram's
    complement, 10 - tv with tv near 0.
    """
    return {
        "content": _content("feature", "relu4_1", weight=1.0, normalise="l2"),
        "style": term("gram", STYLE_TAPS[:4], weight=style_weight, normalise="l2"),
        "histogram": term("histogram", ("relu1_1", "relu4_1"), weight=10 * style_weight, normalise="l2"),
    }


@_published_for("original")
def lapstyle():
    """askerlee/lapstyle, Li et al. 2017, at its defaults; max pooling, network as it is."""
    return {
        "content": _content("feature", "relu4_2", weight=20.0),
        "style": term("gram", STYLE_TAPS, convention="neural_style", weight=100.0),
        "laplacian": term(
            "laplacian",
            "image",
            reference="content",
            pool=4,  # k = 2
            pixel_range=256.0,
            convention="lapstyle",
            weight=100.0,
        ),
        "tv": _tv_corner(1e-3),
    }


@_published_for("original")
def mrf():
    """chuanli11/CNNMRF, Li & Wand 2016: patches at two taps; max pooling, network as it is."""
    return {
        "content": _content("feature", "relu4_1", weight=20.0),
        "style": term("mrf", ("relu3_1", "relu4_1"), size=3, stride=2, convention="cnnmrf", weight=1e-4),
        "tv": _tv_corner(1e-3),
    }


@_published_for("torchvision")
def strotss(alpha=16.0):
    """Kolkin et al. 2019 on hypercolumns; `alpha` is halved from scale to scale, from 16 down to 2.

    The columns hold the nine taps of nkolkin13/STROTSS, there of VGG-16, at the size of relu3_1, but for
    relu5_1 in place of the last, relu5_3.
    """
    taps = ("relu3_1", "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_2", "relu3_3", "relu4_3", "relu5_1")
    column = "+".join(("relu3_1", "image", *taps[1:]))
    share = 1 / (alpha + 2)
    return {
        "content": term("self_similarity", column, reference="content", weight=alpha * share),
        "style": term("relaxed_emd", column, weight=share),
        "moments": term("moments_l1", column, weight=share),
        "palette": term("palette", "image", weight=share / max(alpha, 1.0)),
    }


def heitz2021():
    """Heitz et al. 2021 and tchambon's code: twelve taps alike; normalised network, average pooling."""
    taps = [tap for tap in TAPS if tap.startswith("relu") and tap <= "relu4_4"]
    return {"style": term("sliced_wasserstein", taps)}


@_published_for("torchvision")
def kalischek2021(alpha=1.0):
    """Kalischek et al. 2021, D1noFuzi/cmd_styletransfer: taps before the ReLU; `alpha` is 1 by default."""
    taps = [f"conv{block}_1" for block in range(1, 6)]
    per_tap = tuple(alpha * w for w in _per_square(taps))  # 1e3 / C^2
    return {
        "content": _content("feature", "relu4_1", weight=1 - alpha),
        "style": term("cmd", taps, tap_weights=per_tap),
    }


@_published_for("torchvision")
def crowsonkb():
    """crowsonkb/style-transfer-pytorch at its defaults: Gaussian Wasserstein distances."""
    profile = tuple(4.0 ** (4 - i) / 341 for i in range(5))  # 256, 64, 16, 4, 1 of their sum
    return {
        "content": _content("feature", "relu4_2", weight=0.015),
        "style": term(
            "wasserstein_gaussian", STYLE_TAPS, tap_weights=profile, convention="crowsonkb", iterations=12
        ),
        "tv": term("tv_nine_point", "image", reference="content", weight=2.0),
    }


def _content(loss, tap, **options):
    return term(loss, tap, reference="content", **options)


def _per_square(taps):
    return tuple(1e3 / WIDTHS[int(tap[4]) - 1] ** 2 for tap in taps)


def _tv_corner(weight, pixel_range=256.0):
    """Of the Torch7 programs, which add its gradient in the units of the network."""
    return term("tv_corner", "image", reference="content", pixel_range=pixel_range, weight=weight)
