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

"""What is done about an instance whose health check fails.

Nova knows the flavor extra spec and the image property as those of a
virtual machine's watchdog device: https://docs.openstack.org/nova/latest/
configuration/extra-specs.html
"""

import collections.abc
import typing

#: What a watchdog can do, by the verbs of Nova.
PAUSE = 'pause'
POWER_OFF = 'poweroff'
RESET = 'reset'
_NOTHING = ('none', 'disabled')


def action(extra_specs: collections.abc.Mapping[str, str],
           image_properties: typing.Any) -> str | None:
    """What the watchdog of an instance does; None without one.

    The image property wins, as in Nova's libvirt driver.

    :param image_properties: nova.objects.ImageMetaProps
    :raises ValueError: it is none of the known ones
    """
    wanted: str | None = image_properties.get(
        'hw_watchdog_action') or extra_specs.get('hw:watchdog_action')
    if wanted is None or wanted in _NOTHING:
        return None
    if wanted not in (PAUSE, POWER_OFF, RESET):
        raise ValueError(f'the watchdog action {wanted} is unknown')
    return wanted
