"""Checkpoints of the released code: read without running anything, recognised, and evaluated like any encoder."""

from dataclasses import replace

import pytest
import torch
from golden_file import GoldenFile
from tiny import splits

from skelray import DSTA, papers
from skelray.augment import to_stream
from skelray.backbones.graph import spatial_partition
from skelray.evaluation import KNN, top_k_accuracy
from skelray.released.checkpoint import read_checkpoint
from skelray.runner.execute import execute
from skelray.skeleton import KINECT_V1, KINECT_V2
from skelray.store.imported import keep_imported
from skelray.store.store import Store

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
    imported = read_checkpoint(golden(f"checkpoints/{file}"), method)
    x = values["input"].double()
    present = torch.ones(len(x), 2, dtype=torch.bool)
    for stream, encoder in built(imported).encoders().items():
        feature = encoder(to_stream(x, KINECT_V2, stream), present)
        prefix = "encoder_q" if stream == "joint" else f"encoder_q_{stream}"
        values.close(feature, f"{prefix}/{'instance' if method == 'hico' else 'feature'}_f64")


@every
def test_it_says_what_it_found(golden, file, method):
    imported = read_checkpoint(golden(f"checkpoints/{file}"), method)
    config = values_of(golden, file).config
    said = str(imported)
    assert type(imported.trial.backbone).__name__ in said
    assert imported.trial.stream in said
    assert ("401 epochs" in said) is ("0400" in file)
    assert imported.trial.method.dim == config["feature_dim"]
    assert imported.trial.stream == ("joint+motion+bone" if method == "crossclr" else "joint")


