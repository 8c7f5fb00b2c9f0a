"""Linear evaluation on cached features beside the loop of the released code, which runs the encoder at every step.

    python benchmarks/linear_speed.py --threads 2

ST-GCN at its published width on sequences of NTU60's shape. The plain loop is measured over a few batches of 128 and
carried on to 100 epochs of 40 091 sequences with a reading of 16 487 every five; ours over the extraction of some
sequences and an epoch of the probe over as many features as NTU60 has, carried on likewise.
"""

import argparse
import time

import torch
from torch.nn import functional as F

from skelray.augment import Draws
from skelray.backbones import STGCN
from skelray.evaluation.classifier import Classifier
from skelray.evaluation.frozen import EMBED_BATCH
from skelray.skeleton import KINECT_V2

TRAIN, TEST, EPOCHS, CLASSES, BATCH = 40_091, 16_487, 100, 60, 128


def timed(work, times):
    """Seconds of one, the median."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[1:])[times // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    encoder = STGCN().build(KINECT_V2).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.05)
    x, present = torch.randn(BATCH, 3, 50, 25, 2), torch.ones(BATCH, 2, dtype=torch.bool)
    labels = torch.randint(CLASSES, (TRAIN,))
    classifier = Classifier([encoder.dim], CLASSES, Draws(0, 0)["probe"], "normal")
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9)

    def step(features, of):
        loss = F.cross_entropy(classifier([features]), of)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def plain():
        with torch.no_grad():
            features = encoder(x, present)
        step(features, labels[:BATCH])

    @torch.no_grad()
    def extract():
        encoder(x[:EMBED_BATCH], present[:EMBED_BATCH])

    cached = torch.randn(TRAIN, encoder.dim)

    def epoch():
        for batch in torch.randperm(TRAIN).split(BATCH):
            step(cached[batch], labels[batch])

    at_each_step, read, probe = timed(plain, given.times), timed(extract, given.times), timed(epoch, given.times)
    looks = EPOCHS // 5 * TEST / EMBED_BATCH * read
    loop = EPOCHS * TRAIN / BATCH * at_each_step + looks
    ours = (TRAIN + TEST) / EMBED_BATCH * read + EPOCHS * probe
    print(f"{given.threads} threads: the encoder at each step {BATCH / at_each_step:.0f} sequences/s,")
    print(f"extraction {EMBED_BATCH / read:.0f} sequences/s, then an epoch of the probe {probe:.2f} s")
    print(
        f"100 epochs of NTU60: {loop / 3600:.1f} h at each step, {ours / 60:.1f} min on cached features: {loop / ours:.0f} x"
    )


if __name__ == "__main__":
    main()
