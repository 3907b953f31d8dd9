"""Strategies for picture files: every variant of their formats, and what damage makes of them."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.serving.parity_test import png_file

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BESIDE = {
    "gAMA": struct.pack(">I", 45455),
    "pHYs": struct.pack(">IIB", 2835, 2835, 1),
    "tEXt": b"Title\0A picture",
    "zTXt": b"Comment\0\0" + zlib.compress(b"words"),
    "sRGB": b"\0",
    "tIME": struct.pack(">HBBBBB", 2020, 2, 29, 12, 0, 0),
}
_INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 24, 32, 64, 127, 128, 192, 254, 255)

sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
"""`(width, height)`."""


def written(picture: Image.Image, kind: str, **settings) -> bytes:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


@st.composite
def scenes(draw, mode: str) -> Image.Image:
    """Noise, or what is smooth, in a mode of Pillow's."""
    width, height = draw(sizes)
    random = np.random.default_rng(draw(st.integers(0, 999)))
    channels = {"1": 1, "L": 1, "P": 3, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 1}[mode]
    few = draw(st.booleans())
    corners = random.integers(0, 256, ((2, 2) if few else (height, width)) + (channels,)).astype(np.uint8)
    bands = [
        Image.fromarray(corners[..., band]).resize((width, height), Image.Resampling.BILINEAR)
        for band in range(channels)
    ]
    if mode == "1":
        return bands[0].convert("1")
    if mode == "I;16":
        return Image.fromarray(np.asarray(bands[0]).astype(np.uint16) * 257)
    if mode == "P":
        return Image.merge("RGB", bands).quantize(draw(st.sampled_from([2, 3, 16, 17, 256])))
    return bands[0] if mode == "L" else Image.merge(mode, bands)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


orientations = st.integers(0, 9)
"""EXIF's; 0 and 9 are none."""


@st.composite
def jpegs(draw) -> bytes:
    """JPEGs as Pillow writes them."""
    picture = draw(st.sampled_from(["L", "RGB", "CMYK"]).flatmap(scenes))
    settings = {
        "quality": draw(st.sampled_from([1, 50, 95])),
        "progressive": draw(st.booleans()),
        "optimize": draw(st.booleans()),
        "restart_marker_blocks": draw(st.sampled_from([0, 1])),
        "comment": draw(st.sampled_from([b"", b"\xff\xd8\xff" * 3])),
    }
    if picture.mode != "L":
        settings["subsampling"] = draw(st.integers(0, 2))
    if draw(st.booleans()):
        settings["exif"] = _exif(draw(orientations))
    return written(picture, "JPEG", **settings)


@st.composite
def pngs(draw) -> bytes:
    """PNGs as Pillow writes them."""
    picture = draw(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]).flatmap(scenes))
    settings = {}
    if picture.mode in ("1", "L", "P", "RGB") and draw(st.booleans()):
        settings["transparency"] = (10, 20, 30) if picture.mode == "RGB" else draw(st.sampled_from([0, 1]))
    if draw(st.booleans()):
        settings["exif"] = _exif(draw(orientations))
    return written(picture, "PNG", **settings)


@st.composite
def pngs_by_hand(draw) -> bytes:
    """PNGs of each colour type, bit depth, interlacing, transparency and orientation."""
    colour_type = draw(st.sampled_from(sorted(_DEPTHS)))
    depth = draw(st.sampled_from(_DEPTHS[colour_type]))
    width, height = draw(sizes)
    random = np.random.default_rng(draw(st.integers(0, 999)))
    samples = random.integers(0, 2**depth, (height, width, _CHANNELS[colour_type]))
    chunks = {}
    if colour_type == 3:
        chunks["PLTE"] = random.integers(0, 256, 3 * 2**depth).astype(np.uint8).tobytes()
    if colour_type <= 3 and draw(st.booleans()):
        if colour_type == 3:
            chunks["tRNS"] = random.integers(0, 256, draw(st.integers(1, 2**depth))).astype(np.uint8).tobytes()
        else:
            chunks["tRNS"] = samples[0, 0].astype(">u2").tobytes()
    for name in draw(st.sets(st.sampled_from(sorted(_BESIDE)), max_size=2)):
        chunks[name] = _BESIDE[name]
    return png_file(samples, colour_type, depth, draw(st.booleans()), draw(orientations), **chunks)


