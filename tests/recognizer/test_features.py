from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.dataset.collate import single_clip_batch
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError
from cslr_cli.recognizer import ReadOptions, Recognizer
from cslr_cli.recognizer.features import (
    describes_same_network,
    extract_features,
    join_features,
    sample_features,
    write_description,
    write_features,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recognizer(tiny_checkpoint: Checkpoint) -> Recognizer:
    return Recognizer(tiny_checkpoint, device=CPU, precision="fp32")


def test_features_are_the_activations_that_lead_to_the_logits(
    recognizer: Recognizer, tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus
) -> None:
    network = tiny_checkpoint.build_network()
    for sample in tiny_corpus.samples("dev"):
        features = sample_features(recognizer, tiny_corpus, sample)
        clip = recognizer.read(tiny_corpus.frames_path(sample))
        batch = single_clip_batch(clip.pictures, network.plan, sample.sample_id)
        with torch.inference_mode():
            output = network(batch.frames, batch.frame_lengths)
            backbone = network.frame_features(batch.frames, batch.frame_lengths)[0, network.plan.left_padding :]
            # The classifier over the steps gives the convolution's logits.
            logits = network.classifier(torch.from_numpy(features.step_features))
        np.testing.assert_allclose(features.frame_features, backbone[: sample.num_frames].numpy(), atol=1e-4, rtol=1e-3)
        np.testing.assert_allclose(logits.numpy(), output.conv_logits[0].numpy(), atol=1e-4, rtol=1e-3)
        assert features.glosses == sample.glosses
        assert features.signer == sample.signer


def test_frames_and_steps_have_their_times(recognizer: Recognizer, tiny_corpus: PreparedCorpus) -> None:
    path = tiny_corpus.frames_path(tiny_corpus.samples("dev")[0])
    features = extract_features(recognizer, recognizer.open(path, ReadOptions(start=0.2, end=1.0)))
    assert features.frame_times[0] == pytest.approx((0.2, 0.24))
    assert features.frame_times[-1] == pytest.approx((0.96, 1.0))
    assert len(features.frame_features) == len(features.frame_times) == 20
    assert len(features.step_features) == len(features.step_times) == 5
    # A step begins with its first frame and ends with its fourth.
    np.testing.assert_allclose(features.step_times[:, 0], features.frame_times[::4, 0])
    np.testing.assert_allclose(features.step_times[:, 1], features.frame_times[3::4, 1])


def test_a_file_per_split_contains_the_same_as_files_per_clip(
    recognizer: Recognizer, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    clips = [tmp_path / "dev" / f"{sample.sample_id}.npz" for sample in tiny_corpus.samples("dev")]
    for clip_file, sample in zip(clips, tiny_corpus.samples("dev"), strict=True):
        write_features(sample_features(recognizer, tiny_corpus, sample), clip_file)
    counts = join_features(clips, tmp_path / "dev.npz")
    split = np.load(tmp_path / "dev.npz")  # without pickles
    assert split["sample_ids"].tolist() == [sample.sample_id for sample in tiny_corpus.samples("dev")]
    for place, sample in enumerate(tiny_corpus.samples("dev")):
        clip = np.load(tmp_path / "dev" / f"{sample.sample_id}.npz")
        assert clip["sample_id"] == sample.sample_id
        assert clip["glosses"].tolist() == split["glosses"][place].split(" ") == list(sample.glosses)
        assert clip["signer"] == split["signers"][place] == sample.signer
        for kind in ("frame", "step"):
            own = slice(*split[f"{kind}_starts"][place : place + 2])
            np.testing.assert_array_equal(split[f"{kind}_features"][own], clip[f"{kind}_features"])
            np.testing.assert_array_equal(split[f"{kind}_times"][own], clip[f"{kind}_times"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev", "dev.npz"]
    assert counts == (len(split["frame_features"]), len(split["step_features"]))
    assert {name: split[name].dtype.str for name in ("frame_features", "step_times", "frame_starts")} == {
        "frame_features": "<f4",
        "step_times": "<f8",
        "frame_starts": "<i8",
    }


def test_the_folder_describes_its_network(recognizer: Recognizer, tmp_path: Path) -> None:
    write_description(recognizer, "best.pt", tmp_path)
    description = json.loads((tmp_path / "features.json").read_text())
    assert description["frames_per_step"] == 4
    assert description["fps"] == 25.0
    assert description["network"] == "corrnet"
    assert (description["frame_feature_size"], description["step_feature_size"]) == (64, 16)


def test_a_folder_knows_the_features_of_another_network(
    recognizer: Recognizer, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    assert describes_same_network(recognizer, tmp_path)
    write_description(recognizer, "best.pt", tmp_path)
    assert describes_same_network(recognizer, tmp_path)
    weights = {name: value + 1 for name, value in tiny_checkpoint.weights.items()}
    other = Recognizer(dataclasses.replace(tiny_checkpoint, weights=weights), device=CPU, precision="fp32")
    assert not describes_same_network(other, tmp_path)
    of_version_0_1 = json.loads((tmp_path / "features.json").read_text())
    del of_version_0_1["fingerprint"], of_version_0_1["schema_version"]
    (tmp_path / "features.json").write_text(json.dumps(of_version_0_1))
    assert describes_same_network(other, tmp_path)
    (tmp_path / "features.json").write_text("no JSON")
    assert not describes_same_network(recognizer, tmp_path)


def test_a_corpus_with_frames_of_another_size_is_refused(
    tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus
) -> None:
    other = dataclasses.replace(tiny_checkpoint.corpus, frame_size=40)
    recognizer = Recognizer(dataclasses.replace(tiny_checkpoint, corpus=other), device=CPU, precision="fp32")
    with pytest.raises(DataError, match="36 pixels"):
        sample_features(recognizer, tiny_corpus, tiny_corpus.samples("dev")[0])


def test_an_unwritable_output_is_an_error(recognizer: Recognizer, tiny_corpus: PreparedCorpus, tmp_path: Path) -> None:
    features = sample_features(recognizer, tiny_corpus, tiny_corpus.samples("dev")[0])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        write_features(features, tmp_path / "file" / "clip.npz")
    write_features(features, tmp_path / "clip.npz")
    with pytest.raises(DataError, match="cannot be written"):
        join_features([tmp_path / "clip.npz"], tmp_path / "file" / "dev.npz")
    with pytest.raises(DataError, match="cannot be written"):
        write_description(recognizer, "best.pt", tmp_path / "file")
