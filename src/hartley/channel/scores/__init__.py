"""Sorted scores: ROC curves, thresholds and operating points."""
