"""What a trial takes of a machine and of a disk, known from one step on two random samples, and what this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from skelray.augment import AugmentationSet, Draws, View
from skelray.bench import flop
from skelray.bench.encoders import EncoderCosts, record_saved_bytes
from skelray.data.dataset import SkeletonDataset, Splits
from skelray.evaluation import Clustering, Evaluation, Load, Transfer, main_metric, train_and_test
from skelray.identity.canonical import canonical
from skelray.methods import Backbone, Scheduled
from skelray.skeleton import Skeleton
from skelray.store import excerpts
from skelray.trial import Trial

SAMPLES = 2
ALIKE = frozenset({"key_init", "partition", "absent", "mined_mean"})  # settings of skelray's parts that change no count

# Bytes in a file of the store beside the numbers themselves: of an archive and of each tensor in it (torch's zip, aligned
# to 64), of an epoch's history, which four files keep, of an evaluation's arrays, figures and picture.
ARCHIVE, ENTRY, EPOCH, ARRAYS, RESULT, SPEC = 1_500, 305, 4 * 110, 800, 420, 2_000
KEPT = 1024  # bytes of the features of a sample that clustering keeps, of one stream of ST-GCN
PICTURE, DOT, LARGEST = 18_500, 40, 120_000  # of t-SNE: bytes alone, for each of its dots, and where these cover one another


@dataclass(frozen=True)
class TrainingCost:
    """The cost of training trials of one structure.

    gflop: of the step of one sample. state: bytes of the model; kept: bytes that a sample keeps for its gradient; memory is
    the least that a batch takes. checkpoint: bytes of the whole training state as stored, momentum those of the optimiser
    in it, encoder those of the query branch. views: of each sample, that a step computes on.
    """

    gflop: float
    state: int
    kept: int
    checkpoint: int
    momentum: int
    encoder: int
    batch_size: int = SAMPLES
    views: int = 1

    @property
    def memory(self) -> int:
        return self.state + self.kept * self.batch_size // SAMPLES

    def disk(self, epochs: int) -> int:
        """Returns the bytes that training for so many epochs leaves in a store; without any epoch, no optimizer state."""
        return self.checkpoint + self.encoder + (self.momentum if epochs else 0) + EPOCH * epochs + SPEC


def count_parameters(backbone: Backbone, skeleton: Skeleton) -> int:
    """Counts what an encoder learns, without a projector or classifier."""
    with torch.random.fork_rng([]):
        encoder = backbone.build(skeleton)
    return sum(parameter.numel() for parameter in encoder.parameters())


@dataclass
class Known:
    """Counts made before: of steps, and of the encoder calls in them, which many methods share."""

    steps: dict[str, TrainingCost] = field(default_factory=dict)
    encoders: EncoderCosts = field(default_factory=EncoderCosts)


def training_cost(trial: Trial, skeleton: Skeleton, frames: int, persons: int, known: Known | None = None) -> TrainingCost:
    """Counts what training a trial on sequences (3, frames, joints, persons) takes.

    known: counted before, to which the trial's is added; what its views take is counted anew, which costs little.
    """
    method = trial.method
    with torch.random.fork_rng([]), flop.count_flops() as counter:
        torch.manual_seed(0)
        views = method.views(View.of(torch.randn(SAMPLES, 3, frames, len(skeleton.joints), persons), skeleton, Draws(0, 0)))
    key = repr((structure(method, augmented=False), structure(trial.backbone), trial.stream.count("+"), _shapes(views)))
    known = Known() if known is None else known
    if key not in known.steps:
        known.steps[key] = _step(trial, skeleton, views, known.encoders)
    step, of_views = known.steps[key], counter.get_total_flops() / SAMPLES / 1e9
    return replace(step, gflop=step.gflop + of_views, batch_size=trial.batch_size, views=1 + len(views.queries))


def _shapes(value: Any) -> Any:
    """Returns what of views decides the work of a step on them: their shapes, and what rewires the graph."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, View):
        rewire = value.rewire
        return [tuple(value.x.shape), rewire if rewire is None else type(rewire).__qualname__, value.skeleton.name]
    if isinstance(value, dict):
        return [(name, _shapes(one)) for name, one in value.items()]
    if isinstance(value, (tuple, list)):
        return [_shapes(one) for one in value]
    if is_dataclass(value):
        return [type(value).__qualname__, *(_shapes(getattr(value, f.name)) for f in fields(value))]
    return repr(value)


def _step(trial: Trial, skeleton: Skeleton, views: Any, encoders: EncoderCosts) -> TrainingCost:
    """Measures a step on views of SAMPLES samples."""
    method = trial.method
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        with Undrawn():
            model = method.build(trial.backbone, skeleton, trial.stream).train()
        content = model.state_dict()
        state = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in content.values()}

        with (
            flop.count_flops() as counter,
            record_saved_bytes() as kept,
            encoders.known_in(model, skeleton, counter) as of_encoders,
        ):
            step = method.loss(model, views, epoch=1)
            step.loss.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    return TrainingCost(
        gflop=counter.get_total_flops() / SAMPLES / 1e9,
        state=sum(state.values()),
        kept=sum(size for pointer, size in kept.items() if pointer not in state) + sum(of_encoders),
        checkpoint=_stored(content.values()) + ARCHIVE,
        momentum=_stored(trained),
        encoder=_stored(model.query.state_dict().values()) + ARCHIVE,
    )


