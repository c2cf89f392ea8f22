"""Forward-Forward on pictures with labels: dense nets, their synthetic negatives, and nets on disk."""

from seqff.forward_forward.io import load_forward_forward, save_forward_forward
from seqff.forward_forward.net import ForwardForward

__all__ = ["ForwardForward", "load_forward_forward", "save_forward_forward"]
