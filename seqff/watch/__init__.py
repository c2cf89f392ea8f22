"""What a run is doing: its figures now, by what lies on disk."""

from seqff.watch.progress import Progress as Progress
from seqff.watch.progress import watch as watch
