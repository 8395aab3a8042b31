"""A drawn signing corpus: every pixel follows from a seed, in the release layout of PHOENIX2014.

It is for trying the whole pipeline without a data set, and for checks that need the truth: when
each gloss starts and ends, and where the hands are in every frame.

- `lexicon`: what a gloss is: a movement of one or two hands.
- `grammar`: which glosses follow each other in a sentence, and how sentences are chosen.
- `signer`: how the people differ.
- `motion`: a sentence and a signer become the places of the hands, frame by frame.
- `body`: the hands' places become joints, by inverse kinematics, seen through a camera.
- `drawing`: joints become a picture.
- `plan`: which clip is signed by whom, in which split.
- `release`: the files.
"""

from cslr_cli.corpora.synthetic.options import SyntheticOptions
from cslr_cli.corpora.synthetic.release import SyntheticSummary, make_release, write_clip_video

__all__ = ["SyntheticOptions", "SyntheticSummary", "make_release", "write_clip_video"]
