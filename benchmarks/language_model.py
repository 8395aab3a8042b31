"""Gain of a language model where the network is uncertain.

    cslr quickstart
    python -m benchmarks.language_model

In the synthetic corpus all pairs of adjacent glosses are about equally frequent, and the network is certain of its
clips, so a language model cannot help. In this benchmark the same signers sign forecasts, in which most glosses are
followed by their usual follower, with camera noise; the network has seen neither in training. A bigram model is made
from other forecasts (without the sentences of dev and test). Its weights are tuned on dev as with
`cslr evaluate --tune-lm`, and results are reported on test. For comparison there are a model of the training sentences
and a uniform model, which can gain only by its gloss bonus.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from shutil import copy2, copytree
from tempfile import TemporaryDirectory

import numpy as np
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.checkpoints.corpus_origin import find_corpus
from cslr_cli.config import changed_decoding
from cslr_cli.corpora.preparation.clip_writer import ClipFormat, write_clip
from cslr_cli.corpora.synthetic.body import find_joints
from cslr_cli.corpora.synthetic.drawing import draw_clip
from cslr_cli.corpora.synthetic.grammar import PATTERNS, SHARE_OF_LENGTH
from cslr_cli.corpora.synthetic.lexicon import SIGN_OF_GLOSS
from cslr_cli.corpora.synthetic.motion import perform
from cslr_cli.corpora.synthetic.options import SyntheticOptions, named_generator
from cslr_cli.corpora.synthetic.plan import SyntheticClip
from cslr_cli.corpora.synthetic.scene import make_scene
from cslr_cli.corpora.synthetic.signer import make_signers
from cslr_cli.dataset.manifest import PreparedCorpus, references_path, write_samples
from cslr_cli.dataset.sample import Sample
from cslr_cli.evaluation import evaluate, tune_language_model
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.frames import open_frames
from cslr_cli.scoring.comparison import compare

SPLITS = ("dev", "test")
USUAL_SHARE = 0.8  # share of glosses that are followed by their usual follower
NUM_TEXTS = 2000  # forecasts in the training text
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
_NEVER = -99.0  # logarithm of zero in ARPA files

Sentences = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Gain:
    """Result of one language model at one noise level.

    Attributes:
        noise: standard deviation of the noise, grey levels.
        model: name of the language model.
        lm_weight: weight tuned on dev.
        gloss_bonus: bonus tuned on dev.
        dev_wer: WER on dev, percent.
        test_wer: WER on test, percent.
        better: number of test clips with fewer errors than without a language model.
        worse: number of test clips with more errors.
        p: p-value of the matched-pairs test on test; None if the test is not applicable.
    """

    noise: float
    model: str
    lm_weight: float | None
    gloss_bonus: float | None
    dev_wer: float
    test_wer: float
    better: int = 0
    worse: int = 0
    p: float | None = None


def bigram_arpa(sentences: Sentences) -> str:
    """Return a bigram model in ARPA format with Witten-Bell smoothing (1991).

    If n followers of a gloss were seen, T of them different, a follower's probability is (its count + T times its
    unigram probability) / (n + T). Unseen followers get their unigram probability times the backoff weight.
    """
    unigrams: Counter[str] = Counter()
    followers: dict[str, Counter[str]] = {}
    for sentence in sentences:
        unigrams.update((*sentence, END))
        for gloss, follower in pairwise((BEGIN, *sentence, END)):
            followers.setdefault(gloss, Counter())[follower] += 1
    total = unigrams.total() + len(unigrams)
    unigram = {gloss: number / total for gloss, number in unigrams.items()}
    ones = [(UNKNOWN, math.log10(len(unigrams) / total), 0.0), (BEGIN, _NEVER, _backoff(followers[BEGIN]))]
    ones += [
        (gloss, math.log10(unigram[gloss]), _backoff(followers[gloss]) if gloss in followers else 0.0)
        for gloss in sorted(unigram)
    ]
    twos = [
        (
            f"{gloss} {follower}",
            math.log10((number + len(after) * unigram[follower]) / (after.total() + len(after))),
        )
        for gloss, after in sorted(followers.items())
        for follower, number in sorted(after.items())
    ]
    return _arpa([f"{value:.6f}\t{gloss}\t{backoff:.6f}" for gloss, value, backoff in ones], twos)


def _backoff(after: Counter[str]) -> float:
    """Return the log-probability that a new follower comes after a gloss with these followers."""
    return math.log10(len(after) / (after.total() + len(after)))


def uniform_arpa(glosses: Sequence[str]) -> str:
    """Return a model in which all glosses and the end of the sentence have the same probability."""
    value = -math.log10(len(glosses) + 2)
    ones = [f"{value:.6f}\t{gloss}" for gloss in (UNKNOWN, *glosses, END)] + [f"{_NEVER:g}\t{BEGIN}\t0"]
    return _arpa(ones, [(f"{BEGIN} {END}", value)])  # KenLM requires a bigram


def _arpa(ones: Sequence[str], twos: Sequence[tuple[str, float]]) -> str:
    head = ["\\data\\", f"ngram 1={len(ones)}", f"ngram 2={len(twos)}", ""]
    pairs = [f"{value:.6f}\t{glosses}" for glosses, value in twos]
    return "\n".join([*head, "\\1-grams:", *ones, "", "\\2-grams:", *pairs, "", "\\end\\", ""])


def forecast(rng: np.random.Generator, glosses: Sequence[str]) -> tuple[str, ...]:
    """Draw a sentence of the synthetic grammar in which most glosses have their usual follower."""
    length = int(rng.choice(list(SHARE_OF_LENGTH), p=list(SHARE_OF_LENGTH.values())))
    pattern = PATTERNS[length][int(rng.integers(len(PATTERNS[length])))]
    sentence: list[str] = []
    for letter in pattern:
        role = next(name for name in ("time", "place", "subject", "verb") if name[0].upper() == letter)
        choices = [gloss for gloss in glosses if SIGN_OF_GLOSS[gloss].role == role and gloss not in sentence[-1:]]
        usual = glosses.index(sentence[-1]) % len(choices) if sentence else 0
        place = usual if rng.random() < USUAL_SHARE else int(rng.integers(len(choices)))
        sentence.append(choices[place])
    return tuple(sentence)


def draw_forecasts(corpus: PreparedCorpus, folder: Path, num_clips: int, seed: int) -> tuple[PreparedCorpus, Sentences]:
    """Make a corpus with forecasts by the same signers as dev and test; also return other forecasts as text."""
    rng = np.random.default_rng(seed)
    glosses = [gloss for gloss in SIGN_OF_GLOSS if gloss in corpus.vocabulary.glosses]
    *signers, _ = make_signers(0, SyntheticOptions().num_signers)
    copy_all_but_frames(corpus, folder)
    signed: set[tuple[str, ...]] = set()
    for split in SPLITS:
        samples = []
        (folder / "frames" / split).mkdir(parents=True)
        for number in range(num_clips):
            clip = SyntheticClip(
                f"forecast_{split}-{number}", split, signers[number % len(signers)], forecast(rng, glosses)
            )
            frames = f"frames/{split}/{clip.sample_id}.zip"
            count = write_clip(draw_frames(clip, seed), folder / frames, ClipFormat(corpus.frame_size))
            samples.append(Sample(clip.sample_id, split, frames, count, clip.signer.name, clip.glosses))
            signed.add(clip.glosses)
        write_samples(folder, split, samples)
        references = "".join(f"{s.sample_id} 1 {s.signer} 0.0 1.0 {' '.join(s.glosses)}\n" for s in samples)
        references_path(folder, split).write_text(references, encoding="utf-8")
    text = (forecast(rng, glosses) for _ in range(NUM_TEXTS))
    return PreparedCorpus.open(folder), [sentence for sentence in text if sentence not in signed]


def copy_all_but_frames(corpus: PreparedCorpus, folder: Path) -> None:
    """Copy manifests, vocabulary and references of a corpus to an existing folder."""
    for path in corpus.path.iterdir():
        if path.is_file():
            copy2(path, folder / path.name)
    copytree(corpus.path / "references", folder / "references")


def draw_frames(clip: SyntheticClip, seed: int) -> Iterator[Frame]:
    """Draw the frames of a clip."""
    signs = [SIGN_OF_GLOSS[gloss] for gloss in clip.glosses]
    performance = perform(signs, clip.signer, named_generator(seed, f"{clip.sample_id} motion"))
    scene = make_scene(clip.signer, performance.num_frames, named_generator(seed, f"{clip.sample_id} scene"))
    yield from draw_clip(performance, find_joints(performance, clip.signer, scene.sway), clip.signer, scene)


def write_noisy_copy(corpus: PreparedCorpus, folder: Path, noise: float, seed: int) -> PreparedCorpus:
    """Write a copy of dev and test of a corpus with noise on the frames."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    copy_all_but_frames(corpus, folder)
    for sample in (sample for split in SPLITS for sample in corpus.samples(split)):
        target = folder / sample.frames
        target.parent.mkdir(parents=True, exist_ok=True)
        frames = add_noise(open_frames(corpus.frames_path(sample)).iterate(), noise, rng)
        write_clip(frames, target, ClipFormat(corpus.frame_size))
    return PreparedCorpus.open(folder)


