"""What is done around the steps of a training besides learning: metrics, alarms, checkpoints, progress, signals."""
