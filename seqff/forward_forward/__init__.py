"""Forward-Forward on images: dense nets, their synthetic negatives, and nets on disk."""

from seqff.forward_forward.io import load_forward_forward as load_forward_forward
from seqff.forward_forward.io import save_forward_forward as save_forward_forward
from seqff.forward_forward.net import ForwardForward as ForwardForward
