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


"""DockerDriver.destroy against bare removal by force on the same engine."""

from tests.benchmarks import bed

_PAIRS = 20


def main() -> None:
    """Print the ratio to a bare bridge container."""
    options = bed.arguments(__doc__, _PAIRS)
    ours, bare = [], []
    with bed.Bed(options) as both:
        # One more than asked for: the first of all is slow.
        for _ in range(options.pairs + 1):
            instance, name = both.instance(), bed.name()
            both.spawn(instance)
            both.run(name)
            ours.append(bed.seconds(both.destroy, instance))
            bare.append(bed.seconds(both.remove, name))
    print(bed.ratio('destroy / docker rm --force (bridge)', ours[1:],
                    bare[1:]))
