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

"""Files as block devices, by the kernel's loop devices."""

import pathlib

from evalcloud import progress

_DEVICES = pathlib.Path('/sys/block')


def of(path: pathlib.Path) -> list[str]:
    """Devices whose file is ``path``, or is below it."""
    return [f'/dev/{folder.parent.name}' for folder in _folders(path)]


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
    """What the kernel says of them."""
    found = []
    for file in sorted(_DEVICES.glob('loop*/loop/backing_file')):
        try:
            name = file.read_text()
        except OSError:
            # Somebody lets it go right now.
            continue
        name = name.rstrip('\n').removesuffix(' (deleted)')
        if pathlib.Path(name).is_relative_to(path):
            found.append(file.parent)
    return found


def attach(file: pathlib.Path) -> str:
    """The device of a file, a new one unless there is one.

    :raises Failure: it was detached while somebody had it open, and goes
        when that ends.
    """
    for folder in _folders(file):
        if (folder / 'autoclear').read_text().strip() == '1':
            raise progress.Failure(
                f'/dev/{folder.parent.name} of {file} is still in use')
    return progress.run('losetup', '--find', '--show', '--nooverlap',
                        str(file)).strip()


def resize(file: pathlib.Path) -> None:
    """Let the device of a file, if there is one, have the file's size."""
    for device in of(file):
        progress.run('losetup', '--set-capacity', device)


def detach(path: pathlib.Path) -> None:
    """Remove the devices of a file, or of all files in a folder."""
    for device in of(path):
        try:
            progress.run('losetup', '--detach', device)
        except progress.Failure:
            if device in of(path):
                raise
