"""HiCo, Table 5: an encoder trained without labels on PKU-MMD I or NTU60, finetuned on PKU-MMD II.

Does what is learned on much data help on little? The schedule of finetuning is not published; ours is in ``papers``. HiCo
read AimCLR's arrays of 50 frames of PKU-MMD. PKU-MMD and NTU RGB+D share subjects.
22 h of training at 1000 samples/s.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray prepare pku_mmd1 PKUMMD --data data300
    skelray prepare pku_mmd2 PKUMMDv2 --data data300
    skelray run studies/transfer_hico.py --data data300      # 1 arm x 2 protocols x 3 seeds = 6 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, Reference, Transfer, papers

tuned = Transfer("pku_mmd2", "xsub", papers.HICO_FINETUNE)

study = Ablation(
    base=replace(papers.HICO_TRANSFORMER, evaluations=(tuned,)),
    on=[("pku_mmd1", "xsub"), ("ntu60", "xsub")],
    seeds=range(3),
    published_by=tuned.name,
    arms=[
        Reference("LongT GAN (AAAI 18)", [43.6, 44.8], stream="joint", backbone="gru"),
        Reference("MS2L (ACM MM 20)", [44.1, 45.8], stream="joint", backbone="gru"),
        Reference("ISC (ACM MM 21)", [45.1, 45.9], stream="joint", backbone="gru+cnn+gcn"),
        Arm("HiCo, Transformer", {}, [53.4, 56.3]),
    ],
)
