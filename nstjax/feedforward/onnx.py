"""A trained network as ONNX: its graph, written node by node.

jax2onnx 0.17 does not translate a network's choice by platform, nor reflections at sides of any length.
"""

from typing import Any

import jax
import numpy as np

from nstjax.feedforward.export import import_library
from nstjax.networks.stylizers import Stylizer
from nstjax.networks.transformer import EPSILON, INSIDE, SLOPE

_OPSET = 18


def to_onnx(stylizer: Stylizer) -> bytes:
    """A network as ONNX, for browsers, phones and any other program that reads it.

    Its inputs are `image` [H, W, 3] float32 sRGB in [0, 1], of any size that the network's reflections fit in
    (5 pixels a side; where they are at its start, 8 for each residual block and one more); where it has
    several styles, `styles` [S], shares that add up to 1; and where it takes strengths, `strengths` [K], log2
    of factors. Its output is `painted`, as `image`. Its metadata have the names of styles and strengths.

    Raises:
      UserError: if onnx is not installed.
    """
    return _Graph(stylizer, import_library("onnx")).build()


class _Graph:
    """The ONNX graph of a network, node by node; a tensor is a name."""

    def __init__(self, stylizer: Stylizer, onnx: Any):
        self._stylizer, self._network, self._onnx = stylizer, stylizer.network, onnx
        self._params = jax.tree.map(np.asarray, stylizer.variables["params"])
        self._nodes: list = []
        self._constants: dict[str, np.ndarray] = {}

    def build(self):
        """The bytes of the model."""
        helper, network = self._onnx.helper, self._network
        x = self._preprocessed()
        self._conditions()
        for name, stride in (("first", 1), ("down1", 2), ("down2", 2)):
            x = self._node("Relu", self._norm(f"norm_{name}", self._conv(name, x, stride)))
        for i in range(1, network.blocks + 1):
            y = self._node("Relu", self._norm(f"norm{i}_1", self._conv(f"block{i}_1", x, inner=True)))
            y = self._norm(f"norm{i}_2", self._conv(f"block{i}_2", y, inner=True))
            x = self._node("Add", x if network.padding == "reflect" else self._cropped(x), y)
        for name in ("up1", "up2"):
            x = self._node("Relu", self._norm(f"norm_{name}", self._up(name, x)))
        self._picture(self._conv("last", x))
        floats = self._onnx.TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info("image", floats, ["height", "width", 3])]
        if network.styles > 1:
            inputs.append(helper.make_tensor_value_info("styles", floats, [network.styles]))
        if network.strengths:
            inputs.append(helper.make_tensor_value_info("strengths", floats, [network.strengths]))
        painted = helper.make_tensor_value_info("painted", floats, ["height", "width", 3])
        arrays = [self._onnx.numpy_helper.from_array(v, k) for k, v in self._constants.items()]
        graph = helper.make_graph(self._nodes, "stylize", inputs, [painted], arrays)
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="nstjax", ir_version=9)
        taught = {
            "label": self._stylizer.label,
            "styles": ", ".join(self._stylizer.styles),
            "strengths": ", ".join(f"{k} [{a:g}, {b:g}]" for k, (a, b) in self._stylizer.strengths.items()),
        }
        helper.set_model_props(model, taught)
        self._onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()

    def _node(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _constant(self, value, dtype=np.float32):
        name = f"constant{len(self._constants)}"
        self._constants[name] = np.asarray(value, dtype)
        return name

    def _integers(self, *values):
        return self._constant(values, np.int64)

    def _preprocessed(self):
        """The picture [1, 3, H, W] as the network wants it."""
        x = self._node("Transpose", self._normalised(), perm=[2, 0, 1])
        x = self._node("Unsqueeze", x, self._integers(0))
        return x if self._network.padding == "reflect" else self._pad(x, 8 * self._network.blocks, "reflect")

    def _normalised(self):
        """The picture [H, W, 3] in the colour space of the network."""
        pre, x = self._network.preprocessing, "image"
        x = self._node("Gather", x, self._integers(2, 1, 0), axis=2) if pre.order == "bgr" else x
        x = self._node("Sub", self._node("Mul", x, self._constant(pre.scale)), self._constant(pre.mean))
        return self._node("Div", x, self._constant(pre.std))

    def _conditions(self):
        """What the norms read: shares of styles [1, S], and what is made of strengths [1, hidden]."""
        several = self._network.styles > 1
        self._shares = (
            self._node("Unsqueeze", "styles", self._integers(0)) if several else self._constant([[1]])
        )
        if self._network.strengths:
            x = self._node("Unsqueeze", "strengths", self._integers(0))
            x = self._dense(self._params["strength1"], self._node("Div", x, self._constant(np.log2(10))))
            own = self._node("MatMul", self._shares, self._constant(self._params["strength_style"]["kernel"]))
            x = self._node("LeakyRelu", self._node("Add", x, own), alpha=SLOPE)
            self._hidden = self._node("LeakyRelu", self._dense(self._params["strength2"], x), alpha=SLOPE)

    def _dense(self, params, x):
        return self._node("Gemm", x, self._constant(params["kernel"]), self._constant(params["bias"]))

    def _norm(self, name, x):
        params, network = self._params[name], self._network
        scale = self._node("MatMul", self._shares, self._constant(params["scale"]))
        shift = self._node("MatMul", self._shares, self._constant(params["shift"]))
        if network.strengths:
            both = self._dense(params["strength"], self._hidden)
            channels = params["scale"].shape[1]
            factor = self._node("Slice", both, self._integers(0), self._integers(channels), self._integers(1))
            rest = self._integers(channels), self._integers(2 * channels), self._integers(1)
            scale = self._node("Mul", scale, self._node("Add", factor, self._constant(1.0)))
            shift = self._node("Add", shift, self._node("Slice", both, *rest))
        scale, shift = (self._node("Squeeze", each, self._integers(0)) for each in (scale, shift))
        if network.norm == "instance":
            return self._node("InstanceNormalization", x, scale, shift, epsilon=EPSILON)
        known = self._stylizer.variables["statistics"][name]
        mean, variance = self._constant(known["mean"]), self._constant(known["variance"])
        return self._node("BatchNormalization", x, scale, shift, mean, variance, epsilon=EPSILON)

    def _pad(self, x, border, mode):
        return self._node("Pad", x, self._integers(0, 0, border, border, 0, 0, border, border), mode=mode)

    def _conv(self, name, x, stride=1, inner=False):
        kernel = self._params[name]["kernel"]
        border = kernel.shape[0] // 2
        if self._network.padding == "reflect":
            x, border = self._pad(x, border, "reflect"), 0
        return self._convolved(name, kernel, x, stride, 0 if inner else border)

    def _convolved(self, name, kernel, x, stride, border):
        inputs = [x, self._constant(kernel.transpose(3, 2, 0, 1))]
        if "bias" in self._params[name]:
            inputs.append(self._constant(self._params[name]["bias"]))
        return self._node("Conv", *inputs, strides=[stride] * 2, pads=[border] * 4)

    def _cropped(self, x):
        """Without two positions on every side."""
        return self._node("Slice", x, self._integers(2, 2), self._integers(-2, -2), self._integers(2, 3))

    def _up(self, name, x):
        kind, kernel = self._network.upsampling, self._params[name]["kernel"]
        edge = "edge" if self._network.padding == "reflect" else "constant"
        if kind.startswith("transposed"):
            size = kernel.shape[0]
            extra = 1 if size == 3 else 0
            if edge == "edge":  # The positions of the border are made, and cut off again.
                x = self._pad(x, 1, "edge")
            y = self._node(
                "ConvTranspose",
                *(x, self._constant(kernel.transpose(2, 3, 0, 1))),
                **{"strides": [2, 2], "pads": [1] * 4, "output_padding": [extra] * 2},
            )
            return self._cropped(y) if edge == "edge" else y
        if kind == "subpixel":
            features = kernel.shape[3] // 4
            order = kernel.reshape(3, 3, -1, 2, 2, features).transpose(0, 1, 2, 5, 3, 4).reshape(kernel.shape)
            y = self._convolved(name, order, self._pad(x, 1, edge), 1, 0)
            return self._node("DepthToSpace", y, blocksize=2, mode="CRD")
        scales = self._constant([1, 1, 2, 2])
        options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if kind == "bilinear":
            options = {"coordinate_transformation_mode": "half_pixel", "mode": "linear"}
        larger = self._node("Resize", x, "", scales, **options)
        return self._convolved(name, kernel, self._pad(larger, 1, edge), 1, 0)

    def _picture(self, x):
        """Writes `painted` [H, W, 3] of the output [1, 3, H', W'] of the last convolution."""
        network, pre = self._network, self._network.preprocessing
        size = self._node("Slice", self._node("Shape", "image"), self._integers(0), self._integers(2))
        x = self._node("Transpose", self._node("Squeeze", x, self._integers(0)), perm=[1, 2, 0])
        x = self._node("Slice", x, self._integers(0, 0), size, self._integers(0, 1))
        if network.strengths:
            share = self._dense(self._params["skip"], self._hidden)
            x = self._node("Add", x, self._node("Mul", share, self._unpainted()))
        if network.output == "sigmoid":
            x = self._node("Sigmoid", x)
        else:
            if network.output == "tanh":
                x = self._node("Mul", self._node("Tanh", x), self._constant(network.amplitude))
            x = self._node("Add", self._node("Mul", x, self._constant(pre.std)), self._constant(pre.mean))
            x = self._node("Div", x, self._constant(pre.scale))
            x = self._node("Gather", x, self._integers(2, 1, 0), axis=2) if pre.order == "bgr" else x
        ends = self._node("Clip", x, self._constant(0.0), self._constant(1.0))
        self._nodes.append(self._onnx.helper.make_node("Identity", [ends], ["painted"]))

    def _unpainted(self):
        """What the last convolution would give for the picture itself: [H, W, 3]."""
        if self._network.output == "sigmoid":
            x = self._node("Clip", "image", self._constant(1 - INSIDE), self._constant(INSIDE))
            rest = self._node("Sub", self._constant(1.0), x)
            return self._node("Log", self._node("Div", x, rest))
        x = self._normalised()
        if self._network.output == "linear":
            return x
        x = self._node("Div", x, self._constant(self._network.amplitude))
        x = self._node("Clip", x, self._constant(-INSIDE), self._constant(INSIDE))
        above, below = (self._node(kind, self._constant(1.0), x) for kind in ("Add", "Sub"))
        return self._node("Mul", self._constant(0.5), self._node("Log", self._node("Div", above, below)))
