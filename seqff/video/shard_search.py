"""Find the videos in tar files."""

from __future__ import annotations

from seqff.errors import NoVideoError, VideoError
from seqff.terminal import as_lines
from seqff.video.find import Found
from seqff.video.numbered import extension_of
from seqff.video.reader import one_line
from seqff.video.remote.address import shown
from seqff.video.remote.download_cache import local_file
from seqff.video.search import VIDEO_EXTENSIONS, Skipped, is_hidden
from seqff.video.shards import COMPRESSED, contents, is_shard


def with_members(found: Found) -> Found:
    """Replace each tar file by its videos, such as `shard-000.tar/clips/a.mp4`; report its other members.

    A tar file that cannot be read remains, so that the scan reports why. A remote one is downloaded if necessary.

    Raises:
        NoVideoError: there is no video in any of them, and no other video.
    """
    if not any(map(is_shard, found.paths)):
        return found
    skipped, paths = Skipped(), list[str]()
    for path in found.paths:
        if path.lower().endswith(COMPRESSED):
            skipped.name("compressed tar files (cannot be read in place: unpack them, or repack them as .tar)", path)
        elif is_shard(path):
            paths += _members(found, path, skipped)
        else:
            paths.append(path)
    lines = (*found.skipped, *skipped.lines())
    if not paths:
        raise NoVideoError(as_lines([f"no video in the tar files at {shown(found.root)}", *lines]))
    return found._replace(paths=sorted({*paths}), skipped=lines)


def _members(found: Found, path: str, skipped: Skipped) -> list[str]:
    try:
        with local_file(found.root / path) as file:
            inside = contents(file)
    except (OSError, ValueError, VideoError):
        return [path]
    videos = []
    for name in inside.members:
        if is_hidden(name):
            skipped.count("hidden or of a system, in tar files")
        elif extension_of(name) in VIDEO_EXTENSIONS:
            videos.append(f"{path}/{name}")
        else:
            skipped.count(f"{extension_of(name) or 'without an ending'} in tar files")
    skipped.name("links, devices and unsafe names in tar files", *(f"{path}/{what}" for what in inside.left_out))
    skipped.name(
        "files in tar files that are replaced by a later one of the same name",
        *(f"{path}/{name}" for name in inside.twice),
    )
    skipped.name("the rest of damaged tar files", *[f"{path} is {one_line(inside.damage)}"] * bool(inside.damage))
    if not videos:
        skipped.name("tar files without a video file", path)
    return videos
