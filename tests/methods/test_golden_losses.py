"""The losses against the released implementations, values and gradients."""

from itertools import chain
from types import SimpleNamespace

import pytest
import torch
from golden_file import GoldenFile
from torch.nn import functional as F

from skelray.methods import AimCLR, CrosSCLR, HiCLR, HiCo, MoCoSettings, Views, cosine, cross_entropy, info_nce, kl, l1
from skelray.methods.hico import HiCoModel
from skelray.methods.queue import Queue
from skelray.methods.similarity import Candidates

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


@DTYPES
def test_info_nce(golden, dtype):
    file = GoldenFile(golden("loss_infonce.npz"))
    suffix = "_f64" if dtype == torch.float64 else ""
    for tau in file.config["temperatures"]:
        raw = file["raw/query"].to(dtype).requires_grad_()
        unit = F.normalize(raw, dim=1)
        unit.retain_grad()
        key = F.normalize(file["raw/key"].to(dtype), dim=1)
        loss = info_nce(Candidates.of(unit, key, file["queue"].T.to(dtype), tau))
        loss.backward()
        file.close(loss, f"tau{tau}{suffix}/loss", "loss")
        file.close(raw.grad, f"tau{tau}{suffix}/grad_raw", "grad", gradient=True)
        file.close(unit.grad, f"tau{tau}{suffix}/grad_unit", "grad", gradient=True)


class Embeddings:
    """Stands in for MoCo where a loss wants embeddings only: a view is its own raw embedding."""

    def __init__(self, queue):
        self.queue = SimpleNamespace(keys=queue)

    def embed(self, raw):
        return F.normalize(raw, dim=1)

    embed_key = embed

    def embed_each(self, views, drop=None):
        """Where something is dropped, a view after the first is a pair: what the encoder makes of it, and that after."""
        first, *others = views
        return [self.embed(raw) for raw in (first, *(chain.from_iterable(others) if drop else others))]


def hiclr(file, branches, stage, similarity, weights, **changes):
    """HiCLR with the settings of a golden file; stage: stage1, stage2_k1, ..."""
    arrangement = HiCLR().arrangement
    mining = int(stage.split("_k")[1]) if "_k" in stage else 1
    return HiCLR(
        arrangement=(arrangement * 2)[:branches],
        similarity=similarity,
        weights=weights,
        lambda_h=1.0,
        tau=file.config["temperature"],
        queue=file.config["queue"],
        mining_from=None if stage == "stage1" else 0,
        mining_k=mining,
        **changes,
    )


def run(file, method, branches, dtype):
    raw = [file[f"raw/z{i}"].to(dtype).requires_grad_() for i in range(branches)]
    model = Embeddings(file["queue"].T.to(dtype))
    step = method.loss(model, Views(key=file["raw/key"].to(dtype), queries=raw), epoch=1)
    step.loss.backward()
    return step, raw


@DTYPES
@pytest.mark.parametrize("stage", ["stage1", "stage2_k1", "stage2_k3"])
def test_three_branches(golden, dtype, stage):
    file = GoldenFile(golden("loss_hiclr_3branch.npz"))
    where = f"{stage}_f64" if dtype == torch.float64 else stage
    if f"{where}/loss_total" not in file:
        pytest.skip(f"{file.meta['what']}: no {where}")
    method = hiclr(file, 3, stage, cross_entropy, (file.config["weight"],) * 2)
    step, raw = run(file, method, 3, dtype)
    file.close(step.loss, f"{where}/loss_total", "loss")
    file.close(step.parts["hierarchical1"], f"{where}/term/ce_01", "loss")
    file.close(step.parts["hierarchical2"], f"{where}/term/ce_12", "loss")
    first = "infonce" if stage == "stage1" else "nnm"
    file.close(step.parts["infonce" if stage == "stage1" else "mined"], f"{where}/term/{first}", "loss")
    for i in range(3):
        file.close(raw[i].grad, f"{where}/grad_raw/z{i}", "grad", gradient=True)


