"""The parts of the page, each a question and its answer."""

from seqff.report.sections.again import again as again
from seqff.report.sections.base import Section as Section
from seqff.report.sections.cost import cost as cost
from seqff.report.sections.health import health as health
from seqff.report.sections.inputs import inputs as inputs
from seqff.report.sections.learned import learned as learned
from seqff.report.sections.map import map_of_clips as map_of_clips
from seqff.report.sections.moves import moves as moves
from seqff.report.sections.sees import sees as sees