def test_a_store_keeps_it_and_a_trial_evaluates_it_like_any_encoder(golden, tmp_path):
    imported = read_checkpoint(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr")
    store, data = Store(tmp_path), splits(skeleton=KINECT_V2)
    trial = replace(imported.trial, benchmark="tiny", evaluations=(KNN(),))
    stored = store.trial(trial.id("tiny0"))
    with pytest.raises(ValueError, match="import-weights"):
        list(execute(trial, data, stored, torch.device("cpu")))
    keep_imported(imported, store)
    assert list(execute(trial, data, stored, torch.device("cpu"))) == []
    scores = stored.scores(0, {"type": "KNN", "k": 1, "temperature": None})
    labels = torch.from_numpy(scores["labels"])
    assert stored.result(0, {"type": "KNN", "k": 1, "temperature": None})["metrics"]["top1"] == top_k_accuracy(
        torch.from_numpy(scores["scores"]), labels
    )


def test_what_masked_joints_become_is_kept_and_names_nothing(golden, tmp_path):
    state = torch.load(golden("checkpoints/hiclr_gcn_joint.pt"), weights_only=True)
    torch.save({**state, "mask_param": torch.tensor([0.25])}, tmp_path / "x.pt")
    imported, store = read_checkpoint(tmp_path / "x.pt", "hiclr"), Store(tmp_path)
    assert imported.digest == read_checkpoint(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr").digest
    keep_imported(imported, store)
    assert store.imported_weights(imported.digest)["masks"] == {"joint": 0.25}


def test_the_study_it_prints_runs_as_it_stands(golden):
    for file, method in FILES:
        imported = read_checkpoint(golden(f"checkpoints/{file}"), method)
        names = {}
        exec(imported.study_text(), names)
        (cell,) = names["study"].cells()
        assert replace(cell.trial, seed=0) == imported.trial, file


def test_other_weights_have_another_digest_and_another_trial(golden):
    one, other = (read_checkpoint(golden(f"checkpoints/{file}"), method) for file, method in FILES[:2])
    assert one.digest != other.digest
    assert one.trial.id("d") != other.trial.id("d")
    assert read_checkpoint(golden(f"checkpoints/{FILES[0][0]}"), FILES[0][1]).digest == one.digest


@pytest.mark.parametrize("stream", ["bone", "motion"])
def test_the_study_it_prints_keeps_the_stream(golden, stream):
    names = {}
    exec(read_checkpoint(golden("checkpoints/aimclr_joint.pt"), "aimclr", stream=stream).study_text(), names)
    assert names["study"].cells()[0].trial.stream == stream


def test_two_streams_of_crossclr_are_two(golden, tmp_path):
    state = torch.load(golden("checkpoints/crossclr_3views.pt"), weights_only=True)
    torch.save({name: tensor for name, tensor in state.items() if "_bone" not in name}, tmp_path / "two.pt")
    imported = read_checkpoint(tmp_path / "two.pt", "crossclr")
    assert imported.trial.stream == "joint+motion"
    names = {}
    exec(imported.study_text(), names)
    assert names["study"].cells()[0].trial == imported.trial


def test_the_published_dsta_net_is_recognised_whole(golden, tmp_path):
    """Its last layer has a shortcut because channels change, and no stride."""
    file = GoldenFile(golden("dsta_true.npz"))
    torch.save({f"encoder_q.{name}": tensor for name, tensor in file.under("state/").items()}, tmp_path / "x.pt")
    imported = read_checkpoint(tmp_path / "x.pt", "hiclr")
    expected = DSTA(layers=tuple(map(tuple, file.config["layers"])))
    assert imported.trial.backbone == expected
    assert imported.trial.evaluations == papers.RELEASED["hiclr_dsta"].evaluations
    assert imported.parameters == 1_645_168


@pytest.mark.parametrize("name", ["dsta_true.npz", "dsta_small.npz"])
def test_the_last_stride_of_a_dsta_net_is_the_published_one_and_said_to_be_assumed(golden, tmp_path, name):
    file = GoldenFile(golden(name))
    torch.save({f"encoder_q.{name}": tensor for name, tensor in file.under("state/").items()}, tmp_path / "x.pt")
    imported = read_checkpoint(tmp_path / "x.pt", "hiclr")
    assert imported.trial.backbone.layers == tuple(map(tuple, file.config["layers"]))
    assert "weights do not tell: a stride of 1 in the last layer" in str(imported)
    assert "Weights do not tell a stride of 1 in the last layer" in imported.study_text()
    assert "backbone=DSTA(" in imported.study_text()


def test_a_dsta_net_that_halves_once_before_its_last_layer_is_taken_to_halve_there(golden):
    file = "hiclr_dsta_joint.pt"
    imported = read_checkpoint(golden(f"checkpoints/{file}"), "hiclr")
    assert imported.trial.backbone.layers == tuple(map(tuple, values_of(golden, file).config["layers"]))
    assert "a stride of 2 in the last layer" in str(imported)


def test_what_weights_do_not_tell_is_said_only_where_it_is_so(golden):
    said = {file: str(read_checkpoint(golden(f"checkpoints/{file}"), method)) for file, method in FILES}
    assert "4 heads, a factor of 2 between levels" in said["hico_transformer/checkpoint_0450.pth.tar"]
    assert "a factor of 2" in said["hico_gru/checkpoint_0400.pth.tar"]
    assert "heads" not in said["hico_gru/checkpoint_0400.pth.tar"]
    assert "assumed" not in said["hiclr_gcn_joint.pt"]


def test_dsta_net_behind_another_method_than_hiclr_is_refused_before_anything_is_kept(golden):
    with pytest.raises(ValueError, match="no pre-training checkpoint of aimclr: it holds a DSTA-Net, which only HiCLR"):
        read_checkpoint(golden("checkpoints/hiclr_dsta_joint.pt"), "aimclr")


def test_crossclr_says_its_streams_itself_and_is_told_from_the_others(golden):
    for stream in ("joint", "bone"):
        with pytest.raises(ValueError, match=f"stream '{stream}': a checkpoint of crossclr tells its streams itself"):
            read_checkpoint(golden("checkpoints/crossclr_3views.pt"), "crossclr", stream=stream)
    with pytest.raises(ValueError, match="skeletonclr: it holds several streams"):
        read_checkpoint(golden("checkpoints/crossclr_3views.pt"), "skeletonclr")


def test_one_level_of_hico_is_the_first_of_several(golden, tmp_path):
    """Released code builds the downsampling for one level too, though nothing reads it."""
    file = "hico_gru/checkpoint_0400.pth.tar"
    whole = read_checkpoint(golden(f"checkpoints/{file}"), "hico")
    state = torch.load(golden(f"checkpoints/{file}"), weights_only=True)["state_dict"]
    for name in ("td_proj", "sd_proj", "instance_proj"):
        width = whole.trial.backbone.hidden_dim * (2 if name == "instance_proj" else 1)
        for side in ("encoder_q", "encoder_k"):
            state[f"{side}.{name}.0.weight"] = state[f"{side}.{name}.0.weight"][:, :width].clone()
    torch.save({"state_dict": state}, tmp_path / "x.pt")
    one = read_checkpoint(tmp_path / "x.pt", "hico")
    assert one.trial.backbone == replace(whole.trial.backbone, granularity=1)
    assert "factor" not in str(one)
    x = values_of(golden, file)["input"].double()
    levels = built(whole).query.encoder.levels(x)
    first = torch.cat([levels.clip[:, 0], levels.part[:, 0]], dim=1)
    torch.testing.assert_close(built(one).query.encoder(x, torch.ones(len(x), 2, dtype=torch.bool)), first)


def test_the_graph_of_the_file_decides_the_partition(golden, tmp_path):
    state = torch.load(golden("checkpoints/hiclr_gcn_joint.pt"), weights_only=True)
    torch.save({**state, "encoder_q.A": spatial_partition(KINECT_V2, "spatial")}, tmp_path / "x.pt")
    imported = read_checkpoint(tmp_path / "x.pt", "hiclr")
    assert imported.trial.backbone.partition == "spatial"
    assert "partition='spatial'" in imported.study_text()
    assert read_checkpoint(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr").trial.backbone.partition == "hop1"


@pytest.mark.parametrize("file", ["hiclr_gcn_joint.pt", "crossclr_3views.pt"])
def test_another_graph_is_refused_in_any_stream(golden, tmp_path, file):
    state = torch.load(golden(f"checkpoints/{file}"), weights_only=True)
    name = [name for name in state if name.startswith("encoder_q") and name.endswith(".A")][-1]
    torch.save({**state, name: state[name].roll(1, 1)}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="its graph A is not that of 25 Kinect v2 joints, hop1 or spatial"):
        read_checkpoint(tmp_path / "x.pt", dict(FILES)[file])


@pytest.mark.parametrize("file", ["hiclr_gcn_joint.pt", "hiclr_dsta_joint.pt", "hico_gru/checkpoint_0400.pth.tar"])
def test_a_benchmark_of_another_skeleton_gets_one_sentence_and_nothing_is_stored(golden, tmp_path, file):
    imported, store = read_checkpoint(golden(f"checkpoints/{file}"), dict(FILES)[file]), Store(tmp_path)
    keep_imported(imported, store)
    trial = replace(imported.trial, benchmark="tiny", evaluations=(KNN(),))
    stored = store.trial(trial.id("tiny0"))
    with pytest.raises(ValueError, match=r"^imported weights are of 25 joints; tiny has 20$"):
        list(execute(trial, splits(skeleton=KINECT_V1), stored, torch.device("cpu")))
    assert not stored.has_encoder(0)


def test_a_study_whose_backbone_is_not_that_of_the_weights_gets_one_sentence(golden, tmp_path):
    imported, store = read_checkpoint(golden("checkpoints/hiclr_gcn_joint.pt"), "hiclr"), Store(tmp_path)
    keep_imported(imported, store)
    wider = replace(imported.trial.backbone, hidden_channels=2 * imported.trial.backbone.hidden_channels)
    trial = replace(imported.trial, backbone=wider, benchmark="tiny", evaluations=(KNN(),))
    with pytest.raises(ValueError, match="the weights do not fit this backbone and method: size mismatch") as caught:
        list(execute(trial, splits(skeleton=KINECT_V2), store.trial(trial.id("tiny0")), torch.device("cpu")))
    assert "\n" not in str(caught.value)