@pytest.mark.parametrize("stage", ["stage1", "stage2_k1", "stage2_k3"])
def test_true_kl_values_and_equal_gradients(golden, stage):
    file = GoldenFile(golden("loss_hiclr_3branch.npz"))
    if f"{stage}_f64/loss_total_with_kl" not in file:
        pytest.skip(f"{file.meta['what']}: no {stage}")
    method = hiclr(file, 3, stage, kl, (file.config["weight"],) * 2)
    step, raw = run(file, method, 3, torch.float64)
    file.close(step.loss, f"{stage}_f64/loss_total_with_kl")
    file.close(step.parts["hierarchical1"], f"{stage}_f64/term/kl_01")
    for i in range(3):
        file.close(raw[i].grad, f"{stage}_f64/grad_raw/z{i}")


def variants(file):
    """(name, stage) of every loss the file holds."""
    return sorted({tuple(name.split("/")[:2]) for name in file.arrays if name.endswith("/loss_total")})


def test_variants(golden):
    file = GoldenFile(golden("loss_hiclr_variants.npz"))
    factors = {"cosine": -file.config["cosine_factor"], "l1": file.config["l1_factor"]}
    found = variants(file)
    assert found
    for name, where in found:
        kind, branches = name.split("_")[0], int(name.split("_")[1][0])
        dtype = torch.float64 if "f64" in where else torch.float32
        stage = where.replace("f64_", "").replace("_f64", "")
        if kind == "kl":
            weights = tuple(file.config["kl_weights"][f"{branches}branch"])
            method = hiclr(file, branches, stage, cross_entropy, weights, mining_branches=min(branches, 3))
        else:
            similarity = cosine if kind == "cosine" else l1
            method = hiclr(file, branches, stage, similarity, (factors[kind],) * (branches - 1), mining_branches=1)
        step, raw = run(file, method, branches, dtype)
        file.close(step.loss, f"{name}/{where}/loss_total", "loss")
        for i in range(branches):
            if f"{name}/{where}/grad_raw/z{i}" in file:
                file.close(raw[i].grad, f"{name}/{where}/grad_raw/z{i}", "grad", gradient=True)


@DTYPES
@pytest.mark.parametrize("stage", ["stage1", "stage2_k1", "stage2_k3"])
def test_aimclr(golden, dtype, stage):
    file = GoldenFile(golden("loss_aimclr.npz"))
    where = f"{stage}_f64" if dtype == torch.float64 else stage
    if f"{where}/loss_total" not in file:
        pytest.skip(f"{file.meta['what']}: no {where}")
    mining = int(stage.split("_k")[1]) if "_k" in stage else 1
    method = AimCLR(
        tau=file.config["temperature"],
        queue=file.config["queue"],
        beta=2 * file.config["d3m_weight"],
        mining_from=None if stage == "stage1" else 0,
        mining_k=mining,
        mined_mean=True,
    )
    names = ("normal", "extreme", "extreme_drop")
    raw = {name: file[f"raw/{name}"].to(dtype).requires_grad_() for name in names}
    views = Views(key=file["raw/key"].to(dtype), queries=[raw["normal"], (raw["extreme"], raw["extreme_drop"])])
    step = method.loss(Embeddings(file["queue"].T.to(dtype)), views, epoch=1)
    step.loss.backward()
    file.close(step.loss, f"{where}/loss_total", "loss")
    first = "infonce" if stage == "stage1" else "mined"
    file.close(step.parts[first], f"{where}/term/{'infonce' if stage == 'stage1' else 'nnm'}", "loss")
    expected = (file[f"{where}/term/d3m_extreme"] + file[f"{where}/term/d3m_extreme_drop"]) / 2
    torch.testing.assert_close(step.parts["d3m"], expected.to(dtype), **file.tolerance(dtype, "loss"))
    for name in names:
        file.close(raw[name].grad, f"{where}/grad_raw/{name}", "grad", gradient=True)


class StreamEmbeddings:
    """Stands in for MultiStream: each stream's view is its own raw embedding."""

    def __init__(self, file, streams, dtype):
        self.all = {name: OneStream(file[f"queue/{name}"].T.to(dtype), name) for name in streams}

    def mocos(self):
        return self.all


