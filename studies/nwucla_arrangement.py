"""HiCLR's arrangement, asked of NW-UCLA: in which branch should an augmentation first appear?

Cameras 1 and 2 train, camera 3 tests. Frames and epochs were chosen by the 1-NN accuracy on held-out training subjects of
seed 0, before any figure of this study was seen: 69, 67 and 70 % after 25, 30 and 35 epochs of 25 frames, 72 % after 50,
and 63 % after 45 of 16 frames. The rate and the initial weights are those of ``nwucla.py``, for which seeds 0 and 1 had
looked at camera 3. Eight pairs are the fewest that can decide four contrasts.
0.34 h of training at 1000 samples/s.

    skelray prepare nwucla NW-UCLA.zip
    skelray run studies/nwucla_arrangement.py           # 5 arms x 8 seeds = 40 trials
"""

from dataclasses import replace

from arrangement import study as paper
from nwucla import study as nwucla

from skelray import SGD, Ablation, Arm

study = Ablation(
    base=replace(nwucla.base, optimizer=SGD(lr=0.03, milestones=(24,)), epochs=30),
    seeds=range(8),
    contrasts=paper.contrasts,
    arms=[Arm(arm.label, arm.changes) for arm in paper.arms],
)
