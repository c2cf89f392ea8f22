"""What a file is taken for before it is opened: by its ending, or by its first bytes where it has none."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from seqff.untrusted import open_plain

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
SKIPPED_FOLDERS = frozenset([*_FOLDERS.split(), "system volume information", "network trash folder", "temporary items"])
"""Folders that systems make beside what is theirs to keep: thumbnails, recycle bins, resource forks."""
_FIRST_BYTES = re.compile(
    rb"....(ftyp(?!M4A|M4B|heic|heix|hevc|mif1|msf1|avif|crx )|moov|moof|mdat|styp)"  # MP4, MOV
    rb"|\0...(free|skip|wide|pnot)"
    rb"|\x1a\x45\xdf\xa3"  # Matroska, WebM
    rb"|RIFF....(AVI |AVIX|AMV )|FLV\x01|GIF8[79]a|DKIF\0\0|YUV4MPEG2 |DHAV|BIK[a-k]|KB2[a-j]|SMK[24]|\.RMF|NuppelVideo"
    rb"|nut/multimedia|\x06\x0e\x2b\x34\x02\x05\x01\x01|\x0aDKIF"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\xb7\xd8\x00\x20\x37\x49\xda\x11"  # ASF, WTV
    rb"|\0\0\x01[\x0f\xb0\xb3\xba]"  # VC-1, MPEG-4, MPEG-1 and -2, and program streams
    rb"|\0\0\0?\x01[\x67\x27\x47\x06\x09\x46\x40]"  # H.264, H.265: parameter sets, or what may stand before them
    rb"|\x12\0\x0a[\x04-\x40]"  # AV1
    rb"|\x1f\x07\0[\x3f\xbf]"  # DV
    rb"|(\x47.{187}){3}\x47|.{4}(\x47.{191}){3}\x47|(\x47.{203}){3}\x47",  # transport streams
    re.DOTALL,
)
_OGG_VIDEO = re.compile(rb"OggS.{24,64}(\x80theora|BBCD|video\0|OVP80)", re.DOTALL)


def looks_like_video(path: Path) -> bool:
    """Whether the first bytes are those of a video that FFmpeg reads; not of what cannot be opened."""
    try:
        with open_plain(path) as file:
            head = file.read(1024)
    except OSError:
        return False
    return bool(_FIRST_BYTES.match(head) or _OGG_VIDEO.match(head))


def ending(name: str) -> str:
    """Returns a name's ending in small letters, with the dot; "" where there is none."""
    return PurePath(name).suffix.lower()
