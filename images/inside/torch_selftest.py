"""Prove in the build that the image's torch does what stages need: matrix products, CTC with gradients, STFT, and
gloo between two processes. `images.inside.install` runs it with the new environment's Python; a failure fails the
build.
"""

import argparse
import multiprocessing
import os
import socket

import torch
import torch.distributed
from torch.nn import functional as F


def check_matmul() -> None:
    """A matrix product agrees with the sum that defines it."""
    left, right = torch.rand(33, 65), torch.rand(65, 17)
    expected = (left[:, :, None] * right[None]).sum(1)
    torch.testing.assert_close(left @ right, expected, rtol=1e-4, atol=1e-4)


def check_ctc() -> None:
    """CTC of one symbol in two uniform frames has three paths of probability 1/9; and its gradient is finite."""
    logits = torch.zeros(2, 1, 3, requires_grad=True)
    loss = F.ctc_loss(
        logits.log_softmax(-1), torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1]), reduction="sum"
    )
    torch.testing.assert_close(loss, -torch.log(torch.tensor(3 / 9)))
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def check_stft() -> None:
    """A constant signal has all its power in bin 0."""
    power = torch.stft(torch.ones(64), 16, window=torch.ones(16), center=False, return_complex=True).abs()
    assert torch.allclose(power[0], torch.tensor(16.0))
    assert power[1:].max() < 1e-4


def check_gloo() -> None:
    """Two processes sum their ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_all_reduce, args=(rank, port)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0, 0]


def _all_reduce(rank: int, port: int) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    value = torch.tensor([rank + 1.0])
    torch.distributed.all_reduce(value)
    assert value.item() == 3.0
    torch.distributed.destroy_process_group()


def main() -> None:
    """Run all checks, and hold that a CPU image's torch sees no GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", choices=("cpu", "cuda"))
    device = parser.parse_args().device
    for check in (check_matmul, check_ctc, check_stft, check_gloo):
        check()
    assert device == "cuda" or not torch.cuda.is_available()


if __name__ == "__main__":
    main()
