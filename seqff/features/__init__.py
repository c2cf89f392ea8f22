"""Extraction of per-layer features from whole videos, and their storage on disk."""

from seqff.features.export import export as export
from seqff.features.extraction import extract as extract
from seqff.features.pooling import RunningStatistics as RunningStatistics
from seqff.features.pooling import spatial_pool as spatial_pool
from seqff.features.pooling import temporal_pool as temporal_pool
from seqff.features.store import FeatureIndex as FeatureIndex
from seqff.features.store import FeatureStore as FeatureStore
from seqff.features.store import StoredVideo as StoredVideo
from seqff.features.store import write_store as write_store
