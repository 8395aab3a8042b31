"""How much of a heat map lies on the signing hand, on the synthetic corpus, which contains the hands' true positions.

    python -m benchmarks.cam                        # in the folder where cslr quickstart has run
    python -m benchmarks.cam --clips 60 --untrained 3

For each correctly recognised gloss and each layer, this measures the share of the map's mass within 0.1 picture
widths of the dominant hand, in the frames in which the gloss is signed. The same is measured for untrained networks
(the same architecture with random weights, aligned to the same sentence) and for a uniform map over the network's
input. The table shows the mean over all glosses; blank maps are left out.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from cslr_cli.cam.clip_maps import ClipMaps
from cslr_cli.cam.explanation import Maps, resize_maps
from cslr_cli.cam.layers import backbone_layers
from cslr_cli.cam.options import CamMethod
from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.choices import Head
from cslr_cli.corpora.synthetic.body import FRAME_HEIGHT, FRAME_WIDTH
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.decoding.decoders import decoder_from_config
from cslr_cli.decoding.gloss_timing import retime_glosses, time_glosses, to_timed_glosses
from cslr_cli.media.clip_plan import apply_clip_plan, make_evaluation_plan
from cslr_cli.media.frame_fit import Box, FrameFit
from cslr_cli.media.frames import open_frames
from cslr_cli.model.network import Network, build_network
from cslr_cli.scoring import TimedGloss

# Size of the synthetic corpus' original pictures, pixels.
WIDTH, HEIGHT = FRAME_WIDTH, FRAME_HEIGHT
# Radius of the circle around a hand's centre, relative to the width of the picture: about the size of a hand.
HAND_RADIUS = 0.1
# Maximum distance between the middles of the signed and the recognised gloss, seconds.
MAX_DISTANCE = 0.4
UNIFORM = "uniform over the network's input"


@dataclass(frozen=True)
class SignedGloss:
    """A correctly recognised gloss of a clip.

    Attributes:
        index: position in the recognised sentence.
        frames: network frames in which it is signed.
        hand: float64 (n, 2), x and y of the dominant hand in these frames, pixels of the original picture.
    """

    index: int
    frames: range
    hand: NDArray[np.float64]


def find_signed_glosses(
    truth: Mapping[str, Any], recognized: Sequence[TimedGloss], interval: int
) -> Iterator[SignedGloss]:
    """Find the recognised glosses that are signed at about the same time.

    Args:
        truth: line of `truth.jsonl` for the clip.
        recognized: recognised glosses of the clip.
        interval: the network sees every n-th frame.
    """
    hand = np.array(truth["hands"]["dominant"], np.float64) * np.array([WIDTH, HEIGHT], np.float64)
    for index, timed in enumerate(recognized):
        for signed in truth["glosses"]:
            apart = abs(signed["start"] + signed["end"] - timed.start - timed.end) / 2
            if signed["gloss"] == timed.gloss and apart < MAX_DISTANCE:
                first, end = (math.ceil(signed[edge] * truth["fps"] / interval) for edge in ("start", "end"))
                yield SignedGloss(index, range(first, end), hand[first * interval : end * interval : interval])


def share_near(maps: Maps, places: NDArray[np.float64], radius: float) -> float | None:
    """Compute the share of the mass of maps that lies within a circle around a place, one place per map.

    Args:
        maps: float32 (n, H, W), not negative, over whole pictures.
        places: float64 (n, 2), x and y of the centre of each circle, pixels.
        radius: radius of the circles, pixels.

    Returns:
        0 to 1, for all maps together; None if all maps are blank.
    """
    height, width = maps.shape[1:]
    dx = np.arange(width) + 0.5 - places[:, :1]  # (n, W)
    dy = np.arange(height) + 0.5 - places[:, 1:]  # (n, H)
    is_near = dy[:, :, None] ** 2 + dx[:, None, :] ** 2 <= radius**2
    mass = float(maps.sum(dtype=np.float64))
    return float(maps[is_near].sum(dtype=np.float64)) / mass if mass else None


class Shares:
    """Measured shares by map and network."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._shares: dict[tuple[str, str], list[float | None]] = defaultdict(list)
        self.cells: dict[str, str] = {}

    def add(self, name: str, kind: str, maps: NDArray[np.float32], signed: SignedGloss, box: Box | None = None) -> None:
        """Add the share of a gloss' maps (n, h, w), which cover the network's input or another box."""
        placed = resize_maps(maps, box or self._box, HEIGHT, WIDTH)
        self._shares[name, kind].append(share_near(placed, signed.hand, HAND_RADIUS * WIDTH))
        self.cells[name] = f"{maps.shape[1]}×{maps.shape[2]}"

    def mean(self, name: str, kind: str) -> float:
        """Return the mean share; NaN if all maps are blank."""
        shares = [share for share in self._shares[name, kind] if share is not None]
        return float(np.mean(shares)) if shares else math.nan

    def blank(self, name: str, kind: str) -> float:
        """Return the share of glosses whose maps are blank."""
        shares = self._shares[name, kind]
        return sum(share is None for share in shares) / max(1, len(shares))