@st.composite
def gifs(draw) -> bytes:
    """GIFs as Pillow writes them, of one frame or more."""
    picture = draw(st.sampled_from(["1", "L", "P"]).flatmap(scenes))
    settings = {"interlace": draw(st.booleans()), "comment": draw(st.sampled_from([b"", b"c" * 300]))}
    if draw(st.booleans()):
        settings["transparency"] = draw(st.sampled_from([0, 1, 200]))
    if draw(st.booleans()):
        more = [Image.new("L", picture.size, shade) for shade in draw(st.lists(st.integers(0, 255), max_size=2))]
        settings |= {"save_all": True, "append_images": more, "duration": 50}
    return written(picture, "GIF", **settings)


@st.composite
def bmps(draw) -> bytes:
    """BMPs of each number of bits, from the top or from the bottom."""
    bits = draw(st.sampled_from([1, 4, 8, 24, 32]))
    width, height = draw(sizes)
    random = np.random.default_rng(draw(st.integers(0, 999)))
    colours = 2**bits if bits <= 8 else 0
    named = draw(st.sampled_from([0, colours, colours // 2]))
    table = random.integers(0, 256, 4 * (named or colours)).astype(np.uint8)
    table[3::4] = 0
    pixels = random.integers(0, 256, height * ((width * bits + 31) // 32 * 4)).astype(np.uint8).tobytes()
    if bits <= 8:
        # Indices beyond the table are damage.
        pixels = bytes(pixels) if named in (0, colours) else bytes(len(pixels))
    size = draw(st.sampled_from([40, 52, 56, 64, 108, 124]))
    height *= draw(st.sampled_from([1, -1]))
    begin = 14 + size + len(table)
    header = struct.pack(
        "<2sIIIIiiHHIIiiII", b"BM", begin + len(pixels), 0, begin, size, width, height, 1, bits, *[0] * 4, named, 0
    )
    return header + bytes(size - 40) + table.tobytes() + pixels


@st.composite
def bmps_by_pillow(draw) -> bytes:
    """BMPs as Pillow writes them."""
    return written(draw(st.sampled_from(["1", "L", "P", "RGB"]).flatmap(scenes)), "BMP")


whole = {
    "jpeg": jpegs(),
    "png": st.one_of(pngs(), pngs_by_hand()),
    "gif": gifs(),
    "bmp": st.one_of(bmps(), bmps_by_pillow()),
}
"""Undamaged files by format."""


@st.composite
def damaged(draw, kind: str) -> bytes:
    """A file of a format with one thing done, or two, to it."""
    contents = draw(whole[kind])
    ways = [_bytes_changed, _cut, _taken_out, _doubled, _put_in, _number_changed, *_OF_FORMAT.get(kind, ())]
    for _ in range(draw(st.integers(1, 2))):
        contents = draw(st.sampled_from(ways))(draw, contents)
    return contents


Damage = Callable[[st.DrawFn, bytes], bytes]


def _place(draw, contents):
    """An index into `contents`, near its beginning more often than not."""
    last = max(len(contents) - 1, 0)
    return draw(st.one_of(st.integers(0, min(last, 64)), st.integers(0, last)))


def _bytes_changed(draw, contents):
    data = bytearray(contents)
    for _ in range(draw(st.integers(1, 4))):
        if data:
            data[_place(draw, data)] = draw(st.one_of(st.sampled_from(_INTERESTING), st.integers(0, 255)))
    return bytes(data)


def _cut(draw, contents):
    return contents[: _place(draw, contents)]


def _taken_out(draw, contents):
    start = _place(draw, contents)
    return contents[:start] + contents[start + draw(st.integers(1, 20)) :]


def _doubled(draw, contents):
    start = _place(draw, contents)
    end = start + draw(st.integers(1, 40))
    return contents[:end] + contents[start:]


def _put_in(draw, contents):
    start = _place(draw, contents)
    return contents[:start] + draw(st.binary(min_size=1, max_size=12)) + contents[start:]


def _number_changed(draw, contents):
    """A length, say, of two or four bytes."""
    start = _place(draw, contents)
    form = draw(st.sampled_from(["<H", ">H", "<I", ">I"]))
    most = 2 ** (8 * struct.calcsize(form)) - 1
    number = draw(st.one_of(st.sampled_from([0, 1, most, most // 2, most // 2 + 1]), st.integers(0, most)))
    data = struct.pack(form, number)
    return contents[:start] + data + contents[start + len(data) :]


def png_chunks(contents: bytes) -> list[tuple[bytes, bytes]]:
    """Type and data of each chunk that is there in full."""
    chunks, at = [], len(_SIGNATURE)
    while at + 12 <= len(contents):
        (length,) = struct.unpack(">I", contents[at : at + 4])
        if at + 12 + length > len(contents):
            break
        chunks.append((contents[at + 4 : at + 8], contents[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """With right lengths and sums."""
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _chunk_changed(draw, contents):
    """What a chunk holds, and its sum with it."""
    chunks = png_chunks(contents)
    if not chunks:
        return contents
    index = draw(st.integers(0, len(chunks) - 1))
    kind, data = chunks[index]
    chunks[index] = kind, draw(st.sampled_from([_bytes_changed, _cut, _taken_out, _put_in]))(draw, data)
    return png_of(chunks)


def _chunks_in_another_order(draw, contents):
    chunks = png_chunks(contents)
    return png_of(draw(st.permutations(chunks))) if chunks else contents


def _chunk_taken_out_or_doubled(draw, contents):
    chunks = png_chunks(contents)
    if not chunks:
        return contents
    index = draw(st.integers(0, len(chunks) - 1))
    return png_of(chunks[:index] + [chunks[index]] * draw(st.sampled_from([0, 2])) + chunks[index + 1 :])


def _chunk_put_in(draw, contents):
    chunks = png_chunks(contents)
    kind = draw(
        st.sampled_from(
            [
                b"tRNS",
                b"PLTE",
                b"IDAT",
                b"IEND",
                b"eXIf",
                b"tEXt",
                b"abCd",
                b"ABCD",
                b"acTL",
                b"fcTL",
                b"sBIT",
                b"gAMA",
                b"iCCP",
            ]
        )
    )
    chunks.insert(draw(st.integers(0, len(chunks))), (kind, draw(st.binary(max_size=20))))
    return png_of(chunks)


def _pixels_changed(draw, contents):
    """Before they are compressed: filters, or too few or too many."""
    chunks = png_chunks(contents)
    try:
        pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    except zlib.error:
        return contents
    pixels = zlib.compress(draw(st.sampled_from([_bytes_changed, _cut, _taken_out, _put_in, _doubled]))(draw, pixels))
    at = next((index for index, (kind, _) in enumerate(chunks) if kind == b"IDAT"), len(chunks))
    others = [(kind, data) for kind, data in chunks if kind != b"IDAT"]
    half = draw(st.integers(0, len(pixels)))
    return png_of([*others[:at], (b"IDAT", pixels[:half]), (b"IDAT", pixels[half:]), *others[at:]])


def jpeg_segments(contents: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the first scan's, each with its marker, and all that follows them."""
    at, segments = 2, []
    while contents[at : at + 1] == b"\xff" and contents[at + 1 : at + 2] != b"\xda" and at + 4 <= len(contents):
        end = at + 2 + struct.unpack(">H", contents[at + 2 : at + 4])[0]
        segments.append(contents[at:end])
        at = end
    return segments, contents[at:]


def _segments_changed(draw, contents):
    segments, rest = jpeg_segments(contents)
    if not segments:
        return contents
    index = draw(st.integers(0, len(segments) - 1))
    match draw(st.sampled_from(["order", "out", "twice", "inside", "new"])):
        case "order":
            segments = draw(st.permutations(segments))
        case "out":
            del segments[index]
        case "twice":
            segments.insert(index, segments[index])
        case "inside":
            marker, data = segments[index][:2], _bytes_changed(draw, segments[index][4:])
            segments[index] = marker + struct.pack(">H", len(data) + 2) + data
        case "new":
            data = draw(st.binary(max_size=20))
            marker = bytes([0xFF, draw(st.sampled_from([0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDD, 0xC4, 0xDB, 0xDC]))])
            segments.insert(index, marker + struct.pack(">H", len(data) + 2) + data)
    return contents[:2] + b"".join(segments) + rest


_OF_FORMAT: dict[str, tuple[Damage, ...]] = {
    "png": (
        _chunk_changed,
        _chunks_in_another_order,
        _chunk_taken_out_or_doubled,
        _chunk_put_in,
        _pixels_changed,
    ),
    "jpeg": (_segments_changed,),
}