def add_noise(frames: Iterable[Frame], noise: float, rng: np.random.Generator) -> Iterator[Frame]:
    """Add normal noise to frames; `noise` is the standard deviation, grey levels."""
    for frame in frames:
        yield (frame + rng.normal(0, noise, frame.shape)).round().clip(0, 255).astype(np.uint8)


def measure(checkpoint: Checkpoint, corpus: PreparedCorpus, noise: float, models: dict[str, Path]) -> Iterator[Gain]:
    """Decode dev and test without a language model and with each of `models`."""
    cpu, fp32 = torch.device("cpu"), torch.float32
    dev, test = evaluate(checkpoint, corpus, SPLITS, device=cpu, dtype=fp32)
    plain = test.scores["sequence"]
    yield Gain(noise, "none", None, None, dev.wer, test.wer)
    for name, path in models.items():
        decoding = changed_decoding(checkpoint.config.decoding, decoder="pyctcdecode", language_model=path)
        tuned = tune_language_model(checkpoint, corpus, decoding, device=cpu, dtype=fp32)
        (test,) = evaluate(checkpoint, corpus, ["test"], decoding=tuned.decoding, device=cpu, dtype=fp32)
        compared = compare(plain, test.scores["sequence"])
        yield Gain(
            noise=noise,
            model=name,
            lm_weight=tuned.best.lm_weight,
            gloss_bonus=tuned.best.gloss_bonus,
            dev_wer=tuned.result.wer,
            test_wer=test.wer,
            better=len(compared.second_wins),
            worse=len(compared.first_wins),
            p=compared.matched_pairs.p,
        )


