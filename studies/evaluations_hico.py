"""HiCo under the evaluations of its Tables 1, 2 and 6 on NTU60, joint stream: linear, retrieval and shares of labels.

The rates of finetuning are not published; ours are in ``papers``. Its transfer (Table 5) is ``transfer_hico.py``.

    skelray prepare ntu60 nturgbd_skeletons_s001_to_s017.zip --path rigid --frames 300 --data data300
    skelray run studies/evaluations_hico.py --data data300      # 3 arms x 2 protocols x 3 seeds = 18 trials
"""

from dataclasses import replace

from skelray import GRU, LSTM, Ablation, Arm, Clustering, Hierarchical, Retrieval, papers

evaluations = (Retrieval(), Clustering(), *papers.HICO_SEMI, papers.HICO_FINETUNE, papers.HICO_SUPERVISED)


def both(xsub, xview):
    """A published figure under either protocol."""
    return {"xsub": xsub, "xview": xview}


transformer = {"linear": both(81.1, 88.6), "retrieval": both(68.3, 84.8)}
transformer |= {"semi 1%": both(54.4, 54.8), "semi 10%": both(73.0, 78.3)}
gru = {"linear": both(80.6, 88.6), "retrieval": both(67.9, 84.4)}
lstm = {"linear": both(81.4, 88.8), "retrieval": both(66.9, 84.3)}


study = Ablation(
    base=replace(papers.HICO_TRANSFORMER, evaluations=(*papers.HICO_TRANSFORMER.evaluations, *evaluations)),
    across={"protocol": ["xsub", "xview"]},
    seeds=range(3),
    arms=[
        Arm("Transformer", published=transformer),
        Arm("GRU", {"backbone": Hierarchical(s2s=GRU())}, gru),
        Arm("LSTM", {"backbone": Hierarchical(s2s=LSTM())}, lstm),
    ],
)
