"""Studies: an ablation, a sweep, a fusion, and the scale at which they run."""
