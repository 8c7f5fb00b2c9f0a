"""Makes a prepared data set of raw recordings, in parallel and all or nothing."""
