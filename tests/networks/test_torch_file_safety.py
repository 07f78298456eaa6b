"""Nothing in a checkpoint is run."""

import os
import pickle
import zipfile

import pytest
from checkpoints import LEGACY_HEADER, WRITERS, Call, refusal, write_legacy

from nstjax.networks import torch_file

HOSTILE = {
    "posix.system": lambda torch, mark: Call(os.system, f"touch {mark}"),
    "__builtin__.eval": lambda torch, mark: Call(eval, f"open({str(mark)!r}, 'w')"),
    f"{open.__module__}.open": lambda torch, mark: Call(
        torch.utils._rebuild_tensor, Call(open, str(mark), "w")
    ),
    "__builtin__.getattr": lambda torch, mark: [(Call(getattr, "", "join"),)],
}


@WRITERS
@pytest.mark.parametrize("name", HOSTILE)
def test_code_is_named_and_never_run(torch, tmp_path, write, name):
    mark = tmp_path / "ran"
    write(tmp_path / "w.pth", {"x": HOSTILE[name](torch, mark)})
    assert f"refuses to load {name}" in refusal(tmp_path / "w.pth")
    assert not mark.exists()


@pytest.mark.parametrize("place", range(3))
def test_code_in_the_legacy_header_is_never_run(torch, tmp_path, place):
    header = list(LEGACY_HEADER)
    header[place] = Call(os.system, f"touch {tmp_path / 'ran'}")
    write_legacy(tmp_path / "w.pth", {}, header)
    assert "refuses to load" in refusal(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_code_in_a_persistent_id_is_never_run(tmp_path):
    program = b"\x80\x02(X\x07\x00\x00\x00storagecposix\nsystem\nX\x04\x00\x00\x00true\x85RtQ."
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("data.pkl", program)
    assert "refuses to load posix.system" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"cos\nsystem\n", "refuses to load os.system"),
        (b"(S'true'\nios\nsystem\n", "refuses to load os.system"),
        (
            b"\x8c\x0ctorch._utils\x8c\x1b_rebuild_tensor.__globals__\x93",
            "refuses to load torch._u",
        ),
        (b"ctorch\nFloatStorage\n(tR", "'str' object is not callable"),
        (b"ctorch\nFloatStorage\n}X\x01\x00\x00\x00xK\x01sb", "AttributeError"),
        (b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00xK\x01sb", "TypeError"),
        (b"ctorch._utils\n_rebuild_tensor\nN}X\x08\x00\x00\x00__init__K\x01s\x86b", "TypeError"),
        (b"ctorch._utils\n_rebuild_tensor\n)\x81}X\x05\x00\x00\x00stateK\x01sb", "expected"),
        (b"ctorch.nn.parameter\nParameter\n)\x81q\x00(h\x00NNNNtb", "expected"),  # of itself
        (b"]r\xff\xff\xff\x7f", "fill the memory"),
        (b"\x96\x00\x00\x00\x00\x10\x00\x00\x00", "damaged"),
        (b"\x82\x01", "unregistered extension"),
        (b"Psomething\n", "names something other than a storage"),
        (
            b"(X\x06\x00\x00\x00modulectorch\nByteStorage\nX\x01\x00\x00\x00kNK\x01tQ",
            "other than a",
        ),
    ],
)
def test_abuse_of_what_is_allowed_is_refused(tmp_path, program, reason):
    before = {made: dict(vars(made)) for made in classes()}
    path, program = tmp_path / "w.pth", b"\x80\x05}X\x01\x00\x00\x00x" + program + b"s."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", program)
    assert reason in refusal(path)
    with open(path, "wb") as file:
        file.write(b"".join(pickle.dumps(part, 2) for part in LEGACY_HEADER))
        file.write(program + pickle.dumps([], 2))
    assert reason in refusal(path)
    assert before == {made: dict(vars(made)) for made in classes()}


def classes():
    return {g for g in torch_file._GLOBALS.values() if not isinstance(g, str)}


def test_every_class_within_reach_takes_its_own_state():
    for made in classes():
        assert "__setstate__" in vars(made), made
