"""From video files to frames: exact readers, and the scan that finds out which reader is exact on which file."""

from seqff.video.entry import VideoEntry as VideoEntry
from seqff.video.find import VIDEO_EXTENSIONS as VIDEO_EXTENSIONS
from seqff.video.info import VideoInfo as VideoInfo
from seqff.video.info import VideoReader as VideoReader
from seqff.video.manifest import Manifest as Manifest
from seqff.video.opening import open_video as open_video
from seqff.video.scanning import scan as scan
