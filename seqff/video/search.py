"""Search a folder recursively for videos; skipped files are counted or named."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from seqff.terminal import counted, printable
from seqff.untrusted import open_plain
from seqff.video.arrays import ARRAY_EXTENSIONS, why_no_frames
from seqff.video.image_headers import is_stack
from seqff.video.numbered import IMAGE_EXTENSIONS, MASKS, extension_of, is_folder, is_picture, names_in, sort_pictures
from seqff.video.shards import is_shard

_EXTENSIONS = """
    .264 .265 .266 .3g2 .3gp .3gp2 .3gpp .amv .apng .asf .av1 .avc .avi .avs2 .avs3 .bik .bk2 .cavs .dav .divx
    .dv .dvr-ms .evo .f4p .f4v .flc .fli .flv .gif .gxf .h261 .h263 .h264 .h265 .h266 .hevc .insv .ismv .ivf .ivr .k3g
    .lrv .m1v .m2p .m2t .m2ts .m2v .m4v .mj2 .mjpeg .mjpg .mk3d .mkv .mod .mov .mp2v .mp4 .mp4v .mpe .mpeg
    .mpg .mpv .mpv2 .mqv .mts .mve .mxf .nsv .nut .nuv .obu .ogm .ogv .ogx .qt .r3d .rm .rmvb .roq .skm .smk .tod .tp
    .trp .ts .vc1 .vid .viv .vob .vro .vvc .webm .wm .wmv .wtv .xmv .y4m
"""
VIDEO_EXTENSIONS = tuple(_EXTENSIONS.split())
_FOLDERS = """
    @eadir @recently-snapshot @recycle @sharebin @tmp #recycle #snapshot $recycle.bin __macosx .appledouble lost+found
    recycler recycled thumbnails thumbs
