"""Whole pre-training steps against the released code: loss at every step and the state after the last."""

import re
from dataclasses import replace

import pytest
import torch
from golden_file import GoldenFile

from skelray.augment import Draws, View
from skelray.augment.strong import MaskJoints
from skelray.backbones import DSTA, STGCN, Hierarchical, Transformer
from skelray.methods import EADM, AimCLR, CrosSCLR, HiCLR, HiCo, SkeletonCLR, Views, cross_entropy
from skelray.released.names import from_released
from skelray.skeleton import KINECT_V2
from skelray.training import optimisation_step

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
# In the form that a CPU chooses, and in the one for a GPU, whose queries go in one pass.
FORMS = pytest.mark.parametrize(
    ("dtype", "form"),
    [(torch.float64, None), (torch.float32, None), (torch.float64, "gpu")],
    ids=["float64", "float32", "float64, gpu"],
    indirect=["form"],
)


@pytest.fixture(autouse=True)
def form(request, monkeypatch):
    """Every encoder is built in this form."""
    form = getattr(request, "param", None)
    for kind in (STGCN, DSTA):
        built = kind.build
        monkeypatch.setattr(kind, "build", lambda self, skeleton, of=built: of(self, skeleton, form))


def build(file, method, dtype, backbone=None):
    config = file.config
    if backbone is None:
        width = {"hidden_channels": config["hidden_channels"], "hidden_dim": config["hidden_dim"]}
        backbone = STGCN(**width, dropout=config["dropout"])
    model = method.build(backbone, KINECT_V2, config["stream"]).to(dtype)
    missing, unexpected = model.load_state_dict(from_released(file.under("init/", dtype)), strict=False)
    assert not unexpected
    assert all(name.endswith("mask_value") for name in missing)
    optimizer = torch.optim.SGD(
        (p for p in model.parameters() if p.requires_grad),
        lr=1.0,
        momentum=config["sgd_momentum"],
        nesterov=config["nesterov"],
        weight_decay=config["weight_decay"],
    )
    return model.train(), optimizer


def shared_settings(file):
    config = file.config
    return {
        "tau": config["temperature"],
        "m": config["key_momentum"],
        "queue": config["queue"],
        "dim": config["feature_dim"],
    }


def view(x, dtype):
    return View.of(x.to(dtype), KINECT_V2, Draws(0, 1))


def lr(config, step):
    return config["lr_of_step"][step] if "lr_of_step" in config else config["lr"]


def compare(file, model, losses, dtype):
    suffix = "_f64" if dtype == torch.float64 else ""
    file.close(torch.stack(losses), f"loss_per_step{suffix}", "loss")
    if dtype == torch.float32:
        return  # the state is compared in double precision: one ReLU rounded to the other side of zero moves a weight
    expected = from_released(file.under(f"final{suffix}/"))
    state = model.state_dict()
    assert len(expected) > 100
    for name, tensor in expected.items():
        ours = state[name].to(tensor.dtype)
        if kind_is_relative(name):  # stated in the file: their differences are divided by 1 + |b|
            ours, tensor = ours / (1 + tensor.abs()), tensor / (1 + tensor.abs())
        torch.testing.assert_close(ours, tensor, **file.tolerance(dtype), msg=lambda m, n=name: f"{n}: {m}")


def kind_is_relative(name):
    return "queue" not in name and "num_batches" not in name


@FORMS
def test_skeletonclr(golden, dtype):
    file = GoldenFile(golden("train_skeletonclr.npz"))
    method = SkeletonCLR(**shared_settings(file))
    model, optimizer = build(file, method, dtype)
    losses = []
    for i in range(len(file["loss_per_step"])):
        optimizer.param_groups[0]["lr"] = lr(file.config, i)
        views = Views(key=view(file[f"step{i}/key"], dtype), queries=[view(file[f"step{i}/query"], dtype)])
        losses.append(optimisation_step(method, model, optimizer, views, epoch=1).loss.detach())
    compare(file, model, losses, dtype)


