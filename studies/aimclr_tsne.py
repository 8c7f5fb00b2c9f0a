"""AimCLR, Figure 2: do actions lie apart? t-SNE and NMI of ten classes of the test set, three streams side by side.

The same ten classes for every arm and seed; which ten the paper took is not said. Streams that were trained apart are put
side by side from what each has stored, as those that were trained together. Pictures lie in results/figures/aimclr_tsne; the
page has them as one figure, features.png. 80 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/aimclr_tsne.py      # (2 arms x 3 streams + 2) x 3 seeds = 24 trials
    skelray report aimclr_tsne --html
"""

from dataclasses import replace

from skelray import Ablation, Arm, Clustering, CrosSCLR, SkeletonCLR, above, papers

together = {"stream": papers.CROSSCLR.stream}

study = Ablation(
    base=replace(papers.AIMCLR, evaluations=(Clustering(keep=True),)),
    on=[("ntu60", "xsub")],
    across={"stream": ["joint", "motion", "bone"]},
    seeds=range(3),
    ensemble=papers.AIMCLR_FUSION,
    published_by="clustering",
    contrasts=[
        *above("AimCLR across streams", "CrosSCLR"),
        *above("AimCLR", "SkeletonCLR", at={"stream": papers.AIMCLR_FUSION.stream}),
    ],
    arms=[
        Arm("SkeletonCLR", {"method": SkeletonCLR()}),
        Arm("AimCLR"),
        Arm("CrosSCLR", {"method": CrosSCLR(), **together}, [0.6668]),
        Arm("AimCLR across streams", {"method": papers.AIMCLR_ACROSS.method, **together}, [0.6793]),
    ],
)
