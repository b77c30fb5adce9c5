"""Synthesize the digits corpus that this recipe ships in speech/: run by hand, and only to change the corpus.

Needs `espeak-ng` 1.51 and `flite` 2.2 on the PATH (Debian: `apt-get install espeak-ng flite`) and the `data` extra;
takes about a minute:

    python make_speech.py

Everything is drawn from one seed, so the same synthesizers give the same samples (the Ogg container adds a random
serial number). The recipe itself never calls this: `dataset/builder.py` unpacks what lies in speech/.
"""

import json
import logging
import random
import subprocess
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

log = logging.getLogger(__name__)

HERE = Path(__file__).parent / "speech"
SEED = 2026
RATE = 8000
GAP = 0.1
"""Seconds of silence between the utterances of a voice's file."""
COMPRESSION_LEVEL = 1.0
"""The most that libsndfile offers for Vorbis: about 13 kbit/s at 8 kHz, decoded at 6,000 times real time."""
WORDS = ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LENGTHS = range(2, 7)
PER_VOICE = {"train": 26, "valid": 20, "test": 25}

VOICES = {
    "train": [
        "espeak en-us",
        "espeak en-us+f2",
        "espeak en-us+f3",
        "espeak en-us+m3",
        "espeak en-us+m7",
        "espeak en-us+croak",
        "espeak en-us+klatt4",
        "espeak en-us-nyc+f5",
        "espeak en-us-nyc+m6",
        "espeak en-gb",
        "espeak en-gb+f4",
        "espeak en-gb+m1",
        "espeak en-gb+whisper",
        "espeak en-gb-x-rp",
        "espeak en-gb-x-rp+f3",
        "espeak en-gb-x-gbclan+m5",
        "espeak en-gb-x-gbcwmd+m1",
        "espeak en-gb-scotland+m2",
        "espeak en-gb-scotland+f5",
        "espeak en-029",
        "espeak en-029+f1",
        "flite kal",
        "flite awb",
        "flite slt",
    ],
    "valid": ["espeak en-us+m4", "espeak en-gb-scotland+f2", "espeak en-gb+m8"],
    "test": [
        "espeak en-us+f1",
        "espeak en-us-nyc+m2",
        "espeak en-gb+m6",
        "espeak en-gb-x-rp+f2",
        "espeak en-029+m1",
        "flite rms",
    ],
}
"""espeak-ng: accent+variant. Flite: kal is made of diphones, the other three are models of CMU ARCTIC speakers."""


@dataclass(frozen=True)
class Spoken:
    """One utterance: `start` and `duration` are seconds in the voice's file."""

    utt_id: str
    audio: str
    start: float
    duration: float
    text: str
    speaker: str


def main() -> None:
    """Write speech/<voice>.ogg and speech/{train,valid,test}.jsonl."""
    rng = random.Random(SEED)
    used: set[str] = set()
    HERE.mkdir(exist_ok=True)
    for split, voices in VOICES.items():
        spoken = [utterance for voice in voices for utterance in speak_all(voice, PER_VOICE[split], used, rng)]
        lines = [json.dumps(asdict(utterance)) + "\n" for utterance in spoken]
        (HERE / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        log.info("%s: %d utterances, %.0f s", split, len(spoken), sum(utterance.duration for utterance in spoken))


def speak_all(voice: str, count: int, used: set[str], rng: random.Random) -> list[Spoken]:
    """Speak `count` digit strings that nobody has said yet, one after the other into one file."""
    speaker = voice.replace(" ", "-").replace("+", "-").lower()
    spoken: list[Spoken] = []
    pieces: list[np.ndarray] = []
    silence, at = np.zeros(round(GAP * RATE), np.float32), 0
    for number in range(count):
        text = new_text(used, rng)
        samples = trim(speak(voice, text, rng)) * rng.uniform(0.25, 0.8)
        blank = Spoken(f"{speaker}-{number:03d}", f"{speaker}.ogg", 0.0, 0.0, text, speaker)
        spoken.append(replace(blank, start=at / RATE, duration=len(samples) / RATE))
        pieces += [samples, silence]
        at += len(samples) + len(silence)
    path = HERE / f"{speaker}.ogg"
    soundfile.write(
        path, np.concatenate(pieces), RATE, format="OGG", subtype="VORBIS", compression_level=COMPRESSION_LEVEL
    )
    return spoken


def new_text(used: set[str], rng: random.Random) -> str:
    """A digit string that is not in `used`, where it is added: no text is heard twice, in any split."""
    while (text := " ".join(rng.choices(WORDS, k=rng.choice(LENGTHS)))) in used:
        pass
    used.add(text)
    return text


def speak(voice: str, text: str, rng: random.Random) -> np.ndarray:
    """Samples (n,) float32 at RATE, of a random speaking rate and pitch."""
    synthesizer, name = voice.split()
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if synthesizer == "espeak":
            rate, pitch = rng.randint(105, 160), rng.randint(35, 65)
            command = ["espeak-ng", "-v", name, "-s", str(rate), "-p", str(pitch), "-w", file.name, text]
        else:
            stretch, pitch = rng.uniform(1.05, 1.4), round(rng.uniform(0.85, 1.2) * (180 if name == "slt" else 105))
            settings = [f"duration_stretch={stretch:.2f}", f"int_f0_target_mean={pitch}"]
            command = [
                "flite",
                "-voice",
                name,
                "--setf",
                settings[0],
                "--setf",
                settings[1],
                "-t",
                text,
                "-o",
                file.name,
            ]
        subprocess.run(command, check=True)
        samples, rate = soundfile.read(file.name, dtype="float32")
    return np.asarray(soxr.resample(samples, rate, RATE, quality="HQ"), np.float32)


def trim(samples: np.ndarray) -> np.ndarray:
    """Scale to a peak of 1 and cut the silence at both ends down to 50 ms; a whole number of milliseconds."""
    samples = samples / np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    margin = RATE // 20
    samples = samples[max(loud[0] - margin, 0) : loud[-1] + margin]
    return np.asarray(samples[: len(samples) // 8 * 8], np.float32)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
