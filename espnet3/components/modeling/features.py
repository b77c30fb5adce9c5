"""`LogMel` as a torch module, for a batch on any device.

For models that take audio, and for export; training and inference otherwise compute features in numpy, which is faster
on a processor. Both share one set of options, window and filterbank, so they agree to rounding.
"""

import torch
from torch import Tensor, nn

from espnet3.components.data.features import FLOOR, LogMel
from espnet3.errors import DataError


class TorchLogMel(nn.Module):
    """Log-mel filterbank energies of a batch of audio; the same values as `features` gives for each of them."""

    window: Tensor
    filterbank: Tensor

    def __init__(self, features: LogMel) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("window", torch.from_numpy(features.window_values), persistent=False)
        self.register_buffer("filterbank", torch.from_numpy(features.filterbank), persistent=False)

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn audio (B, n) into features (B, T, n_mels).

        `lengths` (B,) are in samples, those returned in frames. Frames beyond an utterance's length are zero.

        Raises:
            DataError: an utterance is empty.
        """
        if not lengths.numel() or int(lengths.min()) < 1:
            raise DataError("Features need at least one sample of audio in every utterance, but one is empty.")
        frame_lengths = self._num_frames(lengths)
        frames = self._frames(audio.float(), lengths, int(frame_lengths.max()))
        spectrum = torch.fft.rfft(frames, n=self.features.fft_size)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        energies = (power @ self.filterbank).clamp_min(FLOOR).log()
        outside = torch.arange(energies.shape[1], device=lengths.device) >= frame_lengths[:, None]
        return energies.masked_fill(outside[..., None], 0.0), frame_lengths

    def _num_frames(self, samples: Tensor) -> Tensor:
        length, shift = self.features.length, self.features.shift
        if self.features.snip_edges:
            return 1 + (samples - length).clamp_min(0) // shift
        return ((samples + shift // 2) // shift).clamp_min(1)

    def _frames(self, audio: Tensor, lengths: Tensor, count: int) -> Tensor:
        """Windowed frames (B, count, length)."""
        length, shift = self.features.length, self.features.shift
        frames = self._pad(audio, lengths, (count - 1) * shift + length).unfold(1, length, shift)
        if self.features.remove_dc_offset:
            frames = frames - frames.mean(dim=-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        return (frames - self.features.preemphasis * before) * self.window

    def _pad(self, audio: Tensor, lengths: Tensor, needed: int) -> Tensor:
        """Audio (B, needed): zeros after each utterance, or its mirror image where edges are not snipped."""
        positions = torch.arange(needed, device=audio.device)
        ends = lengths[:, None]
        if self.features.snip_edges:
            source = positions.expand(len(audio), -1)
            return audio.gather(1, source.clamp_max(audio.shape[1] - 1)).masked_fill(source >= ends, 0.0)
        source = (positions - (self.features.length // 2 - self.features.shift // 2)).remainder(2 * ends)
        return audio.gather(1, torch.minimum(source, 2 * ends - 1 - source))