def show(gain: Gain) -> None:
    """Print a result as text."""
    if gain.lm_weight is None or gain.gloss_bonus is None:
        print(
            f"noise {gain.noise:g}\n  no model: WER on dev {gain.dev_wer:.1f} %, on test {gain.test_wer:.1f} %",
            flush=True,
        )
        return
    chance = "" if gain.p is None else f", p = {gain.p:.3f}"
    weights = f"weight {gain.lm_weight:g} and {gain.gloss_bonus:+g} per gloss"
    print(
        f"  {gain.model}, {weights}: WER on dev {gain.dev_wer:.1f} %, "
        f"on test {gain.test_wer:.1f} % (fewer errors in {gain.better} clips, more in {gain.worse}{chance})"
    )


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("runs/quickstart/best.pt"), help="checkpoint of cslr quickstart"
    )
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 15.0, 20.0, 30.0], help="noise in grey levels")
    parser.add_argument("--clips", type=int, default=60, help="number of clips of dev and of test")
    parser.add_argument("--seed", type=int, default=0, help="random seed of forecasts and noise")
    parser.add_argument("--output", type=Path, help="new folder in which to keep the clips and the models")
    parser.add_argument("--json", action="store_true", help="print one line of JSON per result")
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(arguments.checkpoint)
    trained = find_corpus(checkpoint.corpus).corpus
    with TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary) / "forecasts"
        (folder / "noise-0").mkdir(parents=True)
        clean, text = draw_forecasts(trained, folder / "noise-0", arguments.clips, arguments.seed)
        sentences = [sample.glosses for sample in trained.samples("train")]
        models = {}
        for name, arpa in (
            ("all glosses alike", uniform_arpa(checkpoint.vocabulary.glosses)),
            ("bigrams of training sentences", bigram_arpa(sentences)),
            ("bigrams of forecasts", bigram_arpa(text)),
        ):
            models[name] = folder / f"{name.replace(' ', '-')}.arpa"
            models[name].write_text(arpa, encoding="utf-8")
        for noise in arguments.noise:
            seen = write_noisy_copy(clean, folder / f"noise-{noise:g}", noise, arguments.seed) if noise else clean
            for gain in measure(checkpoint, seen, noise, models):
                if arguments.json:
                    print(json.dumps(asdict(gain)), flush=True)
                else:
                    show(gain)


if __name__ == "__main__":
    main()
