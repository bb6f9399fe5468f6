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

"""The names and labels that tie an instance to its things on the host.

Identity is by label. Names are deterministic so that every step can be
repeated ("create or adopt", "remove if there"), and are never parsed.
"""

import collections.abc
import hashlib
import json
import posixpath

from nova_docker.spec import paths
from nova_docker.spec import throttle

#: Version of what the labels mean. It is raised when older drivers would
#: misread new labels; a label that they may ignore does not need that. All
#: versions up to this one are understood for ever.
SCHEMA = '1'

#: What the names of all labels of the driver begin with.
LABEL_PREFIX = 'org.openstack.nova-docker.'
LABEL_INSTANCE = LABEL_PREFIX + 'instance'
LABEL_HOST = LABEL_PREFIX + 'host'
LABEL_NAME = LABEL_PREFIX + 'name'
LABEL_PROJECT = LABEL_PREFIX + 'project'
LABEL_ROLE = LABEL_PREFIX + 'role'
LABEL_SCHEMA = LABEL_PREFIX + 'schema'
LABEL_WATCHDOG = LABEL_PREFIX + 'watchdog'
LABEL_ROOT_DISK = LABEL_PREFIX + 'root-disk'
LABEL_DHCP = LABEL_PREFIX + 'dhcp'
LABEL_EPHEMERALS = LABEL_PREFIX + 'ephemeral-disks'
LABEL_DISK_LIMITS = LABEL_PREFIX + 'disk-limits'
LABEL_CPUS = LABEL_PREFIX + 'cpus'
LABEL_PAGES = LABEL_PREFIX + 'huge-pages'
LABEL_PCI = LABEL_PREFIX + 'pci-devices'
LABEL_CDI = LABEL_PREFIX + 'cdi-devices'
LABEL_CONSOLE = LABEL_PREFIX + 'console'
#: Of an image: the directories that it declared to be volumes, as JSON.
LABEL_VOLUMES = LABEL_PREFIX + 'volumes'

#: The roles of an instance's containers: its own, and the one that stands in
#: for that. Each has the label, or it would be that of its image.
_OWN = 'server'
_RESCUE = 'rescue'

#: Vendor and class of the CDI devices. A class of one character panics
#: dockerd 26.1 and 28.5.
CDI_KIND = 'nova-docker.openstack.org/instance'

#: Repository of the private image references. No registry has this name.
IMAGE_REPOSITORY = 'nova-docker.invalid/glance'
#: The same for those that another host has sent, with a server that is of it.
CARRIED_REPOSITORY = 'nova-docker.invalid/carried'
#: Repository of what is committed for a snapshot, as long as that takes.
SNAPSHOT_REPOSITORY = 'nova-docker.invalid/snapshot'


def container_name(instance_uuid: str) -> str:
    """Name of the instance's container on the engine."""
    return f'nova-{instance_uuid}'


def rescue_name(instance_uuid: str) -> str:
    """Name of the container that an instance is rescued with."""
    return f'nova-{instance_uuid}-rescue'


def replaced_name(instance_uuid: str) -> str:
    """Name of an instance's container while a rebuild replaces it."""
    return f'nova-{instance_uuid}-replaced'


def unconfirmed_name(instance_uuid: str) -> str:
    """Name of the container that a resize leaves until it is confirmed."""
    return f'nova-{instance_uuid}-unconfirmed'


def source_name(instance_uuid: str) -> str:
    """Name of the container whose files a root volume gets."""
    return f'nova-{instance_uuid}-source'


def source_labels() -> dict[str, str]:
    """The labels of that container, which is none of an instance.

    Empty, or they would be those of its image.
    """
    return dict.fromkeys((
        LABEL_INSTANCE, LABEL_HOST, LABEL_NAME, LABEL_PROJECT, LABEL_ROLE,
        LABEL_SCHEMA, LABEL_WATCHDOG, LABEL_ROOT_DISK, LABEL_DHCP,
        LABEL_EPHEMERALS, LABEL_DISK_LIMITS, LABEL_CPUS, LABEL_PAGES,
        LABEL_PCI, LABEL_CDI, LABEL_CONSOLE), '')


def labels(instance_uuid: str, name: str, host: str,
           project_id: str, rescue: bool = False) -> dict[str, str]:
    """The labels of a container of the instance.

    :param name: Nova's internal name of the instance, instance-0000002a
    :param rescue: whether it is the one to rescue the instance with
    """
    return {LABEL_INSTANCE: instance_uuid, LABEL_NAME: name,
            LABEL_HOST: host, LABEL_PROJECT: project_id,
            LABEL_SCHEMA: SCHEMA, LABEL_ROLE: _RESCUE if rescue else _OWN}


