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

#: Bytes that are enough to find a place again.
_MARK = 256


def unseen(seen: bytes, log: bytes) -> bytes:
    """The part of a log that is new to one who has seen its earlier part.

    :param log: its end; all of it is new where what was seen is not in it
    """
    mark = seen[-_MARK:]
    at = log.rfind(mark) if mark else -1
    return log if at < 0 else log[at + len(mark):]


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
