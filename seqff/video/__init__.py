"""From video files to frames: exact readers, the scan that determines which reader is exact on each file, the cache."""

from seqff.video.cache import Cache as Cache
from seqff.video.cache import fill_cache as fill_cache
from seqff.video.cache import open_cached as open_cached
from seqff.video.entry import VideoEntry as VideoEntry
from seqff.video.manifest import BadVideosError as BadVideosError
from seqff.video.manifest import Manifest as Manifest
from seqff.video.opening import open_video as open_video
from seqff.video.packing import pack as pack
from seqff.video.reader import VideoInfo as VideoInfo
from seqff.video.reader import VideoReader as VideoReader
from seqff.video.scanning import scan as scan
from seqff.video.search import VIDEO_EXTENSIONS as VIDEO_EXTENSIONS
