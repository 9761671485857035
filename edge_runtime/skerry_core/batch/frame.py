"""One zstd frame (RFC 8878) with its content's size and checksum."""

from collections.abc import Sequence

import zstandard

from skerry_core.batch.limits import DamagedBatchError, Limits

_LARGE = 128  # bytes; a piece from here on gets blocks, and so a Huffman table, of its own
_WINDOW = 1 << 27


def compress(pieces: Sequence[bytes], level: int) -> bytes:
    """All pieces in one frame; blocks end where a large piece does."""
    size = sum(map(len, pieces))
    compressor = zstandard.ZstdCompressor(level, write_checksum=True, write_content_size=True).compressobj(size=size)
    written = []
    for piece, following in zip(pieces, [*pieces[1:], b""], strict=True):
        written.append(compressor.compress(piece))
        if max(len(piece), len(following)) >= _LARGE:
            written.append(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return b"".join([*written, compressor.flush()])


def decompress(data: bytes, limits: Limits) -> bytes:
    """The content of exactly one frame. Raises DamagedBatchError, and before it allocates more than `max_bytes`."""
    try:
        parameters = zstandard.get_frame_parameters(data)
        if not 0 <= parameters.content_size <= limits.max_bytes:
            raise DamagedBatchError("a batch that does not say its size, or is larger than the limit")
        content = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedBatchError(f"a batch that is no zstd frame ({error})") from error
    if len(content) != parameters.content_size:
        raise DamagedBatchError("a batch that does not have the size it says")
    return content
