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

"""The block devices under files of this host, by their numbers."""

import errno
import glob
import os

Number = tuple[int, int]


def disk_of(path: str, proc: str = '/proc', sys: str = '/sys') -> Number:
    """The disk that has a file: of a partition, the whole.

    That is what the kernel's limits are of.

    :raises OSError: it is on no block device
    """
    device = os.stat(path).st_dev
    if not os.major(device):
        # As of btrfs: what is mounted tells.
        source = _source(os.path.realpath(path), proc)
        device = os.stat(source).st_rdev
        if not os.major(device):
            raise OSError(errno.ENOTBLK, 'is on no block device', path)
    entry = os.path.realpath(os.path.join(sys, 'dev/block', _text(device)))
    if os.path.exists(os.path.join(entry, 'partition')):
        entry = os.path.dirname(entry)
    with open(os.path.join(entry, 'dev'), encoding='ascii') as file:
        return _number(file.read())


def loop_of(image: str, sys: str = '/sys') -> Number:
    """The loop device of a file.

    :raises OSError: there is none
    """
    for path in glob.glob(os.path.join(sys, 'block/loop*/loop/backing_file')):
        with open(path, encoding='utf-8') as file:
            if file.read().rstrip('\n') == image:
                block = os.path.dirname(os.path.dirname(path))
                with open(os.path.join(block, 'dev'),
                          encoding='ascii') as number:
                    return _number(number.read())
    raise OSError(errno.ENXIO, 'has no loop device', image)


def _source(path: str, proc: str) -> str:
    """The source of the mount that a path is in, as proc(5) has it."""
    found, longest = path, 0
    with open(os.path.join(proc, 'self/mountinfo'),
              encoding='utf-8') as mountinfo:
        for line in mountinfo:
            before, _dash, after = line.partition(' - ')
            point = before.split(' ')[4]
            if (os.path.commonpath((path, point)) == point and
                    len(point) >= longest):
                found, longest = after.split(' ')[1], len(point)
    return found


def _text(device: int) -> str:
    return f'{os.major(device)}:{os.minor(device)}'


def _number(text: str) -> Number:
    major, minor = text.strip().split(':')
    return int(major), int(minor)
