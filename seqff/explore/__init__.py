"""Uses of features: find similar moments, cluster moments over time, classify new videos."""

from seqff.explore.classify import Classification as Classification
from seqff.explore.classify import classify as classify
from seqff.explore.cluster import Clustering as Clustering
from seqff.explore.cluster import cluster as cluster
from seqff.explore.search import SearchResult as SearchResult
from seqff.explore.search import search as search
