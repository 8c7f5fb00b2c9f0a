"""Exports of a study to the tracker that a lab uses: curves, hyperparameters and figures, once for each trial."""
