#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The archive rewriter against bare gunzip and SHA-256 of the same layer.

For images of large, of ordinary and of small files, with plain and with gzip
layers, in interleaved pairs. Needs no engine.
"""

import collections.abc
import gzip
import hashlib
import io
import random
import statistics
import time

from nova_docker.image import archive
from tests.fixtures import archives

_PAIRS = 5
_CHUNK = 256 << 10
_GZIP = b'\x1f\x8b'
#: Number and size, in bytes, of the files of a layer.
_SHAPES = {'large files': (2, 48 << 20), 'ordinary files': (3000, 32 << 10),
           'small files': (12000, 4 << 10)}


def _layer(number: int, size: int) -> bytes:
    """A layer whose files are half random, so that gzip has some work."""
    rng = random.Random(number)
    data = rng.randbytes(size // 2) + bytes(size // 2)
    return archives.layer(*((f'usr/lib/{x}', data) for x in range(number)))


def _rewrite(data: bytes) -> None:
    for _piece in archive.Rewriter(io.BytesIO(data), 'reference', 'amd64'):
        pass


def _verify(data: bytes) -> None:
    """The least that there is to do: unpack and digest the layer."""
    digest = hashlib.sha256()
    if data.startswith(_GZIP):
        with gzip.open(io.BytesIO(data)) as unpacked:
            while piece := unpacked.read(_CHUNK):
                digest.update(piece)
    else:
        for at in range(0, len(data), _CHUNK):
            digest.update(data[at:at + _CHUNK])


def _seconds(function: collections.abc.Callable[[bytes], None],
             data: bytes) -> float:
    start = time.perf_counter()
    function(data)
    return time.perf_counter() - start


def main() -> None:
    """Print MB/s of unpacked image data; the slowest is the last line."""
    slowest = float('inf')
    for shape, (number, size) in _SHAPES.items():
        layer = _layer(number, size)
        for kind, data, stored in (
                ('plain', archives.docker25([layer]), layer),
                ('gzip', archives.oci([layer]), gzip.compress(layer, 1))):
            pairs = [(_seconds(_rewrite, data), _seconds(_verify, stored))
                     for _ in range(_PAIRS)]
            ours, bare = (statistics.median(x) for x in zip(*pairs))
            rate = len(layer) / ours / 1e6
            slowest = min(slowest, rate)
            print(f'{shape}, {kind}: {rate:.0f} MB/s of layers, '
                  f'{ours / bare:.2f} times the time of gunzip and sha256')
    print(f'archive: at least {slowest:.0f} MB/s')


if __name__ == '__main__':
    main()
