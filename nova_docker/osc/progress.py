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

"""A progress bar.

The client has one (openstackclient.common.progressbar), which needs to know
the size and writes to standard output, into what a script may read.
"""

import collections.abc
import time
import typing

#: Seconds between two updates.
_INTERVAL = 0.2
_WIDTH = 30


def shown(chunks: collections.abc.Iterable[bytes], size: int | None,
          stream: typing.TextIO) -> collections.abc.Iterator[bytes]:
    """The chunks, with how far they are on ``stream`` if it is a terminal.

    :param size: bytes of all chunks, None when they are not known
    """
    if not stream.isatty():
        yield from chunks
        return
    done, next_time = 0, 0.0
    try:
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            if time.monotonic() >= next_time:
                next_time = time.monotonic() + _INTERVAL
                stream.write('\r' + _line(done, size))
                stream.flush()
    finally:
        stream.write('\r' + _line(done, size) + '\n')


def _line(done: int, size: int | None) -> str:
    mebibytes = f'{done / (1 << 20):8.1f} MiB'
    if not size:
        return mebibytes
    share = min(done / size, 1)
    bar = '=' * round(share * (_WIDTH - 1)) + '>'
    return f'[{bar:<{_WIDTH}}] {share:4.0%} {mebibytes}'
