"""Joint CTC and attention decoding on one thread: the part of real time that the search takes, beside the encoder.

The model has random weights and the size of a common one, 6 layers and 1,000 tokens. A random decoder would end at
once; here it may not, before as many tokens as are spoken in the time. Measured in a process of its own, as
`python -m bench.joint FILE`.
"""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.figure import Figure
from bench.process import run_python

SECONDS = (5, 15)
"""Lengths of the utterances."""
TOKENS_PER_SECOND = 4
VOCABULARY = 1000
BATCH = 8
"""Utterances that are decoded at once, to compare."""
LONGEST = 0.15
"""Part of real time that the search may take of one utterance after another."""
ROUNDS = 3


def measure(folder: Path) -> list[Figure]:
    """The search in utterances one by one, and in a batch of them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "joint.json"
    run_python(["-m", "bench.joint", str(file)])
    found = json.loads(file.read_text(encoding="utf-8"))
    return [
        *(
            Figure(
                f"joint decoding of {seconds} s, one by one", found[f"{seconds} x 1"], "x real time", LONGEST, "less"
            )
            for seconds in SECONDS
        ),
        *(
            Figure(f"joint decoding of {seconds} s, {BATCH} at once", found[f"{seconds} x {BATCH}"], "x real time")
            for seconds in SECONDS
        ),
    ]


def factors() -> dict[str, float]:
    """Seconds of the search for each second of speech, by length and number of utterances."""
    import torch

    from espnet3.systems.asr.decoding.joint_beam import JointBeamDecoder

    torch.set_num_threads(1)
    model = make_model()
    tokenizer = SimpleNamespace(symbols=["<blank>", "<unk>", *map(str, range(VOCABULARY - 3)), "<sos/eos>"], decode=str)
    preprocessor = SimpleNamespace(tokenizer=tokenizer)
    found = {}
    for seconds in SECONDS:
        for count in (1, BATCH):
            feats = torch.randn(count, 100 * seconds, 80, generator=torch.Generator().manual_seed(seconds))
            lengths = torch.full((count,), 100 * seconds)
            with torch.inference_mode():
                encoded = model.encode(feats, lengths)
                searched = SimpleNamespace(
                    encode=lambda *_, encoded=encoded: encoded,
                    ctc=model.ctc,
                    decoder=Talkative(model.decoder, seconds * TOKENS_PER_SECOND),
                )
                rounds = [timed(JointBeamDecoder(), searched, feats, lengths, preprocessor) for _ in range(ROUNDS)]
            found[f"{seconds} x {count}"] = min(rounds) / (seconds * count)
    return found


def make_model() -> Any:
    """A Conformer with joint outputs."""
    import torch

    from espnet3.systems.asr.models.joint import ConformerJoint

    torch.manual_seed(0)
    return ConformerJoint(80, VOCABULARY, size=256, num_layers=6, decoder_layers=6, decoder_feedforward=2048).eval()


class Talkative:
    """A decoder that ends no hypothesis before so many tokens, and each of them then."""

    def __init__(self, decoder: Any, count: int) -> None:
        self.decoder = decoder
        self.count = count
        self.start = decoder.start

    def step(self, tokens: Any, state: Any) -> Any:
        """See `espnet3.components.modeling.transformer_decoder.TransformerDecoder.step`."""
        log_probs, state = self.decoder.step(tokens, state)
        log_probs[..., -1] = -50.0 if state.count < self.count else 0.0
        return log_probs, state


def timed(decoder: Any, *arguments: Any) -> float:
    """Seconds of the processor that decoding takes."""
    start = time.process_time()
    decoder.decode_batch(*arguments)
    return time.process_time() - start


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(factors()), encoding="utf-8")
