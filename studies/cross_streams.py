"""AimCLR, Table 4, the two rows that mine across streams: what D3M adds to CrosSCLR, three streams trained together.

In stage 2 the streams mine for one another as CrosSCLR does; AimCLR's extreme views follow by D3M within each. The linear
evaluation fuses the streams. AimCLR's three streams apart are in aimclr_parts.py.

    skelray run studies/cross_streams.py                          # 2 arms x 2 protocols x 3 seeds = 12 trials
    skelray run studies/cross_streams.py --benchmark nwucla --protocol xview --epochs 30 --set batch_size=32 --set queue=512
"""

from skelray import Ablation, AimCLR, Arm, CrosSCLR, papers

study = Ablation(
    base=papers.CROSSCLR,
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    arms=[
        Arm("CrosSCLR", {"method": CrosSCLR()}, {"xsub": 77.8, "xview": 83.4}),
        Arm("AimCLR, mining across streams", {"method": AimCLR(cross_streams=True)}, {"xsub": 78.6, "xview": 82.6}),
    ],
)
