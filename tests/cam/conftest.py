"""A network whose scores are sums of brightness, and a video of a bright square."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cslr_cli.cam import CamOptions, Explanation, explain
from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.recognizer import Recognizer
from tests.cam.networks import brightness_network

# The middle of the square, in a frame of 210 × 260 pixels; the network sees x from 12 to 198, y from 15 to 245.
SQUARE = (150, 80)
SIDE = 24
NUM_FRAMES = 12


@pytest.fixture(scope="session")
def recognizer(tiny_checkpoint: Checkpoint) -> Recognizer:
    return Recognizer(tiny_checkpoint, device=torch.device("cpu"), precision="fp32")


@pytest.fixture(scope="session")
def square_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("square")
    frame = np.zeros((260, 210, 3), np.uint8)
    x, y = SQUARE
    frame[y - SIDE // 2 : y + SIDE // 2, x - SIDE // 2 : x + SIDE // 2] = 255
    for number in range(NUM_FRAMES):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame)
    return folder


@pytest.fixture
def square_explained(recognizer: Recognizer, square_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Explanation:
    """The explanation of two glosses by a network whose scores are sums of brightness."""
    see_brightness(monkeypatch)
    sentence = recognizer.checkpoint.vocabulary.glosses[:2]
    return explain(recognizer, square_clip, CamOptions(reference=sentence, layer="layer2"))


def see_brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every checkpoint have the network of brightness."""

    def build_network(checkpoint: Checkpoint) -> object:
        return brightness_network(checkpoint.vocabulary.num_classes)

    monkeypatch.setattr(Checkpoint, "build_network", build_network)