def measure(
    shares: Shares,
    clip: ClipMaps,
    kind: str,
    head: Head,
    glosses: Sequence[SignedGloss],
    gloss_ids: tuple[int, ...],
) -> None:
    """Measure all maps of one clip in one network."""
    (aligned,) = time_glosses(clip.log_probs(head), [(gloss_ids, 0.0)])
    layers = [layer.name for layer in backbone_layers(clip.network.backbone)]
    gates = {stage: np.maximum(clip.identification_maps(stage), 0) for stage in clip.stages}
    for signed in glosses:
        gradient = clip.score_gradient(head, gloss_ids[signed.index], aligned.steps[signed.index])
        for layer in layers:
            for method in get_args(CamMethod):
                maps = clip.heat_maps(gradient, signed.frames, layer, method)
                shares.add(f"{method} {layer}", kind, maps, signed)
        for stage, gate in gates.items():
            shares.add(f"identification {stage}", kind, gate[signed.frames.start : signed.frames.stop], signed)
        even = np.ones((len(signed.frames), 1, 1), np.float32)
        shares.add(UNIFORM, kind, even, signed)
        shares.add("uniform over the whole frame", kind, even, signed, Box(0, 0, WIDTH, HEIGHT))


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("runs/quickstart/best.pt"), help="checkpoint of cslr quickstart"
    )
    parser.add_argument("--corpus", type=Path, default=Path("prepared/synthetic"), help="prepared corpus")
    parser.add_argument("--truth", type=Path, default=Path("dataset/synthetic/truth.jsonl"), help="truth of the corpus")
    parser.add_argument("--clips", type=int, default=60, help="number of clips of the test split")
    parser.add_argument("--untrained", type=int, default=2, help="number of networks with random weights")
    parser.add_argument("--head", choices=get_args(Head), default="sequence", help="head that the maps explain")
    arguments = parser.parse_args()
    lines = arguments.truth.read_text(encoding="utf-8").splitlines()
    truth = {line["sample_id"]: line for line in map(json.loads, lines)}
    corpus, checkpoint = PreparedCorpus.open(arguments.corpus), load_checkpoint(arguments.checkpoint)
    config = checkpoint.config
    networks: list[tuple[str, Network]] = [("trained", checkpoint.build_network())]
    for seed in range(arguments.untrained):
        torch.manual_seed(seed)
        fresh = build_network(checkpoint.config.model, checkpoint.vocabulary.num_classes).eval()
        networks.append(("untrained", fresh))
    shares = Shares(FrameFit(corpus.frame_size, config.data).visible_box(WIDTH, HEIGHT))
    decoder, interval = decoder_from_config(config.decoding, checkpoint.vocabulary), config.data.frame_interval
    for sample in corpus.samples("test")[: arguments.clips]:
        source = open_frames(corpus.frames_path(sample))
        plan = make_evaluation_plan(source.num_frames, corpus.frame_size, config.data)
        pictures = apply_clip_plan(source.read(plan.indices), plan, config.data)
        clips = [(kind, ClipMaps(network, pictures)) for kind, network in networks]
        hypothesis = decoder.decode(clips[0][1].log_probs(arguments.head))[0]
        times = clips[0][1].network.plan.step_times(source.num_frames, corpus.fps, interval)
        (signed_at,) = retime_glosses([hypothesis], clips[0][1].log_probs("conv"))
        recognized = to_timed_glosses(signed_at, checkpoint.vocabulary, times)
        signed = list(find_signed_glosses(truth[sample.sample_id], recognized, interval))
        for kind, clip in clips:
            measure(shares, clip, kind, arguments.head, signed, hypothesis.gloss_ids)
    print_table(shares)


def print_table(shares: Shares) -> None:
    """Print the table of `docs/cam.md`, one row per map."""
    uniform = shares.mean(UNIFORM, "trained")
    print("| map | cells | trained | × uniform | untrained | × uniform | blank, trained and untrained |")
    print("|---|---|---|---|---|---|---|")
    for name, cells in shares.cells.items():
        row = [name, cells]
        for kind in ("trained", "untrained"):
            share = shares.mean(name, kind)
            row += ["–", "–"] if math.isnan(share) else [f"{share:.1%}", f"{share / uniform:.2f}"]
        row.append(", ".join(f"{shares.blank(name, kind):.0%}" for kind in ("trained", "untrained")))
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
