"""The maps as numbers: a NumPy archive, read with `numpy.load(path)`; `docs/cam.md` has a table of its arrays.

Axes: G glosses, N maps of all of them, T pictures that the network sees, h, w cells of a map, n neighbours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.explanation import Correlations, Explanation
from cslr_cli.files import whole_file


def write_maps(explanation: Explanation, output: Path) -> None:
    """Write all maps as they are, neither scaled nor spread over the frame.

    Args:
        explanation: of a video.
        output: ends in `.npz`.
    """
    arrays = explanation_arrays(explanation)
    with whole_file(output) as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, **cast("Any", arrays))


def explanation_arrays(explanation: Explanation) -> dict[str, NDArray[Any]]:
    """The arrays of the archive by their names."""
    film, glosses = explanation.film, explanation.glosses
    box = film.box
    arrays: dict[str, NDArray[Any]] = {
        "layer": np.array(explanation.layer),
        "head": np.array(explanation.head),
        "method": np.array(explanation.method),
        "edges": film.edges,
        "size": np.array(film.size),
        "box": np.array([box.left, box.top, box.width, box.height]),
        "gloss": np.array([single.timed.gloss for single in glosses]),
        "start": np.array([single.timed.start for single in glosses]),
        "end": np.array([single.timed.end for single in glosses]),
        "confidence": np.array([single.timed.confidence for single in glosses]),
        "steps": np.array([single.steps for single in glosses]),
        "maps": np.concatenate([single.maps for single in glosses]),
        "map_gloss": np.repeat(np.arange(len(glosses)), [len(single.pictures) for single in glosses]),
        "map_picture": np.concatenate([np.array(single.pictures) for single in glosses]),
    }
    return arrays if explanation.correlations is None else arrays | _correlation_arrays(explanation.correlations)


def _correlation_arrays(correlations: Correlations) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"place_picture": np.array(correlations.picture)}
    if correlations.place is not None:
        arrays["place"] = np.array(correlations.place)
    for around in correlations.around:
        arrays[f"affinity_{around.stage}"] = around.affinities
        arrays[f"offsets_{around.stage}"] = np.array(around.offsets)
    for stage, maps in correlations.identification.items():
        arrays[f"identification_{stage}"] = maps
    return arrays
