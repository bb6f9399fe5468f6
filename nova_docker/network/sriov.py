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

"""The host's side of a port that is a virtual function (VF).

The network card is its switch: what Neutron promises of such a port is set on
the physical function, by the driver as the hypervisor of a virtual machine
would. The interface of the VF goes into the container itself.
"""

import typing

from nova import exception
from nova.i18n import _
from nova.network import model
from nova.pci import utils
from oslo_log import log as logging
from oslo_utils import strutils
import tenacity

from nova_docker.privsep import function
from nova_docker.spec import ports

LOG = logging.getLogger(__name__)

#: Seconds until a VF has come back from a namespace that ends, and until its
#: interface has learned of the address that its card got for it.
_PATIENCE = 10
_PAUSE = 0.1


def names(network_info: typing.Any) -> dict[str, str]:
    """By PCI address, names of the VFs of ports that are on the host."""
    return {address: found for vif in network_info
            if (address := ports.pci_address(vif)) and (found := _name(vif))}


def check(vif: typing.Any) -> str:
    """The name of a port's VF, which must be on the host.

    :raises nova.exception.VirtualInterfacePlugException: it is not
    """
    found = _name(vif)
    if found is None:
        raise exception.VirtualInterfacePlugException(
            _('The virtual function %(address)s of port %(port)s has no '
              'network interface on this host.') %
            {'port': vif['id'], 'address': ports.pci_address(vif)})
    return found


def plug(vif: typing.Any, running: bool) -> bool:
    """Set up a port's VF, wherever its interface is (idempotent).

    :param running: whether it may be in a container that runs
    :returns: whether it is on the host
    :raises nova.exception.VirtualInterfacePlugException: it is nowhere
    :raises OSError: the card refuses
    """
    found = _name(vif) if running else _come_back(vif)
    if vif['type'] == model.VIF_TYPE_HW_VEB:
        function.configure(
            *_physical(vif), vif['address'],
            int(vif['details'].get(model.VIF_DETAILS_VLAN) or 0),
            strutils.bool_from_string(vif['profile'].get('trusted', False)))
    if found:
        _patiently(OSError)(function.set_mac, found, vif['address'])
    return found is not None


def unplug(vif: typing.Any) -> None:
    """Let another port have the VF, which is not in a container any more.

    :raises OSError: the card refuses
    """
    if vif['type'] != model.VIF_TYPE_HW_VEB:
        return
    try:
        physical, number = _physical(vif)
    except exception.VirtualInterfacePlugException:
        LOG.warning('The virtual function of port %s is gone.', vif['id'])
        return
    function.reset(physical, number, vif['address'])


def _name(vif: typing.Any) -> str | None:
    """What a port's VF is called on the host; None: it is not there."""
    try:
        return str(utils.get_ifname_by_pci_address(ports.pci_address(vif)))
    except exception.PciDeviceNotFoundById:
        return None


def _come_back(vif: typing.Any) -> str:
    """As :func:`check`, with patience: a namespace ends some time after its
    last process.
    """
    found: str = _patiently(exception.VirtualInterfacePlugException)(
        check, vif)
    return found


def _patiently(error: type[Exception]) -> tenacity.Retrying:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(error),
        stop=tenacity.stop_after_delay(_PATIENCE),
        wait=tenacity.wait_fixed(_PAUSE), reraise=True)


def _physical(vif: typing.Any) -> tuple[str, int]:
    """The interface of the physical function, and the VF's number there.

    :raises nova.exception.VirtualInterfacePlugException: there is none
    """
    address = ports.pci_address(vif)
    try:
        return (utils.get_ifname_by_pci_address(address, pf_interface=True),
                utils.get_vf_num_by_pci_address(address))
    except exception.PciDeviceNotFoundById as error:
        raise exception.VirtualInterfacePlugException(
            _('The virtual function %(address)s of port %(port)s is not on '
              'this host, or its physical function has no network '
              'interface.') %
            {'port': vif['id'], 'address': address}) from error
