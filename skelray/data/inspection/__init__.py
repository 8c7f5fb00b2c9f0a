"""Inspection of prepared data: descriptions, pictures and checks."""
