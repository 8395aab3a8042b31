"""ImageNet weights, and the ResNet against torchvision's with the same weights."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from cslr_cli.checkpoints.imagenet import load_imagenet_weights
from cslr_cli.config import ModelConfig
from cslr_cli.errors import CheckpointError
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.corrnet import CorrNetBackbone
from cslr_cli.model.corrnet_plus import CorrNetPlusBackbone
from cslr_cli.model.network import build_network
from tests.model.batches import NETWORK_NAMES


@pytest.fixture(scope="module")
def torchvision_network() -> nn.Module:
    """Torchvision's ResNet-18 with statistics in its norms that are not those of a fresh one."""
    torch.manual_seed(0)
    network: nn.Module = resnet18(weights=None)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_mean") or (".bn" in name and name.endswith("bias")):
                value.normal_(0, 0.1)
            elif name.endswith("running_var") or (".bn" in name and name.endswith("weight")):
                value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def weights_file(torchvision_network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision_network.state_dict(), path)
    return path


def refused(path: Path | None, backbone: ResNet | None = None) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load_imagenet_weights(ResNet() if backbone is None else backbone, path)
    return caught.value


def saved(folder: Path, content: object) -> Path:
    path = folder / "own.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("size", [(64, 96), (112, 112), (224, 224)])
@pytest.mark.parametrize("kind", [ResNet, CorrNetBackbone, CorrNetPlusBackbone])
@torch.inference_mode()
def test_with_torchvision_s_weights_a_frame_has_torchvision_s_features(
    kind: type[ResNet], size: tuple[int, int], torchvision_network: nn.Module, weights_file: Path
) -> None:
    backbone = kind().eval()
    load_imagenet_weights(backbone, weights_file)
    pictures = torch.rand(3, 3, *size) * 2 - 1
    trunk = nn.Sequential(*list(torchvision_network.children())[:-1])  # all but the classifier
    clips = ClipLayout.from_lengths([2, 1], pictures.device)
    features = backbone(pictures.to(memory_format=torch.channels_last), clips)
    torch.testing.assert_close(features, trunk(pictures).flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [CorrNetBackbone, CorrNetPlusBackbone])
def test_every_tensor_of_the_trunk_is_loaded_and_nothing_else_changes(kind: type[ResNet], weights_file: Path) -> None:
    backbone = kind()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    load_imagenet_weights(backbone, weights_file)
    weights: dict[str, Tensor] = torch.load(weights_file, weights_only=True)
    own = backbone.state_dict()
    for name, value in weights.items():
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked"):
            assert torch.equal(own[name], value), name
    for name in own.keys() - weights.keys():
        assert name.startswith(("correlation.", "temporal_weighting.", "alpha"))
        assert torch.equal(own[name], before[name]), name


def test_a_file_without_counters_of_batches_loads_as_well(weights_file: Path, tmp_path: Path) -> None:
    weights = torch.load(weights_file, weights_only=True)
    old = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    backbone = ResNet()
    load_imagenet_weights(backbone, saved(tmp_path, old))
    assert torch.equal(backbone.state_dict()["layer4.1.conv2.weight"], weights["layer4.1.conv2.weight"])


# Wrong files


def test_weights_of_another_network_are_refused_with_the_first_tensor_that_is_wrong(
    weights_file: Path, tmp_path: Path
) -> None:
    weights = torch.load(weights_file, weights_only=True)
    del weights["layer2.0.conv1.weight"]
    weights["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    path = saved(tmp_path, weights)
    error = refused(path)
    assert error.message == f"{path}: not torchvision's ResNet-18"
    assert error.hint == (
        "2 of 100 tensors are missing or have another shape, first conv1.weight\nuse torchvision's resnet18 .pth file"
    )


def test_a_narrower_backbone_refuses_the_weights(weights_file: Path) -> None:
    assert "not torchvision's ResNet-18" in refused(weights_file, ResNet(width=8)).message


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"conv1.weight": 3}, {"state_dict": {}, "epoch": 1}])
def test_a_file_that_holds_no_weights_by_name_is_refused(tmp_path: Path, content: object) -> None:
    path = saved(tmp_path, content)
    assert refused(path).message.startswith(f"{path}: contains no named ")


@pytest.mark.parametrize(
    "content",
    [b"", b"weights", b"\x80\x02}q\x00.", b"\x80\x02U\xffab", b"\x80\x04X", b"PK\x03\x04 no zip", bytes(range(200))],
)
def test_a_file_that_torch_cannot_read_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(content)
    error = refused(path)
    assert str(path) in error.message
    assert str(error.hint).startswith("use torchvision's resnet18 .pth file")


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    whole, backbone = saved(tmp_path, {"conv1.weight": torch.zeros(2)}).read_bytes(), ResNet(width=1)
    for place in range(0, len(whole), 7):
        path = tmp_path / "damaged.pth"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert str(path) in refused(path, backbone).message


