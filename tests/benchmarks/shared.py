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


"""What a second image on the same layers sends to the engine."""

from tests.benchmarks import images

_MEGABYTES = 100


def main() -> None:
    """Print the bytes of both images and of both loads."""
    options = images.arguments(__doc__, 1, _MEGABYTES)
    base = images.Layer('base', options.megabytes)
    with images.Images() as engine:
        for number in range(2):
            image = engine.ensure(images.archive(
                base, images.Layer(f'top{number}', 2)))
            print(f'image {number + 1} of {image.size / 1e6:.1f} MB: '
                  f'{engine.engine.sent / 1e6:.1f} MB sent')
    print(f'shared: {engine.engine.sent / image.size:.3f} of the second '
          'image is sent')
