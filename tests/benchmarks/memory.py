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


"""How much memory a process needs for a large image."""

import threading

import psutil

from tests.benchmarks import images
from tests.benchmarks import results

_MEGABYTES = 2048
_LAYERS = 4


class _Peak(threading.Thread):
    """Looks at the memory of this process again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._stopping = threading.Event()
        self.first = self.most = self._process.memory_info().rss

    def run(self) -> None:
        while not self._stopping.wait(0.02):
            self.most = max(self.most, self._process.memory_info().rss)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def main() -> None:
    """Print the growth, of this process, with Glance's side of the stream."""
    options = images.arguments(__doc__, 1, _MEGABYTES)
    with images.Images() as engine:
        # What is imported, connected and allocated once.
        engine.remove(engine.ensure(images.archive(
            images.Layer('first', 1))).reference)
        peak = _Peak()
        peak.start()
        image = engine.ensure(images.archive(*(
            images.Layer(f'layer{number}', options.megabytes // _LAYERS)
            for number in range(_LAYERS))))
        peak.stop()
    results.parts('memory', {'growth': peak.most - peak.first,
                             'image': image.size}, 'bytes')
    print(f'memory: {(peak.most - peak.first) / 2**20:.1f} MiB more for an '
          f'image of {image.size / 2**20:.0f} MiB')
