"""Tar files of videos: read in place like the original folder, and no further than their own bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.painted import count_wrong, read_numbers
from helpers.serving import NAMES, downloaded, needs_http, serving

from seqff.errors import NoVideoError, VideoError
from seqff.probes.labels import read_groups, read_labels
from seqff.video import Manifest, open_video, scan
from seqff.video.decord_reader import decord_available, load_decord
from seqff.video.examine import examine
from seqff.video.find import find_videos
from seqff.video.shard_search import with_members
from seqff.video.shards import contents

FIRST = {"cut_17.mp4": 17, "cut_27_open_gop.mp4": 27}


def content_hash(file: Path) -> str:
    """What a manifest calls the bytes of a file."""
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


def quick(videos: object, out: Path, **options: object) -> Manifest:
    """A scan in one process, without a bar."""
    return scan(videos, out=out, workers=1, progress=False, **options)  # type: ignore[arg-type]


def write_shard(path: Path, files: dict[str, Path | bytes], *more: tarfile.TarInfo) -> Path:
    """Writes a tar file with these files by these names, and members without content."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return path


def in_folders(folder: Path) -> dict[str, Path | bytes]:
    """The files of a folder by their names."""
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.*"))}


@pytest.fixture
def shard(videos: Path, tmp_path: Path) -> Path:
    """A folder with the videos in one shard."""
    (tmp_path / "set").mkdir()
    write_shard(tmp_path / "set" / "shard-000.tar", in_folders(videos))
    return tmp_path / "set"


def test_every_reader_sees_in_a_shard_what_it_sees_in_files(
    manifest: Manifest, painted_clips: Path, tmp_path: Path
) -> None:
    """An examination finds the same to the last field, and every frame is the right one, whoever reads it."""
    shard = write_shard(tmp_path / "a.tar", in_folders(painted_clips))
    decord, read = load_decord() if decord_available() else None, set[tuple[str, str]]()
    for near in manifest:
        far = examine(shard / near.path, decord=decord)
        placed = {"path": near.path, "mtime_ns": near.mtime_ns, "shard": ()}
        assert {**far.to_dict(), **placed} == {**near.to_dict(), "shard": ()}
        for reader, size in (("pyav", None), ("decord", (32, 40)), ("torchcodec", None)):
            with (
                suppress(VideoError),  # not installed, or not exact on this clip
                open_video(shard / near.path, entry=far, reader=reader, size=size) as video,
            ):
                assert count_wrong(video, far, first=FIRST.get(near.path, 0), pairs=10) == 0
                read.add((reader, near.path))
    assert {name for reader, name in read if reader == "pyav"} == {entry.path for entry in manifest}
    assert ("decord", "b_frames.mp4") in read or not decord


def test_a_folder_of_shards_and_files_is_scanned_at_once(shard: Path, videos: Path, tmp_path: Path) -> None:
    """Each video once, by its place; what else lies in a shard is counted, and what is the same is a copy."""
    (shard / "loose").mkdir()
    (shard / "loose" / "anna.mp4").write_bytes((videos / NAMES[0]).read_bytes())
    found = quick(shard, tmp_path / "m.sqlite")
    assert [entry.path for entry in found] == ["loose/anna.mp4", *(f"shard-000.tar/{name}" for name in NAMES)]
    assert found.entries[1].duplicate_of == "loose/anna.mp4"
    assert found.skipped == ("skipped: 1 file (1 .txt in tar files)",)
    assert with_members(find_videos([shard / "shard-000.tar", shard / "loose" / "anna.mp4"]))[:2] == (
        shard,
        [entry.path for entry in found],
    )
    with open_video(shard / "shard-000.tar" / "walk" / "anna.mp4") as video:
        assert read_numbers(video.clip(3, 6)) == [3, 4, 5]
    with pytest.raises(VideoError, match=r"shard-000\.tar/walk/zoe\.mp4: unreadable: no such file in the tar file"):
        open_video(shard / "shard-000.tar" / "walk" / "zoe.mp4")
    with pytest.raises(VideoError, match="a tar file and no video: give the path of one in it"):
        open_video(shard / "shard-000.tar")
    with pytest.raises(FileNotFoundError, match=r"shard-001\.tar/a\.mp4"):
        open_video(shard / "shard-001.tar" / "a.mp4")


