from __future__ import annotations

import pytest
import torch

from cslr_cli.cam.layers import backbone_layers, default_layer, split_backbone
from cslr_cli.errors import UsageError
from cslr_cli.model.clips import ClipLayout
from tests.cam.networks import NAMES, BrightnessBackbone, random_network, random_pictures


@pytest.mark.parametrize("name", NAMES)
def test_the_two_parts_of_a_split_backbone_equal_the_whole(name: str) -> None:
    network = random_network(name)
    pictures = network.normalise_frames(torch.from_numpy(random_pictures(6)).permute(0, 3, 1, 2))
    whole = network.backbone(pictures, ClipLayout.from_lengths([6], pictures.device))
    for layer in backbone_layers(network.backbone):
        split = split_backbone(network.backbone, layer.name)
        torch.testing.assert_close(split.features(split.activations(pictures)), whole, msg=layer.name)


def test_layers_have_the_documented_names() -> None:
    names = [layer.name for layer in backbone_layers(random_network("corrnet").backbone)]
    stages = [f"layer{number}" for number in range(2, 5)]
    correlated = [name for stage in stages for name in (f"{stage}.0", stage, f"{stage}.correlated")]
    assert names == ["stem", "layer1.0", "layer1", *correlated]
    assert not any("correlated" in layer.name for layer in backbone_layers(random_network("vac").backbone))


def test_an_unknown_layer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"no layer 'Layer5'(.|\n)*did you mean layer\d\?(.|\n)*stem, layer1.0, layer1"
    ):
        split_backbone(random_network("vac").backbone, "Layer5")


def test_the_default_layer_is_the_deepest_one_with_fine_cells() -> None:
    backbone = random_network("corrnet").backbone
    # 14 cells of 16 pixels; 12 of 8; and at 64 pixels only the first stage has more than 10.
    assert [default_layer(backbone, size) for size in (224, 96, 64, 32)] == ["layer3", "layer2", "layer1.0", "layer1.0"]
    assert default_layer(BrightnessBackbone(), 64) == "layer1"  # its stages have one block
