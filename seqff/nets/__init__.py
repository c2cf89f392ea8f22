"""Encoders: layers, norms between them, the plain conv net."""

from seqff.nets.conv import ConvLayer, build_encoder
from seqff.nets.encoder import Encoder, LayerInfo
from seqff.nets.io import load_encoder, save_encoder

__all__ = ["ConvLayer", "Encoder", "LayerInfo", "build_encoder", "load_encoder", "save_encoder"]
