#!/usr/bin/env python3
"""A training step of every network against PyTorch's: `mrisynth-train bench` and the same networks in PyTorch, in turns.

    benches/training.py [--backend tch] [--device cpu] [--window 256] [--batch 1] [--divisor 1] [--rounds 5]
                        [--seconds 0.5] [--network NAME] [--peak TFLOPS] [--command target/release/mrisynth-train]

A step is forward, the mean of a loss, backward and Adam, on the same sizes: the generators' loss is L1, the
discriminators' hinge. PyTorch runs its own convolutions, in float32 (TF32 on a GPU, as burn's) and with bfloat16 autocast;
ours native convolutions and products of matrices. Rounds take turns, so that what else the machine does strikes both
alike; medians and their ratio are printed (above 1: ours is faster).

PyTorch is the one of the Python that runs this script; where it has none, one in a virtual environment, target/peers-torch,
made on the first call (some 3 GB to download).
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "target" / "peers-torch"
PACKAGES = ["torch==2.9.0", "numpy==2.2.6"]
NETWORKS = [
    "residual-transposed",
    "residual-resize",
    "unet-transposed",
    "unet-resize",
    "light",
    "patchgan",
    "patchgan-spectral",
]
PRECISIONS = ["float32", "bfloat16"]


def in_peers_environment():
    """Starts this script again in the virtual environment, which it makes first, unless PyTorch is here."""
    if importlib.util.find_spec("torch"):
        return
    python, complete = PEERS / "bin" / "python", PEERS / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        complete.touch()
    os.execv(python, [python, *sys.argv])


def make_networks(torch, divisor):
    """Constructors of the networks of training/src/network, and their number of channels in."""
    nn, functional = torch.nn, torch.nn.functional

    def narrowed(widths):
        return [max(width // divisor, 1) for width in widths]

    def normalized(layer, channels):
        return nn.Sequential(layer, nn.InstanceNorm2d(channels, affine=True))

    def doubling(kind, channels_in, channels_out, kernel, bias=False):
        if kind == "resize":
            convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)
            return nn.Sequential(nn.Upsample(scale_factor=2), convolution)
        return nn.ConvTranspose2d(
            channels_in, channels_out, kernel, 2, 1, output_padding=4 - kernel, bias=bias
        )

    class Block(nn.Module):
        def __init__(self, width, convolution):
            super().__init__()
            self.first, self.second = convolution(width), convolution(width)

        def forward(self, value):
            return value + self.second(functional.relu(self.first(value)))

    def residual(kind):
        widths = narrowed([64, 128, 256, 512, 512])

        def mirrored(channels_in, channels_out, kernel, bias=False):
            return nn.Conv2d(
                channels_in, channels_out, kernel, padding=kernel // 2, padding_mode="reflect", bias=bias
            )

        layers = [normalized(mirrored(1, widths[0], 7), widths[0]), nn.ReLU()]
        for above, below in zip(widths, widths[1:]):
            convolution = nn.Conv2d(above, below, 3, 2, 1, bias=False)
            layers += [normalized(convolution, below), nn.ReLU()]
        layers += [
            Block(widths[-1], lambda width: normalized(mirrored(width, width, 3), width)) for _ in range(9)
        ]
        for above, below in reversed(list(zip(widths, widths[1:]))):
            layers += [normalized(doubling(kind, below, above, 3), above), nn.ReLU()]
        return nn.Sequential(*layers, mirrored(widths[0], 1, 7, bias=True), nn.Sigmoid())

    class Unet(nn.Module):
        def __init__(self, kind):
            super().__init__()
            widths = narrowed([64, 128, 256, 512, 512, 512, 512, 512])
            self.down, self.up = nn.ModuleList(), nn.ModuleList()
            channels = 1
            for level, width in enumerate(widths):
                inside = 0 < level < len(widths) - 1
                convolution = nn.Conv2d(channels, width, 4, 2, 1, bias=not inside)
                self.down.append(normalized(convolution, width) if inside else convolution)
                channels = width
            for level in reversed(range(len(widths) - 1)):
                channels = widths[level + 1] * (1 if level + 2 == len(widths) else 2)
                layer = doubling(kind, channels, widths[level], 4)
                self.up.append(normalized(layer, widths[level]))
            self.head = doubling(kind, 2 * widths[0], 1, 4, bias=True)

        def forward(self, value):
            skips = [self.down[0](value)]
            for down in self.down[1:]:
                skips.append(down(functional.leaky_relu(skips[-1], 0.2)))
            value = skips.pop()
            for up in self.up:
                value = torch.cat([skips.pop(), up(functional.relu(value))], 1)
            return torch.sigmoid(self.head(functional.relu(value)))

    class Light(nn.Module):
        def __init__(self):
            super().__init__()
            widths = narrowed([32, 64, 128, 256])

            def convolution(channels_in, channels_out, kernel=3, stride=1):
                return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)

            pairs = list(zip(widths, widths[1:]))
            self.stem = nn.ModuleList([convolution(12, widths[0]), convolution(widths[0], widths[0])])
            self.down = nn.ModuleList([convolution(above, below, 3, 2) for above, below in pairs])
            self.refine = nn.ModuleList([convolution(width, width) for width in widths[1:3]])
            self.residual = nn.ModuleList([Block(widths[3], lambda w: convolution(w, w)) for _ in range(2)])
            self.up = nn.ModuleList([convolution(below, 4 * above, 1) for above, below in reversed(pairs)])
            self.merge = nn.ModuleList([convolution(width, width) for width in reversed(widths[:3])])
            self.head = convolution(widths[0], 4)

        def forward(self, value):
            value = functional.pixel_unshuffle(value, 2)
            for stem in self.stem:
                value = functional.relu(stem(value))
            skips = []
            for level, down in enumerate(self.down):
                skips.append(value)
                value = functional.relu(down(value))
                if level < len(self.refine):
                    value = functional.relu(self.refine[level](value))
            for block in self.residual:
                value = block(value)
            for up, merge in zip(self.up, self.merge):
                value = functional.pixel_shuffle(up(value), 2) + skips.pop()
                value = functional.relu(merge(value))
            return functional.pixel_shuffle(self.head(value), 2)

    def patchgan(spectral):
        constrain = torch.nn.utils.parametrizations.spectral_norm if spectral else lambda layer: layer
        layers, channels = [], 1
        for level, width in enumerate(narrowed([64, 128, 256, 512])):
            convolution = constrain(nn.Conv2d(channels, width, 4, 2, 1, bias=level == 0))
            layers += [normalized(convolution, width) if level else convolution, nn.LeakyReLU(0.2)]
            channels = width
        last = constrain(nn.Conv2d(channels, 1, 4))
        return nn.Sequential(*layers, nn.ZeroPad2d((1, 2, 1, 2)), last)

    return {
        "residual-transposed": (lambda: residual("transposed"), 1),
        "residual-resize": (lambda: residual("resize"), 1),
        "unet-transposed": (lambda: Unet("transposed"), 1),
        "unet-resize": (lambda: Unet("resize"), 1),
        "light": (Light, 3),
        "patchgan": (lambda: patchgan(False), 1),
        "patchgan-spectral": (lambda: patchgan(True), 1),
    }


class Torch:
    """PyTorch's side: a network kept with its optimizer."""

    def __init__(self, torch, arguments, name, precision):
        make, channels = make_networks(torch, arguments.divisor)[name]
        self.torch, self.device, self.precision = torch, arguments.device, precision
        self.generator = not name.startswith("patchgan")
        self.network = make().to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        size = (arguments.window, arguments.window)
        self.input = torch.rand(arguments.batch, channels, *size, device=self.device)
        self.target = torch.rand(arguments.batch, 1, *size, device=self.device)
        for _ in range(2):
            self.step()
        began = time.perf_counter()
        self.step()
        self.synchronize()
        self.steps = int(min(max(arguments.seconds / (time.perf_counter() - began), 1), 1000))

    def synchronize(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def step(self):
        torch = self.torch
        autocast = torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")
        with autocast:
            output = self.network(self.input)
        output = output.float()
        loss = (output - self.target).abs().mean() if self.generator else torch.relu(1 - output).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def turn(self):
        """Steps a second."""
        self.synchronize()
        began = time.perf_counter()
        for _ in range(self.steps):
            self.step()
        self.synchronize()
        return self.steps / (time.perf_counter() - began)


def our_turn(arguments, network, path):
    """Steps a second by arithmetic, and the operations of a step."""
    command = [arguments.command, "bench", "--backend", arguments.backend, "--network", network, "--rounds", "1"]
    command += ["--window", str(arguments.window), "--batch", str(arguments.batch)]
    command += ["--divisor", str(arguments.divisor), "--seconds", str(arguments.seconds), "--json", path]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [line for line in json.loads(pathlib.Path(path).read_text()) if line["network"] == network]
    rates = {line["arithmetic"]: line["steps_per_second"] for line in lines}
    return rates, lines[0]["operations"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", default=ROOT / "target" / "release" / "mrisynth-train")
    parser.add_argument("--backend", default="tch", choices=["cpu", "tch", "cuda"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--divisor", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--network", default="", help="only networks whose name holds this")
    parser.add_argument("--peak", type=float, help="what the device computes at best, in TFLOP/s")
    arguments = parser.parse_args()
    in_peers_environment()
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{torch.get_num_threads()} threads"
    print(
        f"backend {arguments.backend}, PyTorch {torch.__version__} on {arguments.device} ({device}), "
        f"{arguments.window} x {arguments.window} voxels, batch {arguments.batch}, channels divided by "
        f"{arguments.divisor}, medians of {arguments.rounds} rounds in turns\n"
    )
    print("| Network | Ours by | Steps/s | TFLOP/s | PyTorch steps/s | TFLOP/s | Ours / PyTorch |")
    print("|---|---|---|---|---|---|---|")
    for network in (name for name in NETWORKS if arguments.network in name):
        compare(torch, arguments, network)


def compare(torch, arguments, network):
    """Prints a network's rows."""
    peers = {precision: Torch(torch, arguments, network, precision) for precision in PRECISIONS}
    ours, theirs = {}, {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            rates, operations = our_turn(arguments, network, os.path.join(folder, "figures.json"))
            for arithmetic, rate in rates.items():
                ours.setdefault(arithmetic, []).append(rate)
            for precision, peer in peers.items():
                theirs[precision].append(peer.turn())
    for arithmetic, rates in ours.items():
        their = statistics.median(theirs[arithmetic.split()[-1]])
        if None in rates:
            print(f"| {network} | {arithmetic} | fails | | {their:.2f} | | |", flush=True)
            continue
        our = statistics.median(rates)

        def teraflops(rate):
            value = rate * operations * 1e-12
            return f"{value:.3f}" + (f" ({100 * value / arguments.peak:.1f} %)" if arguments.peak else "")

        print(
            f"| {network} | {arithmetic} | {our:.2f} | {teraflops(our)} | {their:.2f} | {teraflops(their)} "
            f"| {our / their:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
