"""What a study file says: an ablation, a sweep, a fusion, and at what scale it runs."""
