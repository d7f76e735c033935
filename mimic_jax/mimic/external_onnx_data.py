"""An ONNX model's metadata, and the files that it keeps its weights in, read without onnx.

Messages and field numbers are those of onnx.proto3 (ONNX IR version 3 and later). A tensor with weights
in another file has entries `external_data` (13) of a key (1) and a value (2); the key 'location' gives
the file's path, relative to the model's folder. A model has entries `metadata_props` (14) of the same
kind.
"""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

# The fields of each message that lead to tensors, by number.
_CHILDREN = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'function': {7: 'node', 11: 'attribute'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {13: 'entry'},
}
_DEEPEST = 200  # levels of messages within messages: a file that has more is no model


def locations(model: Path) -> list[str]:
    """The paths of a model's external data files as the model writes them, sorted.

    A file that is no ONNX model has none: onnxruntime refuses it with a better reason.
    """
    return sorted(set(_read(model, lambda data: _locations(data, 0, len(data), 'model', 0))))


def metadata(model: Path) -> dict[str, str]:
    """A model's metadata by name; {} where the file is no ONNX model."""
    return dict(_read(model, _metadata))


def _read(model: Path, walk: Callable[[memoryview], Iterator]) -> list:
    """What a walk through a model's file finds; nothing where it is no model."""
    if not model.is_file() or not model.stat().st_size:
        return []
    with (
        model.open('rb') as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as data,
    ):
        try:
            return list(walk(data))
        except ValueError:
            return []


def _metadata(data: memoryview) -> Iterator[tuple[str, str]]:
    for number, first, last in _fields(data, 0, len(data)):
        if number == 14:
            yield _entry(data, first, last)


def _locations(data: memoryview, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError('too deep')
    children = _CHILDREN[message]
    for number, first, last in _fields(data, start, end):
        child = children.get(number)
        if child == 'entry':
            key, value = _entry(data, first, last)
            if key == 'location':
                yield value
        elif child:
            yield from _locations(data, first, last, child, depth + 1)


def _entry(data: memoryview, start: int, end: int) -> tuple[str, str]:
    found = {number: bytes(data[a:b]) for number, a, b in _fields(data, start, end)}
    return found.get(1, b'').decode(errors='replace'), found.get(2, b'').decode()


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of every field of bytes; others are passed over."""
    while start < end:
        tag, start = _varint(data, start, end)
        kind = tag & 7
        if kind == 0:
            _, start = _varint(data, start, end)
        elif kind == 2:
            length, start = _varint(data, start, end)
            if length > end - start:
                raise ValueError('a field beyond the end')
            yield tag >> 3, start, start + length
            start += length
        elif kind in (1, 5):
            start += 8 if kind == 1 else 4
        else:
            raise ValueError('no protocol buffer')


def _varint(data: memoryview, start: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while start < end and shift < 64:
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return value, start
    raise ValueError('no protocol buffer')
