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

"""How Nova finds the driver.

Nova imports ``nova.virt.<compute_driver>`` and nothing else. nova-compute
loads every ``os_vif`` plugin before its driver, and loading ours adds the
folder ``nova_virt`` to the path of the package ``nova.virt``. That works for
a Nova and a driver from wheels and from editable installs alike, where a
``nova/`` folder of our own would hide an editable Nova.
"""

import os
import typing

from nova import virt
from os_vif import exception
from os_vif.objects import host_info
from os_vif import plugin

#: The folder with the module ``docker``, of ``docker.DockerDriver``.
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'nova_virt')


def install() -> None:
    """Make ``nova.virt.docker`` importable (idempotent)."""
    if FOLDER not in virt.__path__:
        virt.__path__.append(FOLDER)


class DockerPlugin(plugin.PluginBase):
    """An os-vif plugin for no VIF: loading it is all that it does."""

    def __init__(self, config: typing.Any) -> None:
        super().__init__(config)
        install()

    def describe(self) -> host_info.HostPluginInfo:
        """No VIF type is ours, so os-vif never chooses this plugin."""
        return host_info.HostPluginInfo(
            plugin_name='nova_docker', vif_info=[])

    def plug(self, vif: typing.Any, instance_info: typing.Any) -> None:
        """Refuse: os-vif calls this only for what describe() lists."""
        raise exception.PlugException(vif=vif, err='not a plugin for VIFs')

    def unplug(self, vif: typing.Any, instance_info: typing.Any) -> None:
        """Refuse: os-vif calls this only for what describe() lists."""
        raise exception.UnplugException(vif=vif, err='not a plugin for VIFs')
