"""Where the frames of MPEG audio (MP3, and layers I and II) lie in a file, learnt from the frames themselves.

MP3 has no header but an optional frame without sound (Xing, Info or VBRI) that says how many frames follow; it may be
missing or wrong, and files that were joined have several. Source: the LAME tag's revision 1,
http://gabriel.mp3-tech.org/mp3infotag.html. Decoding is up to `mp3`.
"""

import re
from array import array
from dataclasses import dataclass, field
from typing import BinaryIO

from espnet3.components.data.containers.mp3_header import HEADER, FrameHeader, id3_size

DECODER_DELAY = 529
"""Samples by which a decoder lags behind, which is not part of the delay that an encoder states."""
_TAG = re.compile(rb"Xing|Info|VBRI")
NEAR = 4096
"""Bytes within which a recording begins that was cut out of a longer one."""
SURE = 6
"""Frames that do not follow each other by chance."""
SEARCH = 1 << 16
"""Bytes read at once in search of the next frame."""


@dataclass(slots=True)
class Recording:
    """Frames of one recording, one after the other."""

    header: FrameHeader
    """Of the first frame."""
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    """Where each frame starts in the file."""
    ends: dict[int, int] = field(default_factory=dict)
    """Where a frame ends that the next one does not follow at once, by its number."""
    promised_frames: int = 0
    """What its own tag says; 0 for nothing."""
    promised_bytes: int = 0
    """The same, with the frame of the tag itself."""
    tag_bytes: int = 0
    """Bytes of that frame."""
    delay: int = 0
    """Samples at the beginning that the encoder made up, the decoder's among them."""
    padding: int = 0
    """And at the end."""

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.starts)

    @property
    def samples(self) -> int:
        """Of each channel, without what the encoder made up; what a wrong tag calls padding may be sound."""
        padding = self.padding if self.frames == self.promised_frames else 0
        return max(0, self.frames * self.header.samples - self.delay - padding)

    @property
    def is_cut(self) -> bool:
        """Whether frames and bytes are missing that the tag promises."""
        there = self.tag_bytes + self._end(self.frames - 1) - self.starts[0] if self.frames else self.tag_bytes
        return self.promised_frames > self.frames and not 0 < self.promised_bytes <= there

    @property
    def promised_seconds(self) -> float:
        """What the tag says, or what there is where that is more, with what the encoder made up."""
        return max(self.frames, self.promised_frames) * self.header.samples / self.header.rate

    def ranges(self, first: int, last: int) -> list[range]:
        """Where the frames from `first` to before `last` lie."""
        found, start = [], first
        for gap in sorted(number + 1 for number in self.ends if first <= number < last - 1):
            found.append(range(self.starts[start], self.ends[gap - 1]))
            start = gap
        if start < last:
            found.append(range(self.starts[start], self._end(last - 1)))
        return found

    def sound_bytes(self, frame: int) -> int:
        """Bytes of a layer III frame from which later ones may take."""
        size = self._end(frame) - self.starts[frame]
        return size - HEADER - (0 if self.header.word & 1 << 16 else 2) - self.header.side_info

    def _end(self, frame: int) -> int:
        return self.ends[frame] if frame in self.ends else self.starts[frame + 1]


def find_recordings(file: BinaryIO, start: int, end: int) -> list[Recording]:
    """The recordings between two places of a file; tags of other kinds and what is no frame are passed over."""
    recordings: list[Recording] = []
    place = start
    while (place := _next_frame(file, place, end)) < end:
        place = _take_frames(file, place, end, recordings)
    return [recording for recording in recordings if recording.frames]


def starts_with_frames(file: BinaryIO, start: int, end: int) -> bool:
    """Whether two frames of a kind lie at the place `start`, one after the other."""
    file.seek(start)
    header = FrameHeader.parse(file.read(HEADER))
    return header is not None and _is_followed(file, start, header, end)


def starts_soon(file: BinaryIO, end: int) -> bool:
    """Whether some frames lie near the beginning, after one of which the first part is missing, or zeros."""
    place, near = 0, min(end, NEAR)
    while (place := _next_frame(file, place, near)) < near:
        following = place
        for _ in range(SURE):
            file.seek(following)
            header = FrameHeader.parse(file.read(HEADER))
            if header is None or following + header.size > end:
                break
            following += header.size
        else:
            return True
        place += 1
    return False


def _take_frames(file: BinaryIO, place: int, end: int, recordings: list[Recording]) -> int:
    """Add the frames that follow each other from `place` on; returns where they end."""
    known: dict[bytes, FrameHeader] = {}
    sizes: dict[bytes, int] = {}
    current = recordings[-1] if recordings else None
    file.seek(place)
    while len(raw := file.read(HEADER)) == HEADER:
        if raw not in known:
            if (header := FrameHeader.parse(raw)) is None:
                break
            known[raw], sizes[raw] = header, header.size
        size = sizes[raw]
        if place + size > end:
            break
        content = file.read(size - HEADER)
        tag = _tag(known[raw], content) if _TAG.search(content[:40]) else None
        if tag or current is None or known[raw].kind != current.header.kind:
            _close(current, place)
            current = tag or Recording(known[raw])
            recordings.append(current)
        if not tag:
            current.starts.append(place)
        place += size
    _close(current, place)
    return place


def _close(recording: Recording | None, place: int) -> None:
    """Note where the last frame of a recording ends."""
    if recording and recording.frames and recording.frames - 1 not in recording.ends:
        recording.ends[recording.frames - 1] = place


def _tag(header: FrameHeader, content: bytes) -> Recording | None:
    """An empty recording with what the tag in a layer III frame says; None where there is none."""
    found = Recording(header, tag_bytes=header.size)
    if content[32:36] == b"VBRI":
        found.promised_bytes = int.from_bytes(content[42:46], "big")
        found.promised_frames = max(0, int.from_bytes(content[46:50], "big") - 1)
        return found
    place = header.side_info
    if content[place : place + 4] not in {b"Xing", b"Info"}:
        return None
    flags, place = content[place + 7], place + 8
    if flags & 1:
        found.promised_frames, place = int.from_bytes(content[place : place + 4], "big"), place + 4
    if flags & 2:
        found.promised_bytes, place = int.from_bytes(content[place : place + 4], "big"), place + 4
    place += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = content[place : place + 24]
    if flags & 1 and len(lame) == 24 and lame[0]:
        delays = int.from_bytes(lame[21:24], "big")
        found.delay = (delays >> 12) + DECODER_DELAY
        found.padding = max(0, (delays & 0xFFF) - DECODER_DELAY)
    return found


def _next_frame(file: BinaryIO, place: int, end: int) -> int:
    """Where the next frame starts that another one or the end follows; `end` where there is none."""
    while place + HEADER <= end:
        file.seek(place)
        window = file.read(min(SEARCH, end - place))
        if tag := id3_size(window):
            place += tag
            continue
        found = window.find(b"\xff")
        while 0 <= found <= len(window) - HEADER:
            header = FrameHeader.parse(window, found)
            if header and _is_followed(file, place + found, header, end):
                return place + found
            found = window.find(b"\xff", found + 1)
        place += max(1, len(window) - HEADER + 1)
    return end


def _is_followed(file: BinaryIO, place: int, header: FrameHeader, end: int) -> bool:
    """Whether a header of the same kind follows, or the file ends: four bytes alone are found anywhere."""
    after = place + header.size
    if after == end:
        return True
    file.seek(after)
    follows = FrameHeader.parse(file.read(HEADER))
    return follows is not None and follows.kind == header.kind
