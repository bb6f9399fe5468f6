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

"""DockerDriver.snapshot against docker commit and docker save > /dev/null."""

import pathlib
import resource
import subprocess
import sys
import time

from oslo_utils import uuidutils

from nova_docker.spec import names
from tests.benchmarks import bed

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / 'tools'))

from evalcloud import engine  # noqa: E402

_PAIRS = 5
_SIZE = 400 << 20
#: What cannot be compressed, so that both image stores have as much to do.
_WRITER = (f'sh -c "head -c {_SIZE} /dev/urandom > /big; echo written; '
           'while :; do sleep 100; done"')


def _peak() -> float:
    """MiB of memory that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _wait_until_written(both: bed.Bed, container: str) -> None:
    while not both.engine.container_logs(container, 100):
        time.sleep(0.5)


def main() -> None:
    """Print the growth of memory and the ratio to the engine's own client."""
    options = bed.arguments(__doc__, _PAIRS)
    docker = engine.path() / 'docker'
    ours, bare = [], []
    with bed.Bed(options) as both:
        both.image.properties.os_command_line = _WRITER
        instance = both.instance()
        both.spawn(instance)
        container = names.container_name(instance.uuid)
        _wait_until_written(both, container)
        bare_image = f'benchmark.invalid/{instance.uuid}:bare'

        def snapshot() -> None:
            both.driver.snapshot(both.context, instance,
                                 uuidutils.generate_uuid(),
                                 lambda **kwargs: None)

        def commit_and_save() -> None:
            both.engine.commit_container(container, bare_image)
            subprocess.run([docker, '--host', both.url, 'save', bare_image],
                           stdout=subprocess.DEVNULL, check=True)

        before = _peak()
        # One more than asked for: the first of all is slow.
        for _ in range(options.pairs + 1):
            ours.append(bed.seconds(snapshot))
            bare.append(bed.seconds(commit_and_save))
            both.engine.remove_image(bare_image)
    print(f'{_SIZE >> 20} MiB changed; memory grew by '
          f'{_peak() - before:.1f} MiB')
    print(bed.ratio('snapshot / docker commit and save', ours[1:], bare[1:]))
