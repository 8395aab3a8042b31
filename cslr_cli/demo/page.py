"""The page itself: what is where on it, and which part of the service each button calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cslr_cli.data.frames import PICTURE_SUFFIXES
from cslr_cli.demo.service import Answer, DemoService
from cslr_cli.demo.timeline import fault, timeline
from cslr_cli.errors import CslrError

_HERE = Path(__file__).parent
STYLE = (_HERE / "timeline.css").read_text(encoding="utf-8")
HEAD = f"<script>{(_HERE / 'timeline.js').read_text(encoding='utf-8')}</script>"

_ABOUT = """# From signing to glosses
Upload a video of signing, record one, or upload its pictures in order. The glosses that the network
recognises appear below on a time line; click one to see it in the player."""

# Seconds after which what was made of an upload is removed, the page open or not.
KEPT_SECONDS = 1800.0

# The network serves so many at a time, whichever button they pressed.
_QUEUE = "network"


def build_page(service: DemoService, examples: Sequence[Path] = ()) -> gr.Blocks:
    """Put the page together.

    Args:
        service: does the work.
        examples: videos to try, shown below the player.
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
        answer = gr.State(None, time_to_live=KEPT_SECONDS, delete_callback=_discard)
        with gr.Tab("Video"):
            video = gr.Video(
                sources=["upload", "webcam"],
                label=f"Video, up to {limits.seconds:g} s and {limits.megabytes} MB",
                include_audio=False,
                height=360,
                elem_id="video",
            )
            # As it was uploaded: Gradio would have ffmpeg take its sound out first, and fail on what is no video.
            video.preprocess = _uploaded
            of_video = gr.Button("Recognise", variant="primary", elem_id="recognise-video")
        with gr.Tab("Pictures"):
            pictures = gr.File(
                file_count="multiple",
                file_types=list(PICTURE_SUFFIXES),
                label="Pictures, in the order of their names",
                elem_id="pictures",
            )
            rate = gr.Number(label="Pictures a second (0: as the network was trained)", value=0, minimum=0, maximum=240)
            of_pictures = gr.Button("Recognise", variant="primary", elem_id="recognise-pictures")
        player = gr.Video(
            label="What was recognised, as a video for this page", visible=False, interactive=False, height=360
        )
        shown = gr.HTML(elem_id="answer")
        with gr.Row():
            subtitles = gr.DownloadButton("Subtitles (SRT)", visible=False, elem_id="srt")
            document = gr.DownloadButton("Everything (JSON)", visible=False, elem_id="json")
            look = gr.Button("Where did the network look?", visible=False, elem_id="look")
        sheet = gr.Image(
            label="Heat maps (Grad-CAM)",
            show_label=False,
            visible=False,
            interactive=False,
            buttons=["download", "fullscreen"],
            elem_id="sheet",
        )

        if examples:
            gr.Examples([[str(path)] for path in examples], inputs=[video], label="Videos to try")

        made = [answer, shown, player, subtitles, document, look, sheet]

        def recognise_video(clip: str | None, name: str) -> list[Any]:
            return _shown(lambda: service.recognise_video(_only(clip), name))

        def recognise_pictures(files: list[str] | None, name: str, fps: float | None) -> list[Any]:
            return _shown(lambda: service.recognise_pictures([Path(file) for file in files or ()], name, fps or None))

        def explain(last: Answer | None) -> tuple[Any, Any]:
            try:
                if last is None:
                    raise CslrError("there is nothing to look at any more", "recognise the clip again")
                return gr.update(value=str(service.explain(last)), visible=True), gr.skip()
            except CslrError as error:
                return gr.update(visible=False), fault(str(error))

        queued: dict[str, Any] = {
            "concurrency_id": _QUEUE,
            "concurrency_limit": limits.jobs,
            "api_visibility": "private",
        }
        of_video.click(recognise_video, [video, network], made, show_progress_on=[shown], **queued)
        of_pictures.click(recognise_pictures, [pictures, network, rate], made, show_progress_on=[shown], **queued)
        look.click(explain, [answer], [sheet, shown], show_progress_on=[sheet], **queued)
    page.queue(max_size=limits.waiting)
    return page


def _shown(work: Any) -> list[Any]:
    """New values of what the page shows: the answer, or what went wrong."""
    hidden = gr.update(visible=False, value=None)
    try:
        answer: Answer = work()
    except CslrError as error:
        return [None, fault(str(error)), hidden, hidden, hidden, gr.update(visible=False), hidden]
    player = gr.update(value=str(answer.video), visible=True) if answer.video.is_file() else hidden
    return [
        answer,
        timeline(answer.recognition),
        player,
        gr.update(value=str(answer.subtitles), visible=True),
        gr.update(value=str(answer.document), visible=True),
        gr.update(visible=bool(answer.recognition.glosses)),
        hidden,
    ]


def _uploaded(payload: Any) -> str | None:
    return None if payload is None else payload.path


def _discard(answer: Answer | None) -> None:
    if answer is not None:
        answer.discard()


def _only(clip: str | None) -> Path:
    if not clip:
        raise CslrError("nothing was uploaded", "choose a video first, or record one")
    return Path(clip)


def _first_line(text: str) -> str:
    return text.splitlines()[0]
