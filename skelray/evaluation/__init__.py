"""Evaluations: what a trial's encoder is worth, frozen, finetuned, on other data, or as a picture."""

from skelray.evaluation.apart import Apart
from skelray.evaluation.clustering import Clustering
from skelray.evaluation.corrupted import Corrupted
from skelray.evaluation.evaluation import (
    Evaluation,
    EvaluationResult,
    HasFused,
    finetuned_sequences,
    main_metric,
    metrics_of,
    scores_are_votes,
    small_version,
    small_versions,
)
from skelray.evaluation.few_shot import FewShot
from skelray.evaluation.finetune import Finetune, SemiSupervised, Supervised
from skelray.evaluation.frozen import Diverged, FrozenEncoder, Load
from skelray.evaluation.held_out import HeldOut, train_and_test
from skelray.evaluation.knn import KNN
from skelray.evaluation.labels import draw_labelled
from skelray.evaluation.linear import Linear
from skelray.evaluation.names import distinct_names
from skelray.evaluation.probe_grid import ProbeGrid
from skelray.evaluation.retrieval import Retrieval
from skelray.evaluation.scores import measure, top_k_accuracy
from skelray.evaluation.transfer import Transfer

__all__ = [
    "KNN",
    "Apart",
    "Clustering",
    "Corrupted",
    "Diverged",
    "Evaluation",
    "EvaluationResult",
    "FewShot",
    "Finetune",
    "FrozenEncoder",
    "HasFused",
    "HeldOut",
    "Linear",
    "Load",
    "ProbeGrid",
    "Retrieval",
    "SemiSupervised",
    "Supervised",
    "Transfer",
    "distinct_names",
    "draw_labelled",
    "finetuned_sequences",
    "main_metric",
    "measure",
    "metrics_of",
    "scores_are_votes",
    "small_version",
    "small_versions",
    "top_k_accuracy",
    "train_and_test",
]