def test_a_shard_that_has_changed_is_noticed(shard: Path, videos: Path, tmp_path: Path) -> None:
    """The old manifest reads what it describes or nothing; the next scan follows, and a table decodes no more."""
    out, file = tmp_path / "m.sqlite", shard / "shard-000.tar"
    old = quick(shard, out)
    before = [*old]
    assert quick(shard, out).entries == old.entries
    files = in_folders(videos)
    write_shard(file, {"first.txt": bytes(20_000), **files})
    os.utime(file, ns=(1, before[0].mtime_ns))  # the size alone tells
    with pytest.raises(VideoError, match="changed since it was scanned: scan again"):
        open_video(shard / before[0].path, entry=before[0])
    new = quick(shard, out)
    assert [(e.path, e.content_hash) for e in new] == [(e.path, e.content_hash) for e in before]
    assert [e.shard[0] - b.shard[0] for e, b in zip(new, before, strict=True)] == [20_992] * 3
    file.unlink()
    with pytest.raises(VideoError, match="gone since it was scanned"):
        open_video(shard / before[0].path, entry=before[0])


def test_labels_and_groups_are_those_of_the_folder() -> None:
    """A shard is no folder: neither a class nor a group, and tables name videos with or without it."""
    names = [f"shard-00{number}.tar/{name}" for number, name in enumerate(NAMES)] + ["set/b.tar/walk/carl.mp4"]
    assert read_labels(names[:3], "folder") == ["run", "walk", "walk"]
    assert read_groups(names, "folder", content_hashes=list("abcd")) == ["run", "walk", "walk", "walk"]
    values = {NAMES[0]: "a", names[1]: "b", NAMES[2]: "c", "set/walk/carl.mp4": "d"}
    assert read_labels(names, values) == ["a", "b", "c", "d"]


