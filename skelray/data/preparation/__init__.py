"""Preparation of raw recordings as a data set, in parallel and all or nothing."""