class Undrawn(TorchDispatchMode):
    """Within, weights are one number and not drawn, which takes longer than the step that is counted on them."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in ``Counter``

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._overloadpacket in (torch.ops.aten.uniform_, torch.ops.aten.normal_):
            return args[0].fill_(0.01)
        return func(*args, **(kwargs or {}))


def _stored(tensors: Iterable[Tensor]) -> int:
    """Returns the bytes of tensors in an archive; a storage that several share counts once."""
    sizes = {t.untyped_storage().data_ptr() or id(t): t.untyped_storage().nbytes() for t in tensors}
    return sum(sizes.values()) + ENTRY * len(sizes)


def structure(part: Any, augmented: bool = True) -> Any:
    """Returns the settings of a method or backbone that decide its work; those like tau or lambda_h do not.

    Two parts of one structure take the same arithmetic. Of a number that is no count, it matters whether it is 0 (a dropout
    that is off); of augmentations, which transform coordinates, their kinds, or where not ``augmented`` nothing.
    """
    if isinstance(part, AugmentationSet):
        return augmented and [(type(a).__qualname__, *_switches(a)) for a in part.augmentations]
    if isinstance(part, float):
        return part != 0
    if isinstance(part, (tuple, list)):
        return [structure(item, augmented) for item in part]
    if is_dataclass(part) and not isinstance(part, type):
        ours = ALIKE if type(part).__module__.startswith("skelray.") else frozenset()
        deciding = (f.name for f in fields(part) if f.name not in ours)
        return [type(part).__qualname__, *((name, _setting(part, name, augmented)) for name in deciding)]
    return canonical(part)


def _setting(part: Any, name: str, augmented: bool) -> Any:
    """Returns a setting as the first epoch sees it: of an epoch from which something changes, only whether it is past."""
    value = getattr(part, name)
    if isinstance(part, Scheduled) and name in part.COUNT_EPOCHS:
        values = value if isinstance(value, (tuple, list)) else (value,)
        return any(one is not None and one < 1 for one in values)
    return structure(value, augmented)


def _switches(augmentation: Any) -> list[bool]:
    """Finds which of an augmentation's numbers are 0, and so switch a part of it off."""
    values = (getattr(augmentation, f.name) for f in fields(augmentation)) if is_dataclass(augmentation) else ()
    return [value != 0 for value in values if isinstance(value, float)]


def monitoring_gflop(trial: Trial, skeleton: Skeleton, frames: int, persons: int) -> float:
    """Returns the GFLOP of the trial's encoders on one sample, forward alone."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        with Undrawn():
            encoders = trial.method.build(trial.backbone, skeleton, trial.stream).encoders()
        view = View.of(torch.randn(SAMPLES, 3, frames, len(skeleton.joints), persons), skeleton, Draws(0, 0))
        view = trial.method.clip(view)
        with torch.no_grad(), flop.count_flops() as counter:
            for encoder in encoders.values():
                encoder.eval()(view.x, view.present)
    return counter.get_total_flops() / SAMPLES / 1e9


def test_set_of(evaluation: Evaluation, splits: Splits, load: Load) -> SkeletonDataset:
    """Returns the data set that an evaluation of a trial scores."""
    if isinstance(evaluation, Transfer):
        return load(evaluation.benchmark, evaluation.protocol).test
    return train_and_test(evaluation, splits)[1]


def excerpt_sizes(trial: Trial, views: int, test: SkeletonDataset) -> dict[str, int]:
    """Returns the bytes of what a page shows of a test set, and of a trial's views of it, by their names in a store."""
    samples, (_, frames, joints, persons) = len(test), test.sequences.shape[1:]
    name = excerpts.excerpt_name(test.fingerprint, test.rows)
    of_views = excerpts.excerpt_size(samples, trial.frames or frames, joints, persons, views)
    return {name: excerpts.excerpt_size(samples, frames, joints, persons), excerpts.views_name(name, trial): of_views}


def evaluated_bytes(evaluation: Evaluation, splits: Splits, load: Load) -> int:
    """Returns the bytes that an evaluation leaves in a store: scores with labels and rows, figures and a picture."""
    test = test_set_of(evaluation, splits, load)
    inner: Any = evaluation.evaluation if isinstance(evaluation, Transfer) else evaluation
    if main_metric(evaluation) == "top1":
        return len(test) * (4 * len(test.classes) + 8 + 8) + ARRAYS + RESULT
    if isinstance(inner, Clustering):  # places, cluster, label and row of each sample of some classes
        shown = len(test) * min(1.0, inner.classes / len(test.classes))
        kept = KEPT * inner.keep
        return int(shown * (8 + 4 + 8 + 8 + kept) + min(PICTURE + DOT * shown, LARGEST)) + ARRAYS + RESULT
    return RESULT


def machine_memory(device: torch.device) -> int:
    """Returns the bytes of memory that this machine has for a trial."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(installed, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit
        return installed