def watchdog_label(action: str | None) -> dict[str, str]:
    """The label that says what the container's watchdog does.

    :param action: of nova_docker.spec.watchdog.action; without one, the label
        is empty, or it would be that of the image
    """
    return {LABEL_WATCHDOG: action or ''}


def root_disk_label(kind: str) -> dict[str, str]:
    """The label that says how the container's root disk is held to its size.

    :param kind: of nova_docker.spec.disk.kind
    """
    return {LABEL_ROOT_DISK: kind}


def dhcp_label(dhcp: bool) -> dict[str, str]:
    """The label that says whether the container sets up its interfaces.

    :param dhcp: of nova_docker.spec.dhcp.wanted
    """
    return {LABEL_DHCP: 'true' if dhcp else ''}


def is_dhcp(container_labels: collections.abc.Mapping[str, str]) -> bool:
    """Whether a labelled container sets up its interfaces."""
    return bool(container_labels.get(LABEL_DHCP))


def disk_limits_label(limits: throttle.Limits) -> dict[str, str]:
    """The label that says how fast the container may use its disks."""
    return {LABEL_DISK_LIMITS: str(limits)}


def disk_limits(container_labels: collections.abc.Mapping[str, str]
                ) -> throttle.Limits:
    """What :func:`disk_limits_label` says."""
    return throttle.Limits.parse(container_labels.get(LABEL_DISK_LIMITS, ''))


def cpus_label(claimed: bool) -> dict[str, str]:
    """The label that says whether Nova chose the container's CPUs."""
    return {LABEL_CPUS: 'claimed' if claimed else ''}


def has_cpus(container_labels: collections.abc.Mapping[str, str]) -> bool:
    """What :func:`cpus_label` says."""
    return bool(container_labels.get(LABEL_CPUS))


def pages_label(pages: collections.abc.Mapping[int, int]) -> dict[str, str]:
    """The label that says which huge pages the container has.

    :param pages: of nova_docker.spec.pages.of
    """
    return {LABEL_PAGES: ','.join(
        f'{size}:{memory}' for size, memory in sorted(pages.items()))}


def pages(container_labels: collections.abc.Mapping[str, str]
          ) -> dict[int, int]:
    """What :func:`pages_label` says."""
    found = container_labels.get(LABEL_PAGES)
    return {int(size): int(memory) for size, _colon, memory in (
        word.partition(':') for word in found.split(','))} if found else {}


def devices_label(addresses: collections.abc.Iterable[str],
                  cdi: collections.abc.Iterable[str]) -> dict[str, str]:
    """The labels that say which devices of the host the container has.

    :param addresses: of PCI devices whose nodes it has
    :param cdi: names of CDI devices that are chosen among others
    """
    return {LABEL_PCI: ','.join(addresses), LABEL_CDI: ','.join(cdi)}


def devices(container_labels: collections.abc.Mapping[str, str]
            ) -> tuple[list[str], list[str]]:
    """What :func:`devices_label` says."""
    addresses, cdi = ([word for word in container_labels.get(
        label, '').split(',') if word] for label in (LABEL_PCI, LABEL_CDI))
    return addresses, cdi


def ephemerals_label(mark: str, sizes: collections.abc.Sequence[int]
                     ) -> dict[str, str]:
    """The label that says what ephemeral disks a container has.

    :param mark: tells them from those of the instance's other containers
    :param sizes: GiB of each; none leaves the label empty
    """
    return {LABEL_EPHEMERALS:
            ':'.join([mark, *map(str, sizes)]) if sizes else ''}


def ephemerals(container_labels: collections.abc.Mapping[str, str]
               ) -> tuple[str, list[int]]:
    """The mark and the sizes that :func:`ephemerals_label` was given."""
    mark, *sizes = container_labels.get(LABEL_EPHEMERALS, '').split(':')
    return mark, [int(size) for size in sizes]


def host_filter(host: str) -> list[str]:
    """Label filter that matches the containers of one nova-compute."""
    return [f'{LABEL_HOST}={host}']


def instance_filter(instance_uuid: str, host: str) -> list[str]:
    """Label filter that matches the container of one instance."""
    return [f'{LABEL_INSTANCE}={instance_uuid}', f'{LABEL_HOST}={host}']


def is_rescue(container_labels: collections.abc.Mapping[str, str]) -> bool:
    """Whether a labelled container is one to rescue an instance with."""
    return container_labels.get(LABEL_ROLE) == _RESCUE


def is_known(container_labels: collections.abc.Mapping[str, str]) -> bool:
    """Whether this driver understands the labels of a container.

    One without a version is older than versions are.
    """
    version = container_labels.get(LABEL_SCHEMA) or '0'
    return version.isdecimal() and int(version) <= int(SCHEMA)