def test_loading_weights_runs_no_code_from_the_file(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (ran,)

    path = saved(tmp_path, {"conv1.weight": Harmful()})
    message = refused(path).message
    assert message == f"{path}: contains objects other than tensors and plain values; no code in it was run"
    assert not ran.exists()


def test_errors_distinguish_a_missing_file_from_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.pth").message == f"{tmp_path / 'no.pth'}: no such checkpoint"
    assert refused(tmp_path).message == f"{tmp_path}: a folder, not a checkpoint"


# Fetching


def no_network(*_: Any, **__: Any) -> NoReturn:
    raise URLError("Temporary failure in name resolution")


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    return tmp_path / "torch"


def place_named_in(error: CheckpointError) -> Path:
    """Where the message says that the file is to be put."""
    found = re.search(r"save torchvision's resnet18-f37072fd.pth as (.*),", str(error.hint))
    assert found
    return Path(found[1])


def test_without_a_network_the_message_says_which_file_to_put_where(torch_home: Path) -> None:
    error = refused(None)
    assert "cannot download the ImageNet weights" in error.message
    assert "Temporary failure in name resolution" in error.message
    assert place_named_in(error) == torch_home / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    assert "--backbone-weights FILE" in str(error.hint)
    assert "model.pretrained=false" in str(error.hint)
    assert [path.name for path in torch_home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_building_a_network_fetches_nothing(torch_home: Path, name: str) -> None:
    network = build_network(ModelConfig(name=name, hidden_size=2, pretrained=True), num_classes=3)
    assert network.backbone.conv1.weight.any()
    assert not torch_home.exists()


@pytest.mark.usefixtures("torch_home")
def test_the_file_at_the_place_in_the_message_is_used(weights_file: Path) -> None:
    place = place_named_in(refused(None))
    place.write_bytes(weights_file.read_bytes())
    backbone = ResNet()
    load_imagenet_weights(backbone, None)
    assert torch.equal(backbone.conv1.weight, torch.load(weights_file, weights_only=True)["conv1.weight"])


@pytest.mark.usefixtures("torch_home")
def test_a_wrong_file_in_the_cache_is_named() -> None:
    place = place_named_in(refused(None))
    place.write_bytes(b"<html>Please log in</html>")
    assert refused(None).message.startswith(f"{place}: not a checkpoint")


@pytest.mark.usefixtures("torch_home")
def test_a_download_with_the_wrong_hash_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = place_named_in(refused(None))
    page = tmp_path / "login.html"
    page.write_text("Please log in")

    def captive_portal(request: Any) -> Any:
        from urllib.request import urlopen

        assert request.full_url == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
        return urlopen(page.as_uri())

    monkeypatch.setattr(torch.hub, "urlopen", captive_portal)
    error = refused(None)
    assert "cannot download the ImageNet weights" in error.message
    assert "invalid hash" in error.message
    assert list(place.parent.iterdir()) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("torch_home")
def test_a_downloaded_file_is_checked_kept_and_not_downloaded_again(
    weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib
    from urllib.request import urlopen

    from torchvision.models import ResNet18_Weights

    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()[:8]
    source = tmp_path / f"resnet18-{digest}.pth"
    source.write_bytes(weights_file.read_bytes())
    monkeypatch.setattr(type(ResNet18_Weights.IMAGENET1K_V1), "url", source.as_uri(), raising=False)
    monkeypatch.setattr(torch.hub, "urlopen", lambda request: urlopen(request.full_url))
    for _ in range(2):
        backbone = ResNet()
        load_imagenet_weights(backbone, None)
        assert torch.equal(backbone.conv1.weight, torch.load(weights_file, weights_only=True)["conv1.weight"])
        source.unlink(missing_ok=True)
    assert (tmp_path / "torch" / "hub" / "checkpoints" / source.name).is_file()


def test_neither_a_network_nor_a_file_of_weights_needs_torchvision(weights_file: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from cslr_cli.checkpoints.imagenet import load_imagenet_weights
from cslr_cli.config import ModelConfig
from cslr_cli.model.network import build_network
network = build_network(ModelConfig(name="corrnet", hidden_size=2), num_classes=3)
load_imagenet_weights(network.backbone, Path({str(weights_file)!r}))
sys.exit("torchvision" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
