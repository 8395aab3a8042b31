"""The page itself: what is where on it, and which part of the service each button calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cslr_cli.demo.service import Answer, DemoService, Limits
from cslr_cli.demo.timeline import fault, timeline
from cslr_cli.errors import CslrError
from cslr_cli.media.pictures import PICTURE_SUFFIXES

_log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
STYLE = (_HERE / "timeline.css").read_text(encoding="utf-8")
HEAD = f"<script>{(_HERE / 'timeline.js').read_text(encoding='utf-8')}</script>"

_ABOUT = """# From signing to glosses
Upload a video of signing, record one, or upload its pictures in order. The glosses that the network
recognises appear below on a time line; click one to see it in the player."""

# The network serves so many at a time, whichever button they pressed.
_QUEUE = "network"


def build_page(service: DemoService, examples: Sequence[Path] = ()) -> gr.Blocks:
    """Put the page together.

    Args:
        service: does the work.
        examples: videos to try, shown below the player; where Gradio may serve them from.
    """
    names = service.networks.names
    limits = service.limits
    page: gr.Blocks
    with gr.Blocks(title="cslr: sign language recognition", analytics_enabled=False) as page:
        gr.Markdown(_ABOUT)
        broken = [f"- **{name}** cannot be used: {_first_line(why)}" for name, why in service.networks.broken.items()]
        if broken:
            gr.Markdown("\n".join(broken), elem_classes="cslr-broken")
        network = gr.Dropdown(
            names, value=names[0], label="Network", interactive=True, visible=len(names) > 1, elem_id="network"
        )
        answer = gr.State(None)
        with gr.Tab("Video"):
            video, of_video = _video_input(limits)
        with gr.Tab("Pictures"):
            pictures, rate, of_pictures = _pictures_input()
        player = gr.Video(
            label="What was recognised, as a video for this page", visible=False, interactive=False, height=360
        )
        shown = gr.HTML(elem_id="answer")
        with gr.Row():
            subtitles = gr.DownloadButton("Subtitles (SRT)", visible=False, elem_id="srt")
            document = gr.DownloadButton("Everything (JSON)", visible=False, elem_id="json")
            look = gr.Button("Where did the network look?", visible=False, elem_id="look")
        unexplained = gr.HTML(elem_id="unexplained")
        sheet = _heat_maps()
        if examples:
            _examples(examples, video)

        made = [answer, shown, player, subtitles, document, look, unexplained, sheet]

        def recognise_video(last: Answer | None, clip: str | None, name: str) -> list[Any]:
            return _shown(last, lambda: service.recognise_video(_only(clip), name))

        def recognise_pictures(last: Answer | None, files: list[str] | None, name: str, fps: float | None) -> list[Any]:
            uploads = [Path(file) for file in files or ()]
            return _shown(last, lambda: service.recognise_pictures(uploads, name, fps or None))

        def explain(last: Answer | None) -> tuple[Any, Any]:
            try:
                if last is None:  # the server was started anew while the page was open
                    raise CslrError("there is nothing to look at any more", "recognise the clip again")
                return gr.update(value=str(service.explain(last)), visible=True), ""
            except Exception as error:
                return gr.update(visible=False), fault(_told(error))

        queued: dict[str, Any] = {
            "concurrency_id": _QUEUE,
            "concurrency_limit": limits.jobs,
            "api_visibility": "private",
        }
        of_video.click(recognise_video, [answer, video, network], made, show_progress_on=[shown], **queued)
        of_pictures.click(
            recognise_pictures, [answer, pictures, network, rate], made, show_progress_on=[shown], **queued
        )
        look.click(explain, [answer], [sheet, unexplained], show_progress_on=[unexplained], **queued)
    page.queue(max_size=limits.waiting)
    return page


def _video_input(limits: Limits) -> tuple[gr.Video, gr.Button]:
    """Where a video is uploaded or recorded, and the button that has it recognised."""
    video = gr.Video(
        sources=["upload", "webcam"],
        label=f"Video, up to {limits.seconds:g} s and {limits.megabytes} MB",
        include_audio=False,
        height=360,
        elem_id="video",
    )
    # As it was uploaded: Gradio would have ffmpeg take its sound out first, and fail on what is no video.
    video.preprocess = _uploaded
    return video, gr.Button("Recognise", variant="primary", elem_id="recognise-video")


def _pictures_input() -> tuple[gr.File, gr.Number, gr.Button]:
    """Where pictures are uploaded, how fast they follow each other, and the button that has them recognised."""
    pictures = gr.File(
        file_count="multiple",
        file_types=list(PICTURE_SUFFIXES),
        label="Pictures, in the order of their names",
        height=240,
        elem_id="pictures",
    )
    rate = gr.Number(label="Pictures a second (0: as the network was trained)", value=0, minimum=0, maximum=240)
    return pictures, rate, gr.Button("Recognise", variant="primary", elem_id="recognise-pictures")


def _heat_maps() -> gr.Image:
    return gr.Image(
        label="Heat maps (Grad-CAM)",
        show_label=False,
        visible=False,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id="sheet",
    )


def _examples(videos: Sequence[Path], player: gr.Video) -> None:
    """Videos that a click puts into the player; not `gr.Examples`, which makes a player without `preprocess`."""
    samples = [[str(path)] for path in videos]
    tried = gr.Dataset(components=[player], samples=samples, type="index", label="Videos to try")
    tried.click(lambda number: samples[number][0], [tried], [player], queue=False, api_visibility="private")


def _shown(last: Answer | None, work: Callable[[], Answer]) -> list[Any]:
    """New values of what the page shows: the answer, which takes the place of the last one, or what went wrong."""
    if last is not None:
        last.discard()
    hidden = gr.update(visible=False, value=None)
    try:
        answer = work()
    except Exception as error:
        return [None, fault(_told(error)), hidden, hidden, hidden, gr.update(visible=False), "", hidden]
    player = gr.update(value=str(answer.video), visible=True) if answer.video.is_file() else hidden
    return [
        answer,
        timeline(answer.recognition),
        player,
        gr.update(value=str(answer.subtitles), visible=True),
        gr.update(value=str(answer.document), visible=True),
        gr.update(visible=bool(answer.recognition.glosses)),
        "",
        hidden,
    ]


def _uploaded(payload: Any) -> str | None:
    return None if payload is None else payload.path


def _told(error: Exception) -> str:
    """What a visitor is told. Of what should not happen, no more than that it did: its text may hold a path."""
    if isinstance(error, CslrError):
        return str(error)
    _log.error("a visitor's request failed", exc_info=error)
    return "this failed, and the fault is not yours\nwhoever runs this page finds the reason where it was started"


def _only(clip: str | None) -> Path:
    if not clip:
        raise CslrError("nothing was uploaded", "choose a video first, or record one")
    return Path(clip)


def _first_line(text: str) -> str:
    return text.splitlines()[0]
