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

"""What the kernel of this host makes of the layers of containers."""

import os

#: Attributes ``trusted.overlay.*`` that say that the content of a file is
#: elsewhere, and the parameters of which one lets the kernel look there.
_FOLLOWED = {'redirect': ('redirect_dir', 'redirect_always_follow'),
             'metacopy': ('metacopy',)}
#: Those that each kernel knows, or that :mod:`nova_docker.privsep.archive`
#: leaves out.
_ANYWHERE = frozenset(('opaque', 'origin', 'impure', 'uuid'))


def special(noted: set[str]) -> list[str]:
    """Of the attributes of a layer, those that not each kernel follows."""
    return sorted(noted - _ANYWHERE)


def follows(attribute: str, sys: str = '/sys') -> bool:
    """Whether overlay follows an attribute, mounted as the engine does it.

    One that it does not follow hides the content of the file.

    :param attribute: what comes after ``trusted.overlay.``
    """
    return any(_parameter(sys, name) == 'Y'
               for name in _FOLLOWED.get(attribute, ()))


def _parameter(sys: str, name: str) -> str:
    """A parameter of overlay; empty where the kernel does not have it."""
    path = os.path.join(sys, 'module/overlay/parameters', name)
    try:
        with open(path) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ''
