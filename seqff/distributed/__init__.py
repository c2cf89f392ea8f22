"""Distributed training: data parallelism, layer parallelism, or both in a grid."""
