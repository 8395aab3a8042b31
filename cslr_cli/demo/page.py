"""The page: its layout, and the calls of the service behind its buttons."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cslr_cli.demo.service import Answer, DemoService, Limits
from cslr_cli.demo.timeline import render_error, render_timeline
from cslr_cli.errors import CslrError
from cslr_cli.media.picture_series import PICTURE_SUFFIXES

_log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent
STYLE = (_FOLDER / "timeline.css").read_text(encoding="utf-8")
HEAD = f"<script>{(_FOLDER / 'timeline.js').read_text(encoding='utf-8')}</script>"

_ABOUT = """# Sign language recognition
Upload or record a video of signing, or upload its frames as pictures. The recognised glosses appear below on a time
line. Click a gloss to see it in the player."""

# All buttons share one queue, so that the limit of jobs holds for them together.
_QUEUE = "network"


def build_page(service: DemoService, examples: Sequence[Path] = ()) -> gr.Blocks:
    """Build the page.

    Args:
        service: the work behind the page.
        examples: videos to try, shown below the player; in a folder from which Gradio may serve files.
    """
    page: gr.Blocks
    with gr.Blocks(title="cslr: sign language recognition", analytics_enabled=False) as page:
        gr.Markdown(_ABOUT)
        _list_broken_checkpoints(service)
        network = _add_network_choice(service.checkpoints.names)
        answer = gr.State(None)
        with gr.Tab("Video"):
            video, video_button = _add_video_input(service.limits)
        with gr.Tab("Pictures"):
            pictures, fps, pictures_button = _add_pictures_input()
        player = gr.Video(label="Recognised video", visible=False, interactive=False, height=360)
        timeline = gr.HTML(elem_id="answer")
        subtitles, document, explain_button = _add_answer_buttons()
        explain_error = gr.HTML(elem_id="unexplained")
        sheet = _add_sheet()
        if examples:
            _add_examples(examples, video)

        def recognize_video(last: Answer | None, clip: str | None, name: str) -> list[Any]:
            return _replace_answer(last, lambda: service.recognize_video(_require_upload(clip), name))

        def recognize_pictures(
            last: Answer | None, files: list[str] | None, name: str, rate: float | None
        ) -> list[Any]:
            uploads = [Path(file) for file in files or ()]
            return _replace_answer(last, lambda: service.recognize_pictures(uploads, name, rate or None))

        def explain(last: Answer | None) -> tuple[Any, Any]:
            try:
                if last is None:  # the server was restarted while the page was open
                    raise CslrError("the result is no longer available", "recognise the video again")
                return gr.update(value=str(service.explain(last)), visible=True), ""
            except Exception as error:
                return gr.update(visible=False), render_error(_describe_error(error))

        # In the order of the values that `_replace_answer` returns.
        outputs = [answer, timeline, player, subtitles, document, explain_button, explain_error, sheet]
        queue: dict[str, Any] = {
            "concurrency_id": _QUEUE,
            "concurrency_limit": service.limits.jobs,
            "api_visibility": "private",
        }
        video_button.click(recognize_video, [answer, video, network], outputs, show_progress_on=[timeline], **queue)
        pictures_button.click(
            recognize_pictures, [answer, pictures, network, fps], outputs, show_progress_on=[timeline], **queue
        )
        explain_button.click(explain, [answer], [sheet, explain_error], show_progress_on=[explain_error], **queue)
    page.queue(max_size=service.limits.waiting)
    return page


def _list_broken_checkpoints(service: DemoService) -> None:
    broken = service.checkpoints.broken
    if broken:
        lines = [f"- **{name}** cannot be used: {message.splitlines()[0]}" for name, message in broken.items()]
        gr.Markdown("\n".join(lines), elem_classes="cslr-broken")


def _add_network_choice(names: Sequence[str]) -> gr.Dropdown:
    return gr.Dropdown(
        names, value=names[0], label="Network", interactive=True, visible=len(names) > 1, elem_id="network"
    )


def _add_answer_buttons() -> tuple[gr.DownloadButton, gr.DownloadButton, gr.Button]:
    """Add the downloads of subtitles and of the JSON document, and the button for heat maps."""
    with gr.Row():
        return (
            gr.DownloadButton("Subtitles (SRT)", visible=False, elem_id="srt"),
            gr.DownloadButton("All results (JSON)", visible=False, elem_id="json"),
            gr.Button("Show heat maps", visible=False, elem_id="look"),
        )


def _add_video_input(limits: Limits) -> tuple[gr.Video, gr.Button]:
    """Add the upload or recording of a video, and its button."""
    video = gr.Video(
        sources=["upload", "webcam"],
        label=f"Video (at most {limits.seconds:g} s, {limits.megabytes} MB)",
        include_audio=False,
        height=360,
        elem_id="video",
    )
    # Keep the file as uploaded: Gradio would remove its sound with ffmpeg, and fail on other files.
    video.preprocess = _uploaded_path
    return video, gr.Button("Recognise", variant="primary", elem_id="recognise-video")


def _add_pictures_input() -> tuple[gr.File, gr.Number, gr.Button]:
    """Add the upload of pictures, their rate, and their button."""
    pictures = gr.File(
        file_count="multiple",
        file_types=list(PICTURE_SUFFIXES),
        label="Pictures (sorted by their names)",
        height=240,
        elem_id="pictures",
    )
    fps = gr.Number(label="Pictures per second (0: as in training)", value=0, minimum=0, maximum=240)
    return pictures, fps, gr.Button("Recognise", variant="primary", elem_id="recognise-pictures")


def _add_sheet() -> gr.Image:
    return gr.Image(
        label="Heat maps (Grad-CAM)",
        show_label=False,
        visible=False,
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id="sheet",
    )


def _add_examples(videos: Sequence[Path], player: gr.Video) -> None:
    """Add videos to try; not with `gr.Examples`, which makes a new player without our `preprocess`."""
    samples = [[str(path)] for path in videos]
    dataset = gr.Dataset(components=[player], samples=samples, type="index", label="Example videos")
    dataset.click(lambda index: samples[index][0], [dataset], [player], queue=False, api_visibility="private")


def _replace_answer(last: Answer | None, recognize: Callable[[], Answer]) -> list[Any]:
    """Discard the last answer, and return the new values of the outputs: the new answer, or the error."""
    if last is not None:
        last.discard()
    hidden = gr.update(visible=False, value=None)
    try:
        answer = recognize()
    except Exception as error:
        return [None, render_error(_describe_error(error)), *[hidden] * 3, gr.update(visible=False), "", hidden]
    player = gr.update(value=str(answer.video), visible=True) if answer.video.is_file() else hidden
    return [
        answer,
        render_timeline(answer.recognition),
        player,
        gr.update(value=str(answer.subtitles), visible=True),
        gr.update(value=str(answer.document), visible=True),
        gr.update(visible=bool(answer.recognition.glosses)),
        "",
        hidden,
    ]


def _uploaded_path(payload: Any) -> str | None:
    return None if payload is None else payload.path


def _describe_error(error: Exception) -> str:
    """Describe an error to a visitor; omit the text of an unexpected error, because it may hold a path."""
    if isinstance(error, CslrError):
        return "\n".join(filter(None, [error.message, error.hint]))
    _log.error("a visitor's request failed", exc_info=error)
    return "unexpected error on the server\nthe terminal of the server shows the cause"


def _require_upload(clip: str | None) -> Path:
    if not clip:
        raise CslrError("nothing was uploaded", "choose or record a video first")
    return Path(clip)
