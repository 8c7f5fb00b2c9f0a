"""The normalised adjacency of a skeleton, split into ST-GCN's spatial subsets."""

from __future__ import annotations

import torch
from torch import Tensor

from skelray.checks import UserError
from skelray.skeleton import Skeleton

PARTITIONS = ("hop1", "spatial")


def check_partition(partition: str) -> None:
    """Raises UserError for a partition that does not exist."""
    if partition not in PARTITIONS:
        raise UserError(f"partition {partition!r} is none of {', '.join(PARTITIONS)}")


def hops(skeleton: Skeleton) -> Tensor:
    """Returns (V, V): the number of bones between two joints."""
    joints = len(skeleton.joints)
    distance = torch.full((joints, joints), torch.inf)
    distance.fill_diagonal_(0)
    for child, parent in skeleton.bones:
        distance[child, parent] = distance[parent, child] = 1
    for via in range(joints):  # Floyd and Warshall
        distance = torch.minimum(distance, distance[:, via, None] + distance[None, via])
    return distance


def spatial_partition(skeleton: Skeleton, partition: str = "hop1") -> Tensor:
    """Returns (3, V, V) from v to w: the joint itself, messages towards (or level with) the centre, messages away from it.

    The spatial strategy of ST-GCN (Yan et al., AAAI 2018, section 3.3).

    Entries are A D^-1; columns over all subsets sum to one. "hop1": distances beyond one hop count as equal, as in the
    released graphs, which moves most bones to the second subset. Raises UserError for another partition.
    """
    check_partition(partition)
    distance = hops(skeleton)
    near = (distance <= 1).float()
    weight = near / near.sum(dim=0)  # A D^-1
    to_centre = distance[skeleton.centre]
    if partition == "hop1":
        to_centre = torch.where(to_centre <= 1, to_centre, torch.inf)
    farther = to_centre[:, None] < to_centre[None, :]  # the message moves away from the centre
    own = torch.eye(len(weight), dtype=torch.bool)
    return torch.stack((weight * own, weight * (~own & ~farther), weight * (~own & farther)))
