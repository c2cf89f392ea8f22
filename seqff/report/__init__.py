"""An HTML page about a run: did it learn, is it healthy, what does it see, what went in, what did it cost."""

from seqff.report.page import Report as Report
from seqff.report.page import report as report
