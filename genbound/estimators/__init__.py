"""Estimators: numbers measured on tensors, each with a standard error and a side."""
