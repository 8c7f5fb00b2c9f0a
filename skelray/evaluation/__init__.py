"""Evaluations: what a frozen encoder's features are worth."""

from skelray.evaluation.held_out import HeldOut, parts
from skelray.evaluation.knn import KNN
from skelray.evaluation.linear import Linear
from skelray.evaluation.scores import Diverged, Evaluation, FrozenEncoder, top

__all__ = ["KNN", "Diverged", "Evaluation", "FrozenEncoder", "HeldOut", "Linear", "parts", "top"]
