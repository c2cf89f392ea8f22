"""Features of each layer in scikit-learn: classify, compare layers, cluster, search.

A feature store has one array per layer, with one row per video (or frame), which works with anything that takes a
matrix. Take care with splits: rows of one video, or of one person, belong on the same side, which groups ensure.

It generates 32 small clips, in half of which the digit moves fast, and takes a few seconds.
"""

# %% Clips in folders named after their class, a short training, the features of all layers.
from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import seqff
from seqff.config import EncoderConfig, TrainConfig
from seqff.pairs.synthetic import ClipSettings, write_digit_clips

folder = Path(tempfile.mkdtemp(prefix="seqff-example-"))
for seed, (name, speed) in enumerate({"slow": 1, "fast": 5}.items()):
    look = ClipSettings(size_px=48, frames=16, speed_px=speed, background="none")
    write_digit_clips(folder / "videos" / name, clips=16, settings=look, seed=seed)
small = EncoderConfig(widths=(16, 32, 64), kernels=(7, 3, 3), strides=(2, 1, 1), pools=(1, 2, 2))
run = seqff.train(folder / "videos", out=folder / "run", config=TrainConfig(10, encoder=small))
store = seqff.extract(run.path, folder / "videos", out=folder / "features")
print(store)

# %% Rows are videos. Their classes are their folders; here each video is its own group.
labels = np.array([path.split("/")[0] for path in store.index.video])
groups = np.array(store.index.video)
X = store.to_numpy("layer2")
print(X.shape, "rows and features;", len(set(labels)), "classes")

# %% Any classifier, with cross-validation that keeps groups whole, compared with the same net untrained.
# Ten steps of training are not enough to beat it; `seqff demo` takes some hundreds.
folds = GroupKFold(4)
for name in store.names:
    svm = make_pipeline(StandardScaler(), PCA(10, random_state=0), LinearSVC())
    print(f"{name}: {cross_val_score(svm, store.to_numpy(name), labels, groups=groups, cv=folds).mean():.2f}")

# %% seqff's own probes are scikit-learn estimators, which choose their penalty inside the training part.
scores = cross_val_score(seqff.LinearProbe(), X, labels, groups=groups, cv=folds)
print(f"LinearProbe on layer2: {scores.mean():.2f}")

# %% Concatenated layers form one matrix.
both = np.concatenate([store.to_numpy(name) for name in ("layer2", "layer3")], axis=1)
print("layer2 and layer3 together:", both.shape)

# %% Without labels: clusters, and the videos most similar to a given one.
scaled = StandardScaler().fit_transform(X)
found = KMeans(2, n_init=2, random_state=0).fit_predict(scaled)
print(
    "slow and fast in each cluster:", [[int((labels[found == c] == k).sum()) for k in ("slow", "fast")] for c in (0, 1)]
)
_, nearest = NearestNeighbors(n_neighbors=4, metric="cosine").fit(scaled).kneighbors(scaled[:1])
print("most like", store.index.video[0], "are", [store.index.video[row] for row in nearest[0][1:]])
