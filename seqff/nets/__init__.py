"""Encoders: layers, norms between them, the plain conv net, networks split into layers, encoders on disk."""

from seqff.nets.conv import ConvLayer, build_encoder
from seqff.nets.cut import cut_sequential
from seqff.nets.encoder import Encoder, LayerInfo, with_statistics
from seqff.nets.io import load_encoder, save_encoder
from seqff.nets.pretrained import from_pretrained, save_pretrained

__all__ = [
    "ConvLayer",
    "Encoder",
    "LayerInfo",
    "build_encoder",
    "load_encoder",
    "save_encoder",
    "with_statistics",
]

Encoder.from_sequential = staticmethod(cut_sequential)
Encoder.from_pretrained = staticmethod(from_pretrained)
Encoder.save_pretrained = save_pretrained
