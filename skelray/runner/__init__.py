"""Executes studies: trials against a store, in this process or on Ray, and what a run would cost."""