def special(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    """A member that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def test_what_leads_out_of_a_shard_is_named_and_left_out(videos: Path, tmp_path: Path) -> None:
    """Links, devices and names above the shard are not followed; the last of two files of one name counts."""
    one, other = videos / NAMES[0], videos / NAMES[1]
    outside = {"../up.mp4": one, "/etc/top.mp4": one, "./walk/a.mp4": one, "walk/b.mp4": one, "walk/._c.mp4": one}
    odd = [special("soft.mp4", tarfile.SYMTYPE, "/etc/passwd"), special("hard.mp4", tarfile.LNKTYPE, "walk/b.mp4")]
    odd += [special("pipe.mp4", tarfile.FIFOTYPE), special("walk", tarfile.DIRTYPE)]
    with tarfile.open(write_shard(tmp_path / "odd.tar", outside, *odd), "a") as tar:
        tar.add(other, "walk/b.mp4")
    found = quick(tmp_path, tmp_path.parent / "m.json")
    assert [entry.path for entry in found] == ["odd.tar/walk/a.mp4", "odd.tar/walk/b.mp4"]
    assert [entry.frames for entry in found] == [24, 25]
    said = "\n".join(found.skipped)
    for name in ("../up.mp4", "/etc/top.mp4", "soft.mp4", "hard.mp4", "pipe.mp4"):
        assert f"odd.tar/{name}: " in said
    assert "replaced by a later one of the same name: 1 (odd.tar/walk/b.mp4)" in said
    assert "1 hidden or of a system, in tar files" in said


@pytest.mark.parametrize("where", ["member", "header", "no end"])
def test_a_shard_that_was_cut_gives_what_is_whole(shard: Path, where: str) -> None:
    """The members before the damage are read, and the scan says where it is."""
    file = shard / "shard-000.tar"
    start, size = contents(file).members[NAMES[2]]
    data = file.read_bytes()
    ends = {"member": start + size - 1, "header": start - 200, "no end": start + -(-size // 512) * 512}
    file.write_bytes(data[: ends[where]])
    found = with_members(find_videos(shard))
    whole = NAMES if where == "no end" else NAMES[:2]
    assert found.paths == [f"shard-000.tar/{name}" for name in whole]
    assert any(
        "the rest of damaged tar files: 1 (shard-000.tar is cut short or damaged" in line for line in found.skipped
    )


def test_what_is_no_tar_file_is_a_video_that_cannot_be_read(shard: Path, tmp_path: Path) -> None:
    """It counts as one that is bad, with the reason; compressed ones are named, and refused where there is no other."""
    (shard / "shard-001.tar").write_bytes(b"no tar" * 1000)
    (shard / "shard-002.tar").write_bytes(gzip.compress((shard / "shard-000.tar").read_bytes()))
    (shard / "shard-003.tar.gz").write_bytes((shard / "shard-002.tar").read_bytes())
    found = quick(shard, tmp_path / "m.json", max_bad=1)
    assert [entry.path for entry in found.bad] == ["shard-001.tar", "shard-002.tar"]
    assert all("not a tar file, or a compressed one" in entry.cause for entry in found.bad)
    assert any("repack them as .tar): 1 (shard-003.tar.gz)" in line for line in found.skipped)
    with pytest.raises(NoVideoError, match=r"compressed tar files \(cannot be read in place"):
        quick(shard / "shard-003.tar.gz", tmp_path / "m.json")
    write_shard(shard / "shard-004.tar", {"a.txt": b"", "b.jpg": b""})
    with pytest.raises(NoVideoError, match="tar files without a video file: 1"):
        quick(shard / "shard-004.tar", tmp_path / "m.json")


def header(name: bytes, size: bytes, kind: bytes) -> bytes:
    """A header of tar with a right checksum, whatever it says."""
    block = bytearray(
        name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"0" * 11 + b"\0"
    )
    block += b" " * 8 + kind + b"\0" * 100 + b"ustar\x0000" + b"\0" * 247
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


NEGATIVE = b"\xff" * 11 + b"\x00"  # base 256: -256
HOSTILE = {
    "a size below 0": header(b"b.mp4", NEGATIVE, b"0"),
    "an extended header below 0": header(b"b", NEGATIVE, b"x"),
    "an extended header of 8 GB": header(b"b", b"77777777777\0", b"x"),
    "a long name of 1 GB": header(b"b", b"07777777777\0", b"L"),
    "headers of headers": header(b"b", b"00000000000\0", b"x") * 20_000,
    "old holes without end": (header(b"b", b"00000000000\0", b"S")[:482] + b"\1" + bytes(29)) * 2,
    "a size beyond the file": header(b"b.mp4", b"77777777777\0", b"0"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_header_ends_the_shard_there(videos: Path, tmp_path: Path, what: str) -> None:
    """No header makes the reader run in circles, take memory or forget the members before it."""
    file = write_shard(tmp_path / "a.tar", {"a.mp4": videos / NAMES[0]})
    start, size = contents(file).members["a.mp4"]
    end = start + -(-size // 512) * 512
    file.write_bytes(file.read_bytes()[:end] + HOSTILE[what] + bytes(2**20))
    found = contents(file)
    assert [*found.members] == ["a.mp4"]
    assert found.damage == f"cut short or damaged at byte {end}"


def test_a_member_reaches_nothing_outside_of_itself(shard: Path, videos: Path, tmp_path: Path) -> None:
    """A playlist in a shard is not followed, and a manifest that lies about a place shows no other file's frames."""
    playlist = b"ffconcat version 1.0\nfile '" + bytes(videos / NAMES[0]) + b"'\n"
    write_shard(shard / "list.tar", {"a.mp4": playlist, "b.mkv": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"})
    found = quick(shard, tmp_path / "m.json", max_bad=1)
    assert {entry.path for entry in found.bad} == {"list.tar/a.mp4", "list.tar/b.mkv"}
    entry = found.usable[0]
    for lie in ({"shard": [entry.shard[0] + 512, entry.shard[1]]}, {"bytes": entry.bytes // 2}, {"shard": [0, 0]}):
        changed = type(entry).from_dict({**entry.to_dict(), **lie})
        with pytest.raises(VideoError), open_video(found.path(entry), entry=changed) as video:
            video.clip(0, 24)
    with pytest.raises(ValueError, match="shard cannot be so"):
        type(entry).from_dict({**entry.to_dict(), "reader": "array"})


@needs_http
@pytest.mark.usefixtures("downloads")
def test_shards_at_an_address_are_fetched_once_and_read_like_those_here(
    shard: Path, videos: Path, tmp_path: Path, downloads: Path
) -> None:
    """A folder of shards on a server: same videos, same frames, one request for a shard; a changed one is noticed."""
    with serving(shard) as far:
        found = quick(far.address, tmp_path / "m.sqlite")
        assert [entry.path for entry in found] == [f"shard-000.tar/{name}" for name in NAMES]
        assert [entry.content_hash for entry in found] == [content_hash(videos / name) for name in NAMES]
        again = quick(tmp_path / "m.sqlite", tmp_path / "m.sqlite")
        assert [*again] == [*found]
        assert len(downloaded(downloads)) == 1
        assert far.asked["GET", "/shard-000.tar"] == 1
        with open_video(found.path(found.entries[1]), entry=found.entries[1]) as video:
            assert video.info.path == f"{far.address}/shard-000.tar/{NAMES[1]}"
            assert read_numbers(video.at([20, 2])) == [20, 2]
        with open_video(f"{far.address}/shard-000.tar/{NAMES[2]}") as video:
            assert len(video) == 26  # without a manifest
        write_shard(shard / "shard-000.tar", {"new.mp4": videos / NAMES[0], **in_folders(videos)})
        os.utime(shard / "shard-000.tar", (2e9, 2e9))  # the server tells seconds
        downloaded(downloads)[0].unlink()
        with pytest.raises(VideoError, match="changed since it was scanned: scan again"):
            open_video(found.path(found.entries[1]), entry=found.entries[1])
        assert len(quick(far.address, tmp_path / "m.sqlite")) == 4