@FORMS
@pytest.mark.parametrize("name", ["train_hiclr_gcn", "train_hiclr_dsta"])
def test_hiclr(golden, name, dtype):
    file = GoldenFile(golden(f"{name}.npz"))
    method = HiCLR(**shared_settings(file), similarity=cross_entropy, mining_from=1, mining_k=file.config["topk"])
    backbone = None
    if "layers" in file.config:
        layers = tuple(tuple(layer) for layer in file.config["layers"])
        backbone = DSTA(layers=layers, subsets=file.config["num_subset"], dropout=file.config["attention_dropout"])
    model, optimizer = build(file, method, dtype, backbone)
    losses, terms = [], []
    for i, stage in enumerate(file.config["stage_of_step"]):
        optimizer.param_groups[0]["lr"] = lr(file.config, i)
        strong = view(file[f"step{i}/strong"], dtype)
        strong = replace(strong, stream_ops=(MaskJoints(file[f"step{i}/keep_mask"].bool()[None]),))
        queries = [view(file[f"step{i}/basic"], dtype), view(file[f"step{i}/normal"], dtype), strong]
        step = optimisation_step(method, model, optimizer, Views(view(file[f"step{i}/key"], dtype), queries), epoch=stage)
        losses.append(step.loss.detach())
        terms.append(torch.stack([step.parts["hierarchical1"], step.parts["hierarchical2"]]))
    file.close(torch.stack(terms), "ce_terms_f64" if dtype == torch.float64 else "ce_terms", "ce_terms")
    compare(file, model, losses, dtype)


@FORMS
def test_aimclr(golden, dtype):
    file = GoldenFile(golden("train_aimclr.npz"))
    on = re.search(r"threshold ([\d.]+)", str(file.config["eadm"]))
    eadm = EADM("released", float(on[1])) if on else EADM("inert")
    method = AimCLR(**shared_settings(file), eadm=eadm, mining_from=1, mining_k=file.config["topk"], mined_mean=True)
    model, optimizer = build(file, method, dtype)
    losses = []
    for i, stage in enumerate(file.config["stage_of_step"]):
        optimizer.param_groups[0]["lr"] = lr(file.config, i)
        queries = [view(file[f"step{i}/query"], dtype), view(file[f"step{i}/extreme"], dtype)]
        views = Views(key=view(file[f"step{i}/key"], dtype), queries=queries)
        losses.append(optimisation_step(method, model, optimizer, views, epoch=stage).loss.detach())
    compare(file, model, losses, dtype)


@FORMS
def test_crossclr(golden, dtype):
    file = GoldenFile(golden("train_crossclr_3views.npz"))
    config = file.config
    file.config = config = {**config, "stream": "joint+motion+bone"}
    method = CrosSCLR(
        **shared_settings(file),
        mining_from=1,
        mining_k=config["topk"],
        context=config["context"],
        shared_head=True,
        frozen_keys=True,
    )
    model, optimizer = build(file, method, dtype)
    losses = []
    for i, stage in enumerate(config["stage_of_step"]):
        optimizer.param_groups[0]["lr"] = lr(config, i)
        views = Views(view(file[f"step{i}/key"], dtype), [view(file[f"step{i}/query"], dtype)])
        losses.append(optimisation_step(method, model, optimizer, views, epoch=stage).loss.detach())
    compare(file, model, losses, dtype)


@DTYPES
def test_hico(golden, dtype):
    file = GoldenFile(golden("train_hico_transformer.npz"))
    config = file.config
    config["feature_dim"] = config["num_class"]
    method = HiCo(**shared_settings(file), short_queue=True)
    backbone = hierarchical(config, Transformer(config["num_head"], config["num_layer"], config["hidden_size"], dropout=0.0))
    model, optimizer = build(file, method, dtype, backbone)
    losses = []
    for i in range(len(file["loss_per_step"])):
        optimizer.param_groups[0]["lr"] = lr(config, i)
        views = Views(view(file[f"step{i}/key"], dtype), [view(file[f"step{i}/query"], dtype)])
        losses.append(optimisation_step(method, model, optimizer, views, epoch=1).loss.detach())
    compare(file, model, losses, dtype)


def hierarchical(config, s2s):
    """The backbone that a HiCo file describes, with this S2S encoder."""
    return Hierarchical(
        hidden_dim=config["hidden_size"],
        granularity=config["granularity"],
        s2s=s2s,
        kernel=config["kernel_size"],
        factor=config["factor"],
    )
