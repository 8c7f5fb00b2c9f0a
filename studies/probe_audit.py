"""How many points the choice of a probe is worth: one encoder, many probes, chosen on held-out subjects or by the test.

top1 is of the probe that held-out training subjects choose, "first" of the papers' own, "best_on_test" of the best on the
test split, and "best_epoch" of the best epoch of any, as the released code reports. Any encoder may stand in the arms.
10 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip
    skelray run studies/probe_audit.py      # 2 arms x 3 seeds = 6 trials
    skelray run studies/probe_audit.py --benchmark nwucla --protocol xview --epochs 30 --set batch_size=32 --set queue=512
"""

from dataclasses import replace

from skelray import Ablation, Arm, Contrast, ProbeGrid, papers

GRID = ProbeGrid(rates=(3.0, 0.3, 1.0, 10.0), batch_sizes=(128, 32), poolings=("mean", "max"))

study = Ablation(
    base=replace(papers.HICLR, evaluations=(GRID,)),
    seeds=range(3),
    published_by="probes",
    arms=[Arm("HiCLR"), Arm("untrained", {"epochs": 0})],
    contrasts=[Contrast("HiCLR", "untrained")],
)
