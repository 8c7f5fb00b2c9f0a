"""Files that are no released checkpoint, are damaged or hold more beside it: one sentence, no code run, no wrong weights."""

import json
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from skelray.data.formats.unpickle import NUMBERS
from skelray.released.checkpoint import read_checkpoint

ZIP, LEGACY = ("hiclr_gcn_joint.pt", "hiclr"), ("crossclr_3views.pt", "crossclr")
HICO = ("hico_gru/checkpoint_0400.pth.tar", "hico")
formats = pytest.mark.parametrize(("file", "method"), [ZIP, LEGACY, HICO], ids=["zip", "legacy", "pth.tar"])


def refused(path, method):
    """The sentence."""
    with pytest.raises(ValueError, match=r"x\.pt ") as caught:
        read_checkpoint(path, method)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Harmful:
    ran = []  # noqa: RUF012

    def __reduce__(self):
        return (Harmful.ran.append, (1,))


def saved(content):
    return lambda path: torch.save(content, path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b""), "no checkpoint that torch can read|is damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "no checkpoint|damaged"),
        (lambda path: path.write_text(json.dumps({"a": 1})), "no checkpoint|damaged"),
        (lambda path: path.write_bytes(pickle.dumps(Harmful())), "more than tensors"),
        (saved({"state_dict": Harmful()}), "more than tensors"),
        (saved([1, 2]), "holds a list"),
        (saved({"epoch": 3}), "no state of a model"),
        (saved({0: torch.zeros(2)}), "no state of a model"),
        (saved({"encoder_q.fc.2.weight": torch.zeros(4, 4)}), "no pre-training checkpoint of hiclr"),
    ],
)
def test_what_is_no_checkpoint_gets_one_sentence_and_runs_no_code(tmp_path, write, said):
    path = tmp_path / "x.pt"
    write(path)
    with pytest.raises(ValueError, match=said) as caught:
        read_checkpoint(path, "hiclr")
    assert "\n" not in str(caught.value)
    assert not Harmful.ran


def test_a_missing_file_and_another_method_are_named(golden, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pt", "hiclr")
    with pytest.raises(ValueError, match="no pre-training checkpoint of hico"):
        read_checkpoint(golden("checkpoints/hiclr_gcn_joint.pt"), "hico")
    with pytest.raises(ValueError, match="holds a stgcn, not a dsta"):
        read_checkpoint(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr", backbone="dsta")


@formats
@pytest.mark.parametrize("share", [0.0001, 0.001, 0.02, 0.1, 0.5, 0.999])
def test_a_file_that_ends_early_is_refused(golden, tmp_path, file, method, share):
    whole = golden(f"checkpoints/{file}").read_bytes()
    (tmp_path / "x.pt").write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path / "x.pt", method)


@formats
def test_bytes_that_were_changed_end_in_a_sentence_or_change_nothing(golden, tmp_path, file, method):
    """A file of the legacy format holds no sums: there a weight may be another and nobody can tell."""
    whole = golden(f"checkpoints/{file}").read_bytes()
    digest, draw, said = read_checkpoint(golden(f"checkpoints/{file}"), method).digest, random.Random(0), []
    for trial in range(20):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 5, 50])):
            content[draw.randrange(4000 if trial % 2 else len(content))] = draw.randrange(256)
        (tmp_path / "x.pt").write_bytes(content)
        try:
            found = read_checkpoint(tmp_path / "x.pt", method).digest
        except ValueError as error:
            said.append(str(error))
        else:
            assert (file, method) == LEGACY or found == digest
    assert said
    assert not any("\n" in sentence for sentence in said)


def test_a_byte_changed_in_a_tensor_is_named_by_its_member(golden, tmp_path):
    content = bytearray(golden(f"checkpoints/{ZIP[0]}").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "x.pt").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        assert f"{archive.testzip()} in it does not have the sum" in refused(tmp_path / "x.pt", "hiclr")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_where_they_are_kept(golden, tmp_path, value):
    state = torch.load(golden(f"checkpoints/{ZIP[0]}"), weights_only=True)
    name = "st_gcn_networks.3.gcn.conv.bias"
    torch.save(
        {**state, f"encoder_q.{name}": state[f"encoder_q.{name}"].index_fill(0, torch.tensor(1), value)}, tmp_path / "x.pt"
    )
    assert "blocks.3.graph.bias holds values that are not finite" in refused(tmp_path / "x.pt", "hiclr")
    torch.save({**state, f"encoder_k.{name}": state[f"encoder_k.{name}"] * value}, tmp_path / "x.pt")
    assert (
        read_checkpoint(tmp_path / "x.pt", "hiclr").digest
        == read_checkpoint(golden(f"checkpoints/{ZIP[0]}"), "hiclr").digest
    )


