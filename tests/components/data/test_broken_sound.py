"""Whatever happened to a sound file: it is read, as long as it was counted, or refused with a sentence."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from espnet3.components.data.audio import read_audio, whole_file
from espnet3.errors import DataError
from tests.components.data.odd_audio import encoded, flac, id3, mp3, ogg, pcm, rf64, sound, wav

PCM = pcm(sound(0.5))
FILES = {
    "WAV": wav(PCM),
    "RF64": rf64(PCM, len(PCM)),
    "FLAC": id3(20) + flac(0.5) + flac(0.3),
    "Vorbis": ogg("VORBIS", 0.5) * 2,
    "Opus": ogg("OPUS", 0.5),
    "MP3": id3(20) + mp3(0.5) + mp3(0.3, 1),
    **{kind: encoded(sound(0.5), format=kind, subtype="PCM_16") for kind in ("AIFF", "AU", "CAF", "W64", "NIST")},
}
SIZES = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0" * 8, b"\xff" * 8)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes changed, cut out or put in, most of them near the beginning, where the headers are."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, min(64, len(content))) | st.integers(0, len(content)))
        kind = draw(st.sampled_from(["change", "size", "cut out", "put in", "cut off"]))
        if kind == "change":
            content = content[:place] + draw(st.binary(min_size=1, max_size=2)) + content[place + 1 :]
        elif kind == "size":
            size = draw(st.sampled_from(SIZES))
            content = content[:place] + size + content[place + len(size) :]
        elif kind == "cut out":
            content = content[:place] + content[place + draw(st.integers(1, 500)) :]
        elif kind == "put in":
            content = content[:place] + draw(st.binary(min_size=1, max_size=50)) + content[place:]
        else:
            content = content[:place]
    return content


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_broken_file_is_read_or_refused(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / f"broken {name}"
    path.write_bytes(data.draw(damaged(FILES[name]), "content"))
    refusal = None
    try:
        utterance = whole_file("u", path, path.parent, "text", "speaker")
        audio, rate = read_audio(utterance, path.parent)
    except DataError as error:
        refusal = str(error)
    if refusal is None:
        assert len(audio) == round(utterance.duration * rate)
    else:
        assert refusal.startswith(str(path))
        assert refusal.endswith(".")
