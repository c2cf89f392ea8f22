"""What a run is doing: its figures now, by what lies on disk."""

from seqff.watch.following import watch as watch
from seqff.watch.progress import Progress as Progress
