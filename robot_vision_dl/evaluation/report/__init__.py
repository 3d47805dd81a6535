"""Figures to a report for people: HTML, Markdown, plots, the verdict."""
