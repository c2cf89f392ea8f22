"""Follow the progress of a run by the files in its folder."""

from seqff.watch.progress import Progress as Progress
from seqff.watch.progress import watch as watch
