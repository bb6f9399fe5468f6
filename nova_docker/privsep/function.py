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

"""What a network card does for a virtual function (VF).

It is set on the physical function, which stays on the host: whoever has the
VF can not change it.
"""

import errno
import typing

import pyroute2

import nova_docker.privsep
from nova_docker.privsep import namespace

#: Of a VF that no port has.
_NO_MAC = '00:00:00:00:00:00'
#: rtnetlink(7): tell about VFs, too.
_RTEXT_FILTER_VF = 1


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def configure(physical: str, number: int, mac: str, vlan: int,
              trusted: bool) -> None:
    """Give a VF its MAC address, its VLAN, and the card's trust or none.

    What is so already is not set: many cards reset the VF, and its traffic
    with it.

    :param physical: the interface of the physical function
    :param number: of the VF
    :param vlan: 0 for none
    :raises OSError: the card refuses, or there is no such VF
    """
    with namespace.os_errors(), pyroute2.IPRoute() as ip:
        _set(ip, physical, number, mac, vlan, trusted)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def reset(physical: str, number: int, mac: str) -> bool:
    """Undo :func:`configure`, unless another port has the VF by now.

    A card delivers to the MAC address of a VF that nobody uses, and that
    port is lost on the host where its port is next.

    :param mac: of the port that had it
    :returns: whether it was so
    :raises OSError: the card refuses, or there is no such VF
    """
    with namespace.os_errors(), pyroute2.IPRoute() as ip:
        if _settings(ip, physical, number)['mac'] != mac:
            return False
        _set(ip, physical, number, _NO_MAC, 0, False)
        return True


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def set_mac(name: str, mac: str) -> None:
    """Give the interface of a VF its MAC address, unless it has it.

    :raises OSError: it is gone, or refuses; some cards do until they know
        what :func:`configure` set
    """
    with namespace.os_errors(), pyroute2.IPRoute() as ip:
        link = _link(ip, name)
        if link.get_attr('IFLA_ADDRESS') != mac:
            ip.link('set', index=link['index'], address=mac)


def _set(ip: pyroute2.IPRoute, physical: str, number: int, mac: str,
         vlan: int, trusted: bool) -> None:
    known = _settings(ip, physical, number)
    changed = {key: value for key, value in (
        ('mac', mac), ('vlan', vlan), ('trust', int(trusted)))
        if known[key] != value}
    if changed:
        ip.link('set', index=_link(ip, physical)['index'],
                vf={'vf': number, **changed})


def _settings(ip: pyroute2.IPRoute, physical: str,
              number: int) -> dict[str, typing.Any]:
    """What the card does for a VF now."""
    link = _link(ip, physical, ext_mask=_RTEXT_FILTER_VF)
    functions = link.get_attr('IFLA_VFINFO_LIST')
    for function in functions.get_attrs('IFLA_VF_INFO') if functions else ():
        mac = function.get_attr('IFLA_VF_MAC')
        if mac['vf'] == number:
            trust = function.get_attr('IFLA_VF_TRUST')
            return {'mac': mac['mac'],
                    'vlan': function.get_attr('IFLA_VF_VLAN')['vlan'],
                    # A card that trusts nobody says -1, or nothing.
                    'trust': int(bool(trust) and trust['trust'] == 1)}
    raise OSError(errno.ENODEV, f'{physical} has no virtual function {number}')


def _link(ip: pyroute2.IPRoute, name: str, **arguments: int) -> typing.Any:
    index = namespace.find(ip, name)
    if index is None:
        raise OSError(errno.ENODEV, f'no link {name}')
    return ip.link('get', index=index, **arguments)[0]
