"""HiCLR, Table 2: in which branch should an augmentation first appear?

An arrangement names the set that enters at each branch; a branch also applies every set before it, so
len(arrangement) is the paper's k. Joint stream, linear evaluation. The paper: weak to strong is best.
97 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/arrangement.py      # 5 arms x 2 protocols x 3 seeds = 30 trials
    skelray report arrangement              # this table, measured beside published
"""

from skelray import BA, NA, Ablation, Arm, Mask, above, papers


def arm(*arrangement, **published):
    """A row named by its arrangement."""
    label = ", ".join(entering.name for entering in arrangement)
    return Arm(f"[{label}]", changes={"arrangement": arrangement}, published=published)


study = Ablation(
    base=papers.HICLR,
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    contrasts=above("[BA, NA, Mask]", "[NA, BA, Mask]", "[Mask, BA, NA]", "[BA+NA, Mask]", "[BA, NA+Mask]"),
    arms=[
        #   arrangement       published top-1 (%)
        arm(BA, NA, Mask, xsub=77.6, xview=82.0),
        arm(NA, BA, Mask, xsub=77.8, xview=80.3),
        arm(Mask, BA, NA, xsub=74.7, xview=79.7),
        arm(BA + NA, Mask, xsub=74.0, xview=79.0),
        arm(BA, NA + Mask, xsub=76.7, xview=79.4),
    ],
)
