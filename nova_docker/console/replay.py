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

"""What of the past a viewer has not seen: neither twice, nor not at all."""

import re

#: Bytes that are enough to find a place again.
_MARK = 256

#: What terminals answer to: who and where they are, which modes and colors
#: they have, and what they can do.
_QUESTIONS = re.compile(
    rb'\x05|\x1bZ|(?:\x1b\[|\xc2\x9b)(?:[=>?]?[0-9;]*(?:[cn]|\$p)|>[0-9;]*q|'
    rb'\?u|(?:1[1-9]|2[01])t)|\x1b\][0-9;]*;\?(?:\x07|\x1b\\)|'
    rb'\x1bP[+$]q[^\x07\x1b]*(?:\x07|\x1b\\)')


def unseen(seen: bytes, log: bytes) -> bytes:
    """The part of a log that is new to one who has seen its earlier part.

    :param log: its end; all of it is new where what was seen is not in it
    """
    mark = seen[-_MARK:]
    at = log.rfind(mark) if mark else -1
    return log if at < 0 else log[at + len(mark):]


def last(output: bytes, size: int) -> bytes:
    """Not more than the last bytes of an output, from where a line begins.

    Else it may begin in the middle of a character, or of what colors it.
    """
    if len(output) <= size:
        return output
    output = output[-size:]
    return output[output.find(b'\n') + 1:]


def unasked(output: bytes) -> bytes:
    """An output that no terminal answers to.

    A question of the past has its answer: another one would be typed into
    whatever runs now.
    """
    return _QUESTIONS.sub(b'', output)


def joined(log: bytes, live: bytes) -> bytes:
    """A log and what was printed since a moment before it was read.

    :param live: it begins before the log's end, or right there
    """
    mark = live[:_MARK]
    at = log.find(mark) if mark else -1
    while at >= 0:
        if live.startswith(log[at:]):
            return log[:at] + live
        at = log.find(mark, at + 1)
    for length in range(min(len(mark), len(log)), 0, -1):
        if log.endswith(mark[:length]):
            return log + live[length:]
    return log + live
