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


"""The driver's load of an image against POST /images/load of its archive."""

import collections.abc
import tempfile
import typing

from tests.benchmarks import bed
from tests.benchmarks import images

_PAIRS = 5
_MEGABYTES = 420
_LAYERS = 4


def _pieces(file: typing.BinaryIO, size: int
            ) -> collections.abc.Iterator[bytes]:
    file.seek(0)
    while piece := file.read(size):
        yield piece


def main() -> None:
    """Print the ratio."""
    options = images.arguments(__doc__, _PAIRS, _MEGABYTES)
    times: dict[str, list[float]] = {'ours': [], 'raw': []}
    with images.Images() as engine, tempfile.TemporaryFile() as file:
        for piece in images.archive(*(
                images.Layer(f'layer{number}', options.megabytes // _LAYERS)
                for number in range(_LAYERS))):
            file.write(piece)

        def ours() -> str:
            return engine.ensure(_pieces(file, images.CHUNK)).reference

        def raw() -> str:
            return engine.load(_pieces(file, 1 << 20))

        # One more than asked for: the first of all is slow.
        for number in range(options.pairs + 1):
            for name, function in (('ours', ours), ('raw', raw))[
                    ::1 if number % 2 else -1]:
                made: list[str] = []
                times[name].append(
                    bed.seconds(lambda: made.append(function())))
                engine.remove(*made)
    print(f'load: {options.megabytes * 2**20 / min(times["ours"]) / 1e6:.0f} '
          'MB/s at best')
    print(bed.ratio('load / POST images/load', times['ours'][1:],
                    times['raw'][1:]))
