"""Callbacks around the training steps: metrics, alarms, checkpoints, progress, signals."""