Q = "encoder_q."
FOREIGN = {
    "a head of no shape": (ZIP, f"{Q}fc.2.weight", torch.tensor(1.0), r"fc.2.weight has the shape \(\)"),
    "a joint less": (ZIP, f"{Q}data_bn.weight", torch.ones(72), "size mismatch for query.encoder.data_norm.weight"),
    "a flat convolution": (ZIP, f"{Q}st_gcn_networks.1.gcn.conv.weight", torch.ones(3), "checkpoint of hiclr: "),
    "another graph's size": (ZIP, f"{Q}A", torch.ones(3, 20, 20), "its graph A is not that of 25"),
    "a flat embedding": (HICO, f"{Q}hi_encoder.t_embedding.0.weight", torch.ones(3), r"has the shape \(3,\), not 2 sizes"),
    "no width": (HICO, f"{Q}hi_encoder.t_embedding.0.weight", torch.ones(0, 150), r"has the shape \(0, 150\)"),
    "a width of 1": (HICO, f"{Q}hi_encoder.t_embedding.0.weight", torch.ones(1, 150), "granularity 64"),
    "no subsets": (("hiclr_dsta_joint.pt", "hiclr"), f"{Q}graph_layers.0.alphas", torch.ones(0), r"has the shape \(0,\)"),
    "flat subsets": (("hiclr_dsta_joint.pt", "hiclr"), f"{Q}graph_layers.1.in_nets.weight", torch.ones(9), "has the shape"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_tensors_of_foreign_shapes_get_one_sentence(golden, tmp_path, case):
    (file, method), name, tensor, said = FOREIGN[case]
    content = torch.load(golden(f"checkpoints/{file}"), weights_only=True)
    state = content.get("state_dict", content)
    assert name in state
    torch.save({**state, name: tensor}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=said):
        read_checkpoint(tmp_path / "x.pt", method)
    refused(tmp_path / "x.pt", method)


@pytest.mark.parametrize("queue", [torch.ones(3), torch.ones(2, 3, 4), torch.tensor(1.0)])
def test_a_queue_of_a_foreign_shape_is_not_looked_at(golden, tmp_path, queue):
    """torch warns of turning a tensor that is no matrix, and a warning fails a test."""
    state = torch.load(golden(f"checkpoints/{ZIP[0]}"), weights_only=True)
    torch.save({**state, "queue": queue}, tmp_path / "x.pt")
    assert (
        read_checkpoint(tmp_path / "x.pt", "hiclr").digest
        == read_checkpoint(golden(f"checkpoints/{ZIP[0]}"), "hiclr").digest
    )


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_is_found_where_training_loops_put_it(golden, tmp_path, name, prefix):
    state = torch.load(golden(f"checkpoints/{ZIP[0]}"), weights_only=True)
    torch.save({name: {prefix + key: tensor for key, tensor in state.items()}, "epoch": 7}, tmp_path / "x.pt")
    imported = read_checkpoint(tmp_path / "x.pt", "hiclr")
    assert imported.digest == read_checkpoint(golden(f"checkpoints/{ZIP[0]}"), "hiclr").digest
    assert "7 epochs" in str(imported)


@pytest.mark.parametrize("numpy_1", [False, True])
def test_numbers_of_numpy_beside_the_state_do_no_harm(golden, tmp_path, numpy_1):
    path = tmp_path / "x.pt"
    content = {
        "state_dict": torch.load(golden(f"checkpoints/{ZIP[0]}"), weights_only=True),
        "epoch": np.int64(3),
        "best_acc1": np.float64(0.5),
        "loss": np.float32(1),
        "best": np.bool_(True),
    }
    torch.save(content, path, _use_new_zipfile_serialization=not numpy_1)
    if numpy_1:
        assert path.read_bytes().count(b"numpy._core.multiarray") == 1
        path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    imported = read_checkpoint(path, "hiclr")
    assert imported.digest == read_checkpoint(golden(f"checkpoints/{ZIP[0]}"), "hiclr").digest
    assert "3 epochs" in str(imported)
    assert set(NUMBERS).isdisjoint(torch.serialization.get_safe_globals())
