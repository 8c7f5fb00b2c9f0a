"""Checkpoints of the released code: read without running anything, recognised, and evaluated like any encoder."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from golden_file import GoldenFile
from tiny import splits

from skelray import DSTA, papers
from skelray.augment import to_stream
from skelray.evaluation import KNN, top
from skelray.execute import execute
from skelray.imported import keep, read
from skelray.skeleton import KINECT_V2
from skelray.store import Store

FILES = [
    ("skeletonclr_joint.pt", "skeletonclr"),
    ("aimclr_joint.pt", "aimclr"),
    ("hiclr_gcn_joint.pt", "hiclr"),
    ("hiclr_dsta_joint.pt", "hiclr"),
    ("crossclr_3views.pt", "crossclr"),
    ("hico_gru/checkpoint_0400.pth.tar", "hico"),
    ("hico_transformer/checkpoint_0450.pth.tar", "hico"),
]
every = pytest.mark.parametrize(("file", "method"), FILES, ids=[file for file, _ in FILES])


def values_of(golden, file):
    return GoldenFile(golden("checkpoints/" + file.replace(".pth.tar", ".npz").replace(".pt", ".npz")))


def built(imported):
    model = imported.trial.method.build(imported.trial.backbone, KINECT_V2, imported.trial.stream)
    model.query.load_state_dict(imported.query)
    return model.double().eval()


@every
def test_the_features_are_those_of_the_released_encoder(golden, file, method):
    values = values_of(golden, file)
    imported = read(golden(f"checkpoints/{file}"), method)
    x = values["input"].double()
    present = torch.ones(len(x), 2, dtype=torch.bool)
    for stream, encoder in built(imported).encoders().items():
        feature = encoder(to_stream(x, KINECT_V2, stream), present)
        prefix = "encoder_q" if stream == "joint" else f"encoder_q_{stream}"
        values.close(feature, f"{prefix}/{'instance' if method == 'hico' else 'feature'}_f64")


@every
def test_it_says_what_it_found(golden, file, method):
    imported = read(golden(f"checkpoints/{file}"), method)
    config = values_of(golden, file).config
    said = str(imported)
    assert type(imported.trial.backbone).__name__ in said
    assert imported.trial.stream in said
    assert ("401 epochs" in said) is ("0400" in file)
    assert imported.trial.method.dim == config["feature_dim"]
    assert imported.trial.stream == ("joint+motion+bone" if method == "crossclr" else "joint")


def test_a_store_keeps_it_and_a_trial_evaluates_it_like_any_encoder(golden, tmp_path):
    imported = read(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr")
    store, data = Store(tmp_path), splits(skeleton=KINECT_V2)
    trial = replace(imported.trial, benchmark="tiny", evaluations=(KNN(),))
    stored = store.trial(trial.id("tiny0"))
    with pytest.raises(ValueError, match="import-weights"):
        list(execute(trial, data, stored, torch.device("cpu")))
    keep(imported, store)
    assert list(execute(trial, data, stored, torch.device("cpu"))) == []
    scores = stored.scores(0, {"type": "KNN", "k": 1, "temperature": None})
    labels = torch.from_numpy(scores["labels"])
    assert stored.result(0, {"type": "KNN", "k": 1, "temperature": None})["metrics"]["top1"] == top(
        torch.from_numpy(scores["scores"]), labels
    )


def test_the_study_it_prints_runs_as_it_stands(golden):
    for file, method in FILES:
        imported = read(golden(f"checkpoints/{file}"), method)
        names = {}
        exec(imported.study(), names)
        (cell,) = names["study"].cells()
        assert replace(cell.trial, seed=0) == imported.trial, file


def test_other_weights_have_another_digest_and_another_trial(golden):
    one, other = (read(golden(f"checkpoints/{file}"), method) for file, method in FILES[:2])
    assert one.digest != other.digest
    assert one.trial.id("d") != other.trial.id("d")
    assert read(golden(f"checkpoints/{FILES[0][0]}"), FILES[0][1]).digest == one.digest


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
        (saved({"encoder_q.fc.2.weight": torch.zeros(4, 4)}), "no pre-training checkpoint of hiclr"),
    ],
)
def test_what_is_no_checkpoint_gets_one_sentence_and_runs_no_code(tmp_path, write, said):
    path = tmp_path / "x.pt"
    write(path)
    with pytest.raises(ValueError, match=said) as caught:
        read(path, "hiclr")
    assert "\n" not in str(caught.value)
    assert not Harmful.ran


def test_a_missing_file_and_another_method_are_named(golden, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "none.pt", "hiclr")
    with pytest.raises(ValueError, match="no pre-training checkpoint of hico"):
        read(golden("checkpoints/hiclr_gcn_joint.pt"), "hico")
    with pytest.raises(ValueError, match="holds a stgcn, not a dsta"):
        read(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr", backbone="dsta")


@pytest.mark.parametrize("stream", ["bone", "motion"])
def test_the_study_it_prints_keeps_the_stream(golden, stream):
    names = {}
    exec(read(golden("checkpoints/aimclr_joint.pt"), "aimclr", stream=stream).study(), names)
    assert names["study"].cells()[0].trial.stream == stream


def test_two_streams_of_crossclr_are_two(golden, tmp_path):
    state = torch.load(golden("checkpoints/crossclr_3views.pt"), weights_only=True)
    torch.save({name: tensor for name, tensor in state.items() if "_bone" not in name}, tmp_path / "two.pt")
    imported = read(tmp_path / "two.pt", "crossclr")
    assert imported.trial.stream == "joint+motion"
    names = {}
    exec(imported.study(), names)
    assert names["study"].cells()[0].trial == imported.trial


def test_the_published_dsta_net_is_recognised_whole(golden, tmp_path):
    """Its last layer has a shortcut because channels change, and no stride."""
    file = GoldenFile(golden("dsta_true.npz"))
    torch.save({f"encoder_q.{name}": tensor for name, tensor in file.under("state/").items()}, tmp_path / "x.pt")
    imported = read(tmp_path / "x.pt", "hiclr")
    expected = DSTA(layers=tuple(map(tuple, file.config["layers"])))
    assert imported.trial.backbone == expected
    assert imported.trial.evaluations == papers.RELEASED["hiclr_dsta"].evaluations
    assert imported.parameters == 1_645_168
