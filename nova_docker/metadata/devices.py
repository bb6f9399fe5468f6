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

"""What the metadata of a server says of its devices."""

import collections.abc
import typing

from nova import objects
from nova.virt import netutils


def build(context: typing.Any, instance: typing.Any,
          network_info: typing.Any) -> typing.Any:
    """The devices with a tag of the user or a VLAN of the network, shares.

    Source: nova.virt.libvirt.driver.LibvirtDriver._build_device_metadata. A
    container sees no bus, so that an interface is known by its MAC address,
    and a volume by its path.

    :returns: nova.objects.InstanceDeviceMetadata; None when there are none
    """
    devices = [*_interfaces(context, instance, network_info),
               *_volumes(context, instance), *_shares(context, instance)]
    return objects.InstanceDeviceMetadata(devices=devices) if devices else None


def _interfaces(context: typing.Any, instance: typing.Any,
                network_info: typing.Any
                ) -> collections.abc.Iterator[typing.Any]:
    attached = {vif['address'] for vif in network_info}
    vlans = netutils.get_cached_vifs_with_vlan(network_info)
    for vif in objects.VirtualInterfaceList.get_by_instance_uuid(
            context, instance.uuid):
        # Nova forgets a port only after it was detached.
        if vif.address not in attached:
            continue
        device = objects.NetworkInterfaceMetadata(mac=vif.address)
        if 'tag' in vif and vif.tag:
            device.tags = [vif.tag]
        if vlans.get(vif.address):
            device.vlan = int(vlans[vif.address])
        if 'tags' in device or 'vlan' in device:
            yield device


def _volumes(context: typing.Any, instance: typing.Any
             ) -> collections.abc.Iterator[typing.Any]:
    for bdm in objects.BlockDeviceMappingList.get_by_instance_uuid(
            context, instance.uuid):
        if bdm.is_volume and 'tag' in bdm and bdm.tag:
            yield objects.DiskMetadata(
                serial=bdm.volume_id, path=bdm.device_name, tags=[bdm.tag])


def _shares(context: typing.Any, instance: typing.Any
            ) -> collections.abc.Iterator[typing.Any]:
    for mapping in objects.ShareMappingList.get_by_instance_uuid(
            context, instance.uuid):
        yield objects.ShareMetadata(share_id=mapping.share_id,
                                    tag=mapping.tag)
