"""Figures of a study: one style, and one way to keep them as PNG, SVG and the numbers that they show."""
