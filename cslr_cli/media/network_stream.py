"""Open the address of a stream with FFmpeg: RTSP, HTTP, HLS, UDP and others.

Only the user names addresses; a local file never leads here, and nothing that comes through an address leads to a
local file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import Final

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_conversion import UPRIGHT, FrameConverter, Orientation, Presentation, orientation_of
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.pictures import MAX_PIXELS, check_frame_size_limit
from cslr_cli.media.video_stream import METADATA_OPTIONS, VideoDecoder, choose_stream, local_formats

_ADDRESS = re.compile(r"(rtsps?|rtmps?|rtp|https?|udp|tcp|srt)://", re.IGNORECASE)
# What the parts of a stream may be fetched with. Playlists of HLS name other addresses, but never files.
_PROTOCOLS: Final = "crypto,data,ffrtmphttp,http,httpproxy,https,rtmp,rtmps,rtmpt,rtmpts,rtp,srt,srtp,tcp,tls,udp"
_NETWORK_FORMATS: Final = ("hls", "live_flv", "mpjpeg", "rtp", "rtsp", "sdp")
# Containers whose orientation players heed; elsewhere only the codec states one, which they ignore.
_ORIENTED_FORMATS: Final = {"mov", "matroska"}
_OPTIONS: Final = {
    # Cameras offer TCP, which loses nothing, or UDP.
    "rtsp": {"rtsp_flags": "prefer_tcp"},
    # Continues a file at the place where its connection was lost.
    "http": {"reconnect": "1", "reconnect_delay_max": "2"},
    "udp": {"overrun_nonfatal": "1"},
}


@dataclass(frozen=True)
class StreamTimeouts:
    """How long to wait for a server.

    Attributes:
        open: longest time until the stream is known, seconds.
        read: longest time without data, seconds.
    """

    open: float = 10.0
    read: float = 10.0


class NetworkStream:
    """An opened stream; create it with `open_address`.

    Attributes:
        address: address of the stream.
        is_recording: whether the stream has an end, so that it can be sent faster than it was filmed.
        comes_in_parts: whether several seconds arrive at once.
        duration: length that the stream states, seconds; None if it states none.
        decoder: decodes its frames.
    """

    def __init__(self, address: str, container: InputContainer) -> None:
        self.address = address
        self._container = container
        stream = choose_stream(address, container)
        check_frame_size_limit(stream.codec_context.width, stream.codec_context.height, address)
        formats = set(container.format.name.split(","))
        self.duration = container.duration / av.time_base if container.duration and container.duration > 0 else None
        has_size = _scheme(address) == "http" and "hls" not in formats and container.size > 0
        self.is_recording = self.duration is not None or has_size
        self.comes_in_parts = "hls" in formats
        # One thread: several would each hold back a frame.
        self.decoder = VideoDecoder(address, container, stream, careful=True, quick=False, without_messages=False)
        self._has_orientation = bool(formats & _ORIENTED_FORMATS)

    def make_converter(self, first: VideoFrame) -> Callable[[VideoFrame], Frame]:
        """Return a function that converts frames like the first one to uint8 (H, W, 3), RGB, upright."""
        orientation: Orientation = orientation_of(first) if self._has_orientation else UPRIGHT
        aspect = float(self.decoder.stream.sample_aspect_ratio or 1)
        return FrameConverter(Presentation(first.width, first.height, aspect, orientation))

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


def is_address(text: str) -> bool:
    """Return whether a text is the address of a stream."""
    return _ADDRESS.match(text) is not None


def open_address(address: str, timeouts: StreamTimeouts) -> NetworkStream:
    """Open a stream.

    Raises:
        MediaError: the server does not answer in time, or sends no video.
    """
    if not is_address(address):
        raise ValueError(f"{address} is not the address of a stream")
    try:
        container = av.open(
            address,
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={
                "format_whitelist": ",".join((*_NETWORK_FORMATS, local_formats())),
                "protocol_whitelist": _PROTOCOLS,
                **_OPTIONS.get(_scheme(address), {}),
            },
            timeout=(timeouts.open, timeouts.read),
            **METADATA_OPTIONS,
        )
    except av.error.ExitError as error:
        raise _address_error(address, f"no video within {timeouts.open:g} s") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _address_error(address, str(getattr(error, "strerror", None) or error)) from error
    try:
        return NetworkStream(address, container)
    except BaseException:
        container.close()
        raise


def _address_error(address: str, reason: str) -> MediaError:
    hint = f"check the address with: ffplay {quote(address)}"
    return MediaError(f"{address}: this address sends no video ({reason})", hint)


def _scheme(address: str) -> str:
    """Return the protocol of an address without the mark of encryption: `http` for `https://…`."""
    return address.partition("://")[0].lower().removesuffix("s") if "://" in address else ""