"""
SYSTEM_FOLDERS = frozenset([*_FOLDERS.split(), "system volume information", "network trash folder", "temporary items"])
"""Folders that systems create for their own purposes: thumbnails, recycle bins, resource forks."""
_BESIDE = "color colour frame image images img imgs jpegimages photos pictures rgb video videos"
_PICTURE_FOLDERS = frozenset(_BESIDE.split())
_FIRST_BYTES = re.compile(
    rb"....(ftyp(?!M4A|M4B|heic|heix|hevc|mif1|msf1|avif|crx )|moov|moof|mdat|styp)"  # MP4, MOV
    rb"|\0...(free|skip|wide|pnot)"
    rb"|\x1a\x45\xdf\xa3"  # Matroska, WebM
    rb"|RIFF....(AVI |AVIX|AMV )|FLV\x01|GIF8[79]a|DKIF\0\0|YUV4MPEG2 |DHAV|BIK[a-k]|KB2[a-j]|SMK[24]|\.RMF|NuppelVideo"
    rb"|nut/multimedia|\x06\x0e\x2b\x34\x02\x05\x01\x01|\x0aDKIF"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\xb7\xd8\x00\x20\x37\x49\xda\x11"  # ASF, WTV
    rb"|\0\0\x01[\x0f\xb0\xb3\xba]"  # VC-1, MPEG-4, MPEG-1 and -2, and program streams
    rb"|\0\0\0?\x01[\x67\x27\x47\x06\x09\x46\x40]"  # H.264, H.265: parameter sets, or what may precede them
    rb"|\x12\0\x0a[\x04-\x40]"  # AV1
    rb"|\x1f\x07\0[\x3f\xbf]"  # DV
    rb"|(\x47.{187}){3}\x47|.{4}(\x47.{191}){3}\x47|(\x47.{203}){3}\x47",  # transport streams
    re.DOTALL,
)
_OGG_VIDEO = re.compile(rb"OggS.{24,64}(\x80theora|BBCD|video\0|OVP80)", re.DOTALL)
_MOST_NAMED = 5


class Skipped:
    """Counts and names what a search does not treat as a video, so that nothing is dropped silently."""

    def __init__(self) -> None:
        self._extensions: Counter[str] = Counter()
        self._named: dict[str, list[str]] = {}

    def count(self, extension: str) -> None:
        """Count a file by its extension."""
        self._extensions[extension] += 1

    def name(self, what: str, *names: str) -> None:
        """Name folders or files of a kind."""
        if names:
            self._named.setdefault(what, []).extend(names)

    def lines(self) -> tuple[str, ...]:
        """Return one line for files and one for each other kind; none if nothing was skipped."""
        kinds = [f"{count} {extension or 'without an ending'}" for extension, count in self._extensions.most_common()]
        files = [f"skipped: {counted(self._extensions.total(), 'file')} ({_some(kinds)})"] if kinds else []
        named = [
            f"skipped: {what}: {len(names)} ({_some(list(map(printable, sorted(names))))})"
            for what, names in self._named.items()
        ]
        return (*files, *named)


def is_hidden(name: str) -> bool:
    """Whether a path below a root contains a hidden file or folder, or a system folder."""
    parts = name.split("/")
    return any(part.startswith(".") for part in parts) or any(part.lower() in SYSTEM_FOLDERS for part in parts[:-1])


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:_MOST_NAMED] + ["..."] * (len(texts) > _MOST_NAMED))


@dataclass
class _Folder:
    """A folder to search: its name relative to the root ("" for the root itself), its folders and files."""

    name: str
    folders: list[os.DirEntry[str]] = field(default_factory=list)
    files: list[os.DirEntry[str]] = field(default_factory=list)

    def below(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name


def search(root: Path) -> tuple[list[str], Skipped]:
    """Find the videos in a folder, and report what was skipped.

    A folder with several links to it is searched once, at its own path if that is below the root.

    Returns:
        Sorted paths relative to the root, with forward slashes; "" is the root itself, if it contains only one sequence
        of images. And what was skipped.
    """
    skipped, found = Skipped(), list[str]()
    here, linked, seen = [_Folder("")], list[_Folder](), dict[tuple[int, int], str]()
    while here or linked:
        if not here:
            linked.sort(key=lambda link: link.name, reverse=True)
        folder = (here or linked).pop()
        path = root / folder.name
        try:
            known = path.stat()
            first = seen.setdefault((known.st_dev, known.st_ino), folder.name or ".")
            if first != (folder.name or "."):
                skipped.name("folders that are searched elsewhere", f"{folder.name} is {first}")
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    (folder.folders if is_folder(entry) else folder.files).append(entry)
        except OSError as error:
            skipped.name("folders that cannot be read", f"{folder.name or '.'}: {error.strerror}")
            continue
        videos = _videos(path, folder, skipped)
        found += videos
        inside = list(_inside(folder, skipped, beside_videos=bool(videos)))
        for entry in sorted(inside, key=lambda entry: entry.name, reverse=True):
            (linked if entry.is_symlink() else here).append(_Folder(folder.below(entry.name)))
        if not videos and not inside:
            if extension_of(folder.name) in VIDEO_EXTENSIONS:
                found.append(folder.name)  # such a name means a video: the scan reports what is wrong
            elif not folder.files:
                skipped.name("empty folders", folder.name or ".")
    if "" in found and len(found) > 1:
        found.remove("")
        found += [sequence.name for sequence in sort_pictures(root, names_in(root)).sequences]
    return sorted(found), skipped


def _inside(folder: _Folder, skipped: Skipped, *, beside_videos: bool) -> Iterable[os.DirEntry[str]]:
    """Yield the folders to search next."""
    pictures_beside = beside_videos or any(entry.name.lower() in _PICTURE_FOLDERS for entry in folder.folders)
    for entry in folder.folders:
        name = entry.name.lower()
        if name in SYSTEM_FOLDERS:
            skipped.name("folders of a system, by their name", folder.below(entry.name))
        elif name.startswith("."):
            skipped.name("hidden folders", folder.below(entry.name))
        elif name in MASKS and pictures_beside:
            skipped.name("folders of masks beside pictures (to read one, give it by itself)", folder.below(entry.name))
        else:
            yield entry


def _videos(path: Path, folder: _Folder, skipped: Skipped) -> list[str]:
    """Return the videos directly in a folder, including those of images."""
    found, films, pictures = list[str](), False, list[str]()
    for entry in folder.files:
        name, kind = entry.name, extension_of(entry.name)
        if name.startswith("."):
            skipped.count("AppleDouble (._*)" if name.startswith("._") else "hidden")
        elif kind in VIDEO_EXTENSIONS or ((not kind or kind[1:].isdigit()) and _looks_like_video(path / name)):
            found.append(folder.below(name))
            films = True
        elif kind in ARRAY_EXTENSIONS:
            why = why_no_frames(path / name)
            if why:
                skipped.name("arrays that are no frames", f"{folder.below(name)}: {why}")
            else:
                found.append(folder.below(name))
        elif is_stack(path / name) or is_shard(name):
            found.append(folder.below(name))
        elif kind in IMAGE_EXTENSIONS:
            pictures.append(name)
        else:
            skipped.count(kind)
    if films:
        skipped.name("pictures beside video files", *map(folder.below, pictures))
        return found
    there = sort_pictures(path, filter(is_picture, pictures))
    skipped.name("pictures without a number, or with no other like them", *map(folder.below, there.loose))
    masks = (folder.below(sequence.name) for sequence in there.masks)
    skipped.name("masks or thumbnails beside their pictures", *masks)
    if len(there.sequences) == 1:
        return [*found, folder.name]
    return found + [folder.below(sequence.name) for sequence in there.sequences]


def _looks_like_video(path: Path) -> bool:
    """Whether the first bytes are those of a video format that FFmpeg reads; False for unreadable files."""
    try:
        with open_plain(path) as file:
            head = file.read(1024)
    except OSError:
        return False
    return bool(_FIRST_BYTES.match(head) or _OGG_VIDEO.match(head))