def instance_uuid(container_labels: collections.abc.Mapping[str, str]) -> str:
    """The instance that a labelled container belongs to."""
    return container_labels[LABEL_INSTANCE]


def device(instance_uuid: str, rescue: bool = False) -> str:
    """Name of the CDI device of one of the instance's containers.

    The instance's CDI specification has that of the container which may run;
    the engine refuses to start another one.
    """
    return f'{instance_uuid}-{_RESCUE}' if rescue else instance_uuid


def cdi_device(device_name: str) -> str:
    """Fully qualified name of a CDI device."""
    return f'{CDI_KIND}={device_name}'


def system_device(device_name: str) -> str:
    """Name of the second CDI device, that of system containers.

    :param device_name: of the first, fully qualified or not
    """
    return f'{device_name}-system'


def nesting_device(device_name: str) -> str:
    """Name of the CDI device of instances with engines of their own.

    :param device_name: of the first, fully qualified or not
    """
    return f'{device_name}-nesting'


def pci_device(device_name: str) -> str:
    """Name of the CDI device with the nodes of PCI devices.

    :param device_name: of the first
    """
    return f'{device_name}-pci'


def cdi_file(instance_uuid: str) -> str:
    """File name of the instance's CDI specification."""
    return f'nova-docker-{instance_uuid}.json'


def image_reference(image_id: str, checksum: str | None) -> str:
    """Private engine reference of a Glance image.

    :param checksum: Glance's checksum of the data, any hexadecimal text or
        None when Glance has none. It is hashed so that the tag is always of
        a legal length and alphabet.
    """
    return f'{image_prefix(image_id)}{_tag(checksum or "")}'


def image_prefix(image_id: str) -> str:
    """What all references of a Glance image begin with."""
    return f'{IMAGE_REPOSITORY}/{image_id}:'


def base_references(image: str) -> tuple[str, str]:
    """What the image of a container can be called on any host.

    As it came from Glance, and as another host has sent it.

    :param image: its private reference on one of them
    """
    name = image.rpartition('/')[2]
    return f'{IMAGE_REPOSITORY}/{name}', f'{CARRIED_REPOSITORY}/{name}'


def volume_reference(digest: str) -> str:
    """Private engine reference of an image that came from a volume.

    By what it is made of, for nothing else that is said of it can be trusted.

    :param digest: SHA-256 of that, as hexadecimal text
    """
    return f'{image_prefix("volume")}{digest}'


def snapshot_reference(image_id: str, host: str) -> str:
    """Private engine reference of what is committed for a Glance image."""
    return f'{SNAPSHOT_REPOSITORY}/{image_id}:{_tag(host)}'


def snapshot_pattern(host: str) -> str:
    """Pattern of the references of the snapshots of one nova-compute."""
    return f'{SNAPSHOT_REPOSITORY}/*:{_tag(host)}'


def _tag(text: str) -> str:
    """A legal tag that stands for any text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def pulled_references(image_id: str, image_ref: str) -> str:
    """What the private references of a Glance image begin with that is in a
    registry: they differ in the digest of its manifest.

    :param image_ref: as the image property docker_image_ref has it
    """
    key = hashlib.sha256(image_ref.encode()).hexdigest()[:16]
    return f'{IMAGE_REPOSITORY}/{image_id}:{key}-'


def pulled_reference(image_id: str, image_ref: str, digest: str) -> str:
    """Private engine reference of an image in a registry.

    :param digest: of its manifest or index, ``sha256:...``
    """
    return (pulled_references(image_id, image_ref)
            + digest.replace(':', '-'))


def pulled_digest(reference: str) -> str:
    """The digest in what :func:`pulled_reference` returned."""
    return ':'.join(reference.split('-')[-2:])


def is_pulled(reference: str) -> bool:
    """Whether :func:`pulled_reference` returned this private reference."""
    return '-sha256-' in reference.rpartition(':')[2]


def host_device(port_id: str, devname: str | None) -> str:
    """Host end of a port's veth pair: Neutron's device name of the port."""
    return (devname or f'tap{port_id}')[:14]


def parked_device(port_id: str) -> str:
    """Inner end of a port's veth pair while it is not in a container."""
    return f'nd{port_id}'[:14]


def image_volumes(labels: collections.abc.Mapping[str, str] | None
                  ) -> list[str]:
    """The directories that an image declared to be volumes.

    The label may also be a tenant's, with anything in it.

    :param labels: of the image
    """
    try:
        found = json.loads((labels or {}).get(LABEL_VOLUMES, '[]'))
    except ValueError:
        return []
    volumes = [posixpath.normpath(path) for path in found
               if isinstance(path, str)] if isinstance(found, list) else []
    return [path for path in volumes if paths.is_plain(path)]
