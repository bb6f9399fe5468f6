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

"""What keeps an instance inside its container.

Source: HostConfig of POST /containers/create. doc/source/admin/security.rst
says line by line what each means to a tenant.
"""

import typing


def host_config() -> dict[str, typing.Any]:
    """HostConfig of the default isolation; the same for every instance.

    The engine's own defaults that are relied upon are written out where the
    API lets them be, so that an engine configured otherwise changes nothing.
    NET_RAW stays: a guest may send what it likes, as a VM may, and Neutron's
    port security drops what is not its own. MKNOD goes: with it a device node
    made inside meets only the device cgroup.
    """
    return {
        'Privileged': False,
        **capabilities(raw_sockets=True, net_admin=False),
        'SecurityOpt': options(new_privileges=False),
        'NetworkMode': 'none',
        'IpcMode': 'private',
        'PidMode': '',
        'UTSMode': '',
        'CgroupnsMode': 'private',
        'PublishAllPorts': False,
    }


def capabilities(raw_sockets: bool, net_admin: bool) -> dict[str, typing.Any]:
    """HostConfig of the capabilities.

    :param raw_sockets: whether there may be packet and raw sockets. A packet
        socket can pass by the queue that limits what an interface sends
        (PACKET_QDISC_BYPASS).
    :param net_admin: whether the instance sets up its own interfaces; it has
        its own network namespace, and can reach no other
    """
    return {'CapDrop': ['MKNOD'] if raw_sockets else ['MKNOD', 'NET_RAW'],
            'CapAdd': ['NET_ADMIN'] if net_admin else []}


def options(new_privileges: bool) -> list[str]:
    """SecurityOpt.

    :param new_privileges: whether set-user-ID programs such as sudo work
    """
    return [f'no-new-privileges:{str(not new_privileges).lower()}']
