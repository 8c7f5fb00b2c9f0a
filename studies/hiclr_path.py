"""From SkeletonCLR to HiCLR one change at a time, the best next change first: what the paper's gain is made of.

HiCLR with one branch and no mining is SkeletonCLR. Each step is trained with every change that is left, held-out training
subjects decide which is kept, and the test split is read along the path alone. Joint stream.
70 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/hiclr_path.py      # 1 + 3 + 2 + 1 settings x 3 seeds = 21 trials
    skelray report hiclr_path              # what each step of the path adds
"""

from dataclasses import replace

from skelray import BA, NA, AblationPath, HiCLR, Mask, papers


def branch(entering):
    """A further branch, which the augmentation enters at; weak to strong, in whatever order they come."""

    def change(trial):
        there = {one.name for one in (*trial.method.arrangement, entering)}
        arrangement = tuple(one for one in (BA, NA, Mask) if one.name in there)
        return replace(trial, method=replace(trial.method, arrangement=arrangement))

    return change


study = AblationPath(
    default=replace(papers.HICLR, method=HiCLR(arrangement=(BA,), mining_from=None)),
    best={"NA branch": branch(NA), "Mask branch": branch(Mask), "neighbour mining": {"mining_from": 150}},
    seeds=range(3),
    start="SkeletonCLR",
)
