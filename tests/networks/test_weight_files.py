"""Weight files as programs write them: each is read, or is one line that says what it is."""

import h5py
import numpy as np
import pytest
import safetensors.numpy
from checkpoints import tensor, write_zip
from weight_files import BLOCKS, INDEX, TINY, keras, line, same, state_of, tree_of, write_h5

from nstjax import networks
from nstjax.errors import UserError
from nstjax.networks import vgg

VGG16 = (2, 2, 3, 3, 3)


def top(name):
    shapes = {"fc1": (25088 // 512, 8), "fc2": (8, 8), "predictions": (8, 10)}
    made = {}
    for layer, shape in shapes.items():
        for number, part in enumerate(("kernel", "bias")):
            where = name.format(layer=layer, part=part, number=number)
            made[where] = np.zeros(shape[number:], np.float32)
    return made


NUMBERED = ["conv2d", *(f"conv2d_{i}" for i in range(1, 16))]
KERAS = {
    "Keras 2 weights": keras("{layer}/{layer}/{part}:0"),
    "Keras 2 model": keras("model_weights/{layer}/{layer}/{part}:0"),
    "Keras 2 nested": keras("model_weights/vgg19/{layer}/{part}:0"),
    "Keras 3 model": keras("model_weights/{layer}/{layer}/{part}")
    | {"optimizer_weights/adam/iteration": np.int64(3)},
    "Keras 3 model, nested": keras("model_weights/{layer}/vgg19/{layer}/{part}"),
    "Keras 3 weights": keras("layers/{layer}/vars/{number}"),
    "Keras 3 weights, numbered": keras("layers/{layer}/vars/{number}", layers=NUMBERED)
    | {"optimizer/vars/0": np.int64(3)},
    "Keras 3 weights, nested": keras("layers/functional/layers/{layer}/vars/{number}", layers=NUMBERED),
    "Keras 3 weights, before 3.0": keras("_layer_checkpoint_dependencies/{layer}/vars/{number}"),
    "numbered from 17 on": keras(
        "{l}/{l}/{p}:0".replace("{l}", "{layer}").replace("{p}", "{part}"),
        layers=[f"conv2d_{i}" for i in range(17, 33)],
    ),
    "with its top": keras("{layer}/{layer}_{part}:0") | top("{layer}/{layer}_{part}:0"),
    "with its top, Keras 1": {
        name.replace("kernel", "W_1").replace("bias", "b_1"): array
        for name, array in (keras("{layer}/{layer}_{part}:0") | top("{layer}/{layer}_{part}:0")).items()
    },
    "with its top, Keras 3": keras("layers/{layer}/vars/{number}") | top("layers/{layer}/vars/{number}"),
}


@pytest.mark.parametrize("kind", KERAS)
def test_files_of_keras(tmp_path, kind):
    loaded = networks.load(str(write_h5(tmp_path / "mine.weights.h5", KERAS[kind])))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.CAFFE


@pytest.mark.parametrize("turned", [False, True])
def test_the_order_of_theano(tmp_path, turned):
    real = networks.load("vgg19-8bit").params
    given = {conv: dict(real[conv]) for conv in vgg.CONVS[:3]}
    for parts in given.values():
        kernel = parts["kernel"][::-1, ::-1] if turned else parts["kernel"]
        parts["kernel"] = kernel.transpose(3, 2, 0, 1)
    path = write_h5(tmp_path / "th.h5", keras("{layer}/{layer}_{part}:0", given, BLOCKS[:3]))
    loaded = networks.load(str(path))
    assert same(loaded.params, {conv: real[conv] for conv in given}) and loaded.notes == ()


def test_the_order_of_theano_of_others_is_refused(tmp_path):
    given = {c: {"kernel": p["kernel"].transpose(3, 2, 0, 1), "bias": p["bias"]} for c, p in TINY.items()}
    path = write_h5(tmp_path / "th.h5", keras("{layer}/{layer}_{part}:0", given))
    assert "Theano's order [out, in, 3, 3], which may be mirrored" in line(path)


TORCH = {
    "torchvision": "features.{}",
    "of a DataParallel": "module.features.{}",
    "features in a DataParallel": "features.module.{}",
    "a Sequential": "{}",
    "of a module": "vgg.features.{}",
    "compiled": "_orig_mod.features.{}",
}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar"])
@pytest.mark.parametrize("kind", TORCH)
def test_files_of_pytorch(torch, tmp_path, kind, suffix):
    state = state_of(TINY, [TORCH[kind].format(i) for i in INDEX])
    state["classifier.0.weight"] = np.zeros((4, 9), np.float32)
    write_zip(tmp_path / f"w{suffix}", tree_of(torch, state))
    loaded = networks.load(str(tmp_path / f"w{suffix}"))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.TORCHVISION


@pytest.mark.parametrize("prefix", ["", "module."])
def test_names_of_gatys(torch, tmp_path, prefix):
    write_zip(tmp_path / "conv.pth", tree_of(torch, state_of(TINY, [prefix + conv for conv in vgg.CONVS])))
    loaded = networks.load(str(tmp_path / "conv.pth"))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.CAFFE


@pytest.mark.parametrize("keys", [["model"], ["state_dict"], ["model_state_dict"], ["model", "state_dict"]])
def test_wrapped_state_dicts(torch, tmp_path, keys):
    tree = tree_of(torch, state_of(TINY, [f"module.features.{i}" for i in INDEX]))
    for key in reversed(keys):
        tree = {"epoch": 3, "optimizer": {"state": {}}, key: tree}
    write_zip(tmp_path / "w.pth.tar", tree)
    assert same(networks.load(str(tmp_path / "w.pth.tar")).params, TINY)


def test_a_wrapper_of_itself_ends(torch, tmp_path):
    tree = {}
    tree["model"] = tree
    write_zip(tmp_path / "w.pth", tree)
    assert "expected a tensor" in line(tmp_path / "w.pth")


def test_safetensors_of_pytorch(tmp_path):
    state = state_of(TINY, [f"features.{i}" for i in INDEX])
    safetensors.numpy.save_file(state | {"head.fc.bias": np.zeros(9)}, tmp_path / "model.safetensors")
    loaded = networks.load(str(tmp_path / "model.safetensors"))
    assert same(loaded.params, TINY) and loaded.preprocessing == vgg.TORCHVISION


def network(depths, widths=(8, 12, 16, 20, 20)):
    """(index in a Sequential with pooling, kernel) of random convolutions."""
    index, channels, found = 0, 3, []
    for depth, width in zip(depths, widths, strict=True):
        for _ in range(depth):
            found.append((index, np.ones((width, channels, 3, 3), np.float32)))
            index, channels = index + 2, width
        index += 1
    return found


DEPTHS = {"VGG-11": (1, 1, 2, 2, 2), "VGG-13": (2, 2, 2, 2, 2), "VGG-16": VGG16}


@pytest.mark.parametrize("name", DEPTHS)
def test_other_networks_of_the_family_are_named(torch, tmp_path, name):
    state = {}
    for index, kernel in network(DEPTHS[name]):
        state[f"features.{index}.weight"] = kernel
        state[f"features.{index}.bias"] = np.zeros(len(kernel), np.float32)
    write_zip(tmp_path / "w.pth", tree_of(torch, state))
    assert f"this is {name}; expected VGG-19" in line(tmp_path / "w.pth")
    arrays, layers = {}, ["conv2d", *(f"conv2d_{i}" for i in range(1, 16))]
    for layer, (_, kernel) in zip(layers, network(DEPTHS[name]), strict=False):
        arrays[f"layers/{layer}/vars/0"] = kernel.transpose(2, 3, 1, 0)
        arrays[f"layers/{layer}/vars/1"] = np.zeros(len(kernel), np.float32)
    write_h5(tmp_path / "w.h5", arrays)
    assert f"this is {name}; expected VGG-19" in line(tmp_path / "w.h5")


def test_vgg16_by_the_names_of_keras_and_of_gatys(torch, tmp_path):
    convs = [f"conv{b}_{i}" for b, depth in enumerate(VGG16, 1) for i in range(1, depth + 1)]
    params = {
        conv: {"kernel": kernel.transpose(2, 3, 1, 0), "bias": np.zeros(len(kernel), np.float32)}
        for conv, (_, kernel) in zip(convs, network(VGG16), strict=True)
    }
    write_zip(tmp_path / "w.pth", tree_of(torch, state_of(params, convs)))
    layers = [f"block{conv[4]}_conv{conv[6]}" for conv in convs]
    write_h5(tmp_path / "w.h5", keras("{layer}/{layer}_{part}:0", params, layers))
    for name in ("w.pth", "w.h5"):
        assert "this is VGG-16; expected VGG-19" in line(tmp_path / name)


@pytest.mark.parametrize("depths, name", [(vgg.DEPTHS, "VGG-19"), (VGG16, "VGG-16")])
def test_batch_normalisation_is_named(torch, tmp_path, depths, name):
    state = {}
    for number, (_, kernel) in enumerate(network(depths)):
        state[f"features.{3 * number}.weight"] = kernel
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"features.{3 * number + 1}.{part}"] = np.zeros(len(kernel), np.float32)
        state[f"features.{3 * number + 1}.num_batches_tracked"] = np.array(1, np.int64)
    write_zip(tmp_path / "w.pth", tree_of(torch, state))
    assert f"this is {name} with batch normalisation" in line(tmp_path / "w.pth")


def test_a_network_of_another_kind_names_an_array(torch, tmp_path):
    write_zip(tmp_path / "w.pt", tree_of(torch, {"layer1.0.conv1.weight": np.zeros((4, 4, 3, 3), "f4")}))
    assert "array 'layer1.0.conv1.weight' is not part of VGG-19" in line(tmp_path / "w.pt")


def test_blocks_of_two_widths_are_refused(tmp_path):
    params = TINY | {"conv1_2": {"kernel": np.zeros((3, 3, 4, 5), "f4"), "bias": np.zeros(5, "f4")}}
    path = write_h5(tmp_path / "w.h5", keras("{layer}/{layer}_{part}:0", params))
    assert "'conv1_2/kernel' has shape (3, 3, 4, 5), expected (3, 3, 4, 4)" in line(path)


def test_a_kernel_that_claims_more_than_its_file_is_refused(torch, tmp_path):
    tree, one = tree_of(torch, state_of(TINY, [f"features.{i}" for i in INDEX])), np.ones(1, np.float32)
    tree["features.0.weight"] = tensor(torch, one, (1 << 40, 3, 3, 3), (0, 0, 0, 0), key="a")
    tree["features.0.bias"] = tensor(torch, one, (1 << 40,), (0,), key="b")
    write_zip(tmp_path / "w.pth", tree)
    assert "conv1_1 has 1099511627776 filters, expected 1 to 4096" in line(tmp_path / "w.pth")


def test_a_network_without_filters_is_refused(tmp_path):
    arrays = {"kernel": np.zeros((3, 3, 3, 0), np.float32), "bias": np.zeros(0, np.float32)}
    path = write_h5(tmp_path / "w.h5", keras("{layer}/{part}:0", {"conv1_1": arrays}, BLOCKS[:1]))
    assert "conv1_1 has 0 filters" in line(path)


@pytest.mark.filterwarnings("error")
def test_kernels_of_the_largest_numbers_are_read(tmp_path):
    params = {"conv1_1": TINY["conv1_1"] | {"kernel": np.full((3, 3, 3, 4), 3e38, np.float32)}}
    path = write_h5(tmp_path / "w.h5", keras("{layer}/{part}:0", params, BLOCKS[:1]))
    assert same(networks.load(str(path)).params, params)


def strange(kind):
    """Puts something strange into an open HDF5 file."""

    def put(file):
        del file["block2_conv1/kernel:0"]
        name, shape = "block2_conv1/kernel:0", (3, 3, 4, 6)
        if kind == "loop":
            file[name] = h5py.SoftLink(f"/{name}")
        elif kind == "external":
            file[name] = h5py.ExternalLink("/etc/hostname", "kernel")
        elif kind == "compound":
            file[name] = np.zeros(shape, [("re", "f4"), ("im", "f4")])
        elif kind == "strings":
            file[name] = np.array(["a", "b"], h5py.string_dtype())
        elif kind == "integers":
            file[name] = np.zeros(shape, np.int8)
        elif kind == "endless":
            file.create_dataset(name, (3, 3, 1 << 30, 1 << 30), "f4", chunks=(3, 3, 1, 1))
        elif kind == "empty":
            file[name] = h5py.Empty("f4")
        elif kind == "elsewhere":
            raw = [("/etc/hostname", 0, 864)]
            file.create_dataset(name, shape, "f4", external=raw)

    return put


@pytest.mark.parametrize(
    "kind, says",
    [
        ("loop", "is a link to another place"),
        ("external", "is a link to another place"),
        ("compound", "expected floating-point numbers"),
        ("strings", "expected floating-point numbers"),
        ("integers", "holds int8, expected floating-point numbers"),
        ("endless", "expected a kernel or a bias of VGG-19"),
        ("empty", "has shape None"),
        ("elsewhere", "lies in another file"),
    ],
)
def test_strange_hdf5_is_one_line(tmp_path, kind, says):
    path = write_h5(tmp_path / "w.h5", keras("{layer}/{part}:0"))
    with h5py.File(path, "a") as file:
        strange(kind)(file)
    assert says in line(path) and "block2_conv1/kernel:0" in line(path)


def test_a_group_in_itself_is_read_once(tmp_path):
    path = write_h5(tmp_path / "w.h5", keras("{layer}/{part}:0"))
    with h5py.File(path, "a") as file:
        file["block1_conv1/again"] = file["block1_conv1"]
    assert same(networks.load(str(path)).params, TINY)


def test_hdf5_damaged_anywhere_is_one_line_or_weights(tmp_path):
    path, rng = write_h5(tmp_path / "w.h5", keras("{layer}/{part}:0")), np.random.default_rng(0)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        line(path)
    for _ in range(100):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            networks.load(str(path))
        except UserError as error:
            assert path.name in str(error)
