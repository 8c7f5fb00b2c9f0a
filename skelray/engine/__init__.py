"""The epochs of a trial as one static step: captured once on a CUDA device, replayed for every batch."""
