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

"""The pages of consoles: noVNC, and xterm.js in a page of ours.

Nova's proxies serve them. Where the distribution's xterm.js is too old for the
page, packages of a later suite are unpacked: they are text for browsers.
"""

import pathlib

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: First major version of xterm.js with what the page uses.
FLOOR = 5
#: A suite that has it.
_SUITE = 'trixie'

#: What the proxies serve, and where the packages have it.
_FOLDERS = {'novnc': 'usr/share/novnc', 'xterm': 'usr/share/javascript/xterm'}

_SERIAL = pathlib.Path(__file__).with_name('serial.html')


def path() -> pathlib.Path:
    """Folder of what the packages have; got ready when it is not."""
    return paths.once('pages', _unpack)


def _unpack(folder: pathlib.Path) -> None:
    suite = _choose()
    with progress.Step(f'noVNC and xterm.js of {suite}'):
        packages.unpack(['novnc', 'libjs-xterm'], suite, folder)


def _choose() -> str:
    """The suite to take them from."""
    offered = packages.candidate('libjs-xterm', refresh=True)
    return (packages.codename()
            if offered and packages.major(offered) >= FLOOR else _SUITE)


def link(web: pathlib.Path) -> None:
    """Make a folder of all pages, in links."""
    web.mkdir()
    for name, folder in _FOLDERS.items():
        (web / name).symlink_to(path() / folder)
    (web / _SERIAL.name).symlink_to(_SERIAL)
