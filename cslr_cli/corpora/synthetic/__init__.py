"""A drawn signing corpus: every pixel follows from a seed, in the release layout of PHOENIX2014.

Use it to try the whole pipeline without a data set, and for checks that need the true start and end of each gloss or
the true positions of the hands in every frame.

- `options`: size and seed of the corpus.
- `lexicon`: glosses, each a movement of one or two hands.
- `grammar`: sentences of glosses.
- `signer`: the signers, and how they differ.
- `plan`: split, signer and sentence of each clip.
- `motion`: positions of the hands in every frame, from a sentence and a signer.
- `body`: joints of the arms, from the positions of the hands by inverse kinematics.
- `scene`: camera, background, light and sensor of a clip.
- `drawing`: frames, from joints and scene.
- `release`: files of the corpus.
"""

from cslr_cli.corpora.synthetic.options import SyntheticOptions
from cslr_cli.corpora.synthetic.release import SyntheticSummary, make_release, write_clip_video

__all__ = ["SyntheticOptions", "SyntheticSummary", "make_release", "write_clip_video"]
