"""Losses of queries against keys and of two branches against each other: InfoNCE, mined neighbours, kl, cosine, l1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from skelray.checks import UserError, check_whole


@dataclass(frozen=True, eq=False)
class Candidates:
    """A branch's unit embeddings z (N, D) and its logits over the candidates: its key (N,) and the queue (N, K)."""

    z: Tensor
    positive: Tensor
    negatives: Tensor

    @classmethod
    def of(cls, z: Tensor, keys: Tensor, queue: Tensor, tau: float) -> Candidates:
        """Compares z with its keys (N, D) and a queue (K, D). Their logits are not concatenated, as K is large."""
        return cls(z, (z * keys).sum(dim=1) / tau, z @ queue.to(z.dtype).T / tau)

    @property
    def normaliser(self) -> Tensor:
        """Returns (N,), the log of the sum of exponentials over the 1 + K candidates."""
        return torch.logaddexp(self.positive, self.negatives.logsumexp(dim=1))

    def detach(self) -> Candidates:
        return Candidates(self.z.detach(), self.positive.detach(), self.negatives.detach())


# Compares a weaker branch, which gets no gradient, with the next stronger one; smaller is more alike. Scalar.
Similarity = Callable[[Candidates, Candidates], Tensor]


def info_nce(query: Candidates) -> Tensor:
    """Returns -log of the key's share among the candidates, averaged over the batch (HiCLR Eq. 1)."""
    return (query.normaliser - query.positive).mean()


def check_mining(start: int | None, k: int, queue: int) -> None:
    """Raises UserError unless ``start`` is an epoch or None and the queue has k keys."""
    if start is not None:
        check_whole("mining_from", start, 0)
    check_whole("mining_k", k, 1)
    if k > queue:
        raise UserError(f"mining_k {k}: between 1 and the queue's {queue} keys are mined")


def mines(start: int | None, epoch: int) -> bool:
    """Returns whether neighbours are mined in this epoch: after ``start``; None means never."""
    return start is not None and epoch > start


def nearest_keys(queries: Sequence[Candidates], k: int) -> Tensor:
    """Returns (N, K) bool: the union of each branch's k most similar keys in the queue."""
    mined = torch.zeros_like(queries[0].negatives, dtype=torch.bool)
    for query in queries:
        mined = mined.scatter(1, query.negatives.detach().topk(k, dim=1).indices, True)  # vmap has no rule for scatter_
    return mined


def mined_info_nce(query: Candidates, mined: Tensor, mean: bool = True) -> Tensor:
    """Returns InfoNCE with the mined keys as further positives (AimCLR, Guo et al., AAAI 2022, Eq. 9).

    mean: their mean log-share, as in the released code; the paper's equation is the sum. mined: (N, K) bool.
    """
    log_share = query.positive + torch.where(mined, query.negatives, 0).sum(dim=1)
    count = 1 + mined.sum(dim=1)
    loss = query.normaliser * count - log_share
    return (loss / count if mean else loss).mean()


def cross_info_nce(query: Candidates, other: Candidates, k: int, tau: float, context: bool = True) -> Tensor:
    """Returns InfoNCE with the k nearest keys of another stream as further positives (CrosSCLR, methods.md 5.2).

    Both queues hold the same samples at the same places. context: the products of the two streams' cosines to each key
    are candidates too, divided by tau once; both streams get a gradient through them.
    """
    mined = nearest_keys([other], k)  # (N, K)
    log_share, count = query.positive + torch.where(mined, query.negatives, 0).sum(dim=1), 1 + k
    normaliser = query.normaliser
    if context:
        products = query.negatives * other.negatives * tau  # (N, K)
        normaliser = torch.logaddexp(normaliser, products.logsumexp(dim=1))
        log_share, count = log_share + torch.where(mined, products, 0).sum(dim=1), 1 + 2 * k
    return (normaliser - log_share / count).mean()


def cross_entropy(weak: Candidates, strong: Candidates) -> Tensor:
    """Returns -sum p_weak log p_strong over the candidates: the released form of kl, with the same gradient."""
    weak = weak.detach()
    normaliser = weak.normaliser
    share = torch.exp(weak.negatives - normaliser[:, None])  # (N, K)
    expected = torch.exp(weak.positive - normaliser) * strong.positive + (share * strong.negatives).sum(dim=1)
    return (strong.normaliser - expected).mean()


def kl(weak: Candidates, strong: Candidates) -> Tensor:
    """Returns KL(p_weak || p_strong) over the candidates (HiCLR Eq. 6)."""
    return cross_entropy(weak, strong) - cross_entropy(weak, weak.detach()).detach()


def cosine(weak: Candidates, strong: Candidates) -> Tensor:
    """Returns minus the mean cosine of the embeddings."""
    return -F.cosine_similarity(strong.z, weak.z.detach()).mean()


def l1(weak: Candidates, strong: Candidates) -> Tensor:
    """Returns the mean absolute difference of the unit embeddings over all elements."""
    return (strong.z - weak.z.detach()).abs().mean()


SIMILARITIES: dict[str, Similarity] = {"kl": kl, "cosine": cosine, "l1": l1}