class OneStream(Embeddings):
    def __init__(self, queue, name):
        super().__init__(queue)
        self.name = name

    def embed(self, raw):
        return super().embed(raw[self.name])

    embed_key = embed


@DTYPES
@pytest.mark.parametrize("count", [2, 3])
def test_crossclr(golden, dtype, count):
    file = GoldenFile(golden(f"loss_crossclr_{count}views.npz"))
    streams, double = file.config["views"], dtype == torch.float64
    stages = sorted({name.split("/")[0] for name in file.arrays if name.endswith("/loss_total")})
    stages = [stage for stage in stages if stage.endswith("_f64") == double]
    assert len(stages) >= 3
    for stage in stages:
        method = CrosSCLR(
            tau=file.config["temperature"],
            queue=file.config["queue"],
            mining_from=None if stage.startswith("stage1") else 0,
            mining_k=int(stage.split("_k")[1].split("_")[0]) if "_k" in stage else 1,
            context="nocontext" not in stage,
        )
        raw = {name: file[f"raw/{name}"].to(dtype).requires_grad_() for name in streams}
        keys = {name: file[f"raw/key_{name}"].to(dtype) for name in streams}
        step = method.loss(StreamEmbeddings(file, streams, dtype), Views(key=keys, queries=[raw]), epoch=1)
        step.loss.backward()
        file.close(step.loss, f"{stage}/loss_total", "loss")
        for name in streams:
            file.close(step.parts[name], f"{stage}/loss_{name}", "loss")
            file.close(raw[name].grad, f"{stage}/grad_raw/{name}", "grad", gradient=True)


class LevelEmbeddings:
    """Stands in for HiCoModel: a view is a dict of raw embeddings already."""

    query = key = None
    embed = staticmethod(lambda branch, raw: {name: F.normalize(z, dim=-1) for name, z in raw.items()})

    def __init__(self, file, method, dtype):
        self.queues, self.heads = torch.nn.ModuleDict(), [name.split("/")[1] for name in file.arrays if "queue/" in name]
        for name in self.heads:
            keys = file[f"queue/{name}"].T.to(dtype)
            self.queues[name] = Queue(*keys.shape, method.queue if method.short_queue else None).to(dtype)
            self.queues[name].keys.copy_(keys)
            self.queues[name].position.fill_(file.config["initial_ptr"])

    enqueue = HiCoModel.enqueue


@DTYPES
def test_hico(golden, dtype):
    file = GoldenFile(golden("loss_hico.npz"))
    where = "step_f64" if dtype == torch.float64 else "step"
    method = HiCo(tau=file.config["temperature"], queue=file.config["queue"], short_queue=True)
    model = LevelEmbeddings(file, method, dtype)
    assert len(model.heads) == 5

    def raw(side):
        found = {name: file[f"raw/{side}_{name}"].to(dtype) for name in model.heads}
        return {name: (z if z.dim() == 3 else z[:, None]).requires_grad_() for name, z in found.items()}

    queries, keys = raw("query"), raw("key")
    step = method.loss(model, Views(key=keys, queries=[queries]), epoch=1)
    step.loss.backward()
    file.close(step.loss, f"{where}/loss_total", "loss")
    for name in model.heads:
        file.close(step.parts[name], f"{where}/term/{name}", "loss")
        expected = f"{where}/grad_raw/{name}"
        file.close(queries[name].grad.view_as(file[expected]), expected, "grad", gradient=True)
        assert keys[name].grad is None
    model.enqueue(step.keys)
    for name in model.heads:
        file.close(model.queues[name].keys.T.float(), f"queue_after/{name}", "queue_after")
        assert int(model.queues[name].position) == int(file[f"ptr_after/{name}"])


def test_the_settings_name_what_is_wrong():
    with pytest.raises(ValueError, match="tau 0"):
        MoCoSettings(tau=0)
    with pytest.raises(ValueError, match="2 weights for 1 pairs"):
        HiCLR(arrangement=HiCLR().arrangement[:2], weights=(1.0, 1.0))
