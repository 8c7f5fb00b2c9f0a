"""HiCo, Table 5: an encoder trained on NTU60 without labels, finetuned on PKU-MMD II.

From PKU-MMD I the paper has 53.4: ``--benchmark pku_mmd1`` is that row, without the figure beside it. The schedule of
finetuning is not published; ours is in ``papers``. PKU-MMD and NTU RGB+D share subjects.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray prepare pku_mmd2 PKU_Skeletons_v2 --path rigid --frames 300 --data data300
    skelray run studies/transfer_hico.py --data data300      # 3 trials
"""

from dataclasses import replace

from skelray import Ablation, Arm, Transfer, papers

tuned = Transfer("pku_mmd2", "xsub", papers.HICO_FINETUNE)

study = Ablation(
    base=replace(papers.HICO_TRANSFORMER, evaluations=(tuned,)),
    arms=[Arm("HiCo, from NTU60", published={"xsub": 56.3})],
    seeds=range(3),
    published_by=tuned.name,
)
