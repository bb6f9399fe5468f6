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

"""The options of a compute host that runs this driver, section [docker].

They are read at the edge (driver.py and host/startup.py) and passed on as
values; no other module reads CONF.docker.

Longer than 400 lines: there are so many options.
"""

import collections.abc

from oslo_config import cfg
from oslo_config import types

GROUP = cfg.OptGroup(
    'docker', title='Docker driver options',
    help='Options of the Docker compute driver, '
         '``compute_driver = docker.DockerDriver``.')

ENGINE_OPTS = [
    cfg.StrOpt(
        'url', default='unix:///var/run/docker.sock',
        regex=r'^(unix://|tcp://|https://)',
        help="""
Address of the Docker Engine that this nova-compute manages.

``unix:///path`` for a socket on this host, or ``tcp://host:port`` with TLS.
The engine must run on the same host: the driver plugs network interfaces
into its containers. Change it when the engine listens elsewhere or when two
engines run on one host.
"""),
    cfg.StrOpt(
        'tls_ca_file',
        help='CA certificates that sign the certificate of the engine. '
             'Unset, the CAs of the system are used. Read for tcp and https '
             'addresses only.'),
    cfg.StrOpt(
        'tls_cert_file',
        help='Client certificate that nova-compute shows to the engine.'),
    cfg.StrOpt(
        'tls_key_file',
        help='Private key of ``tls_cert_file``.'),
    cfg.BoolOpt(
        'tls_verify', default=True,
        help='Verify the certificate and the host name of the engine. '
             'Disable it on test systems only.'),
    cfg.IntOpt(
        'request_timeout', default=60, min=1,
        help="""
Seconds to wait for an answer of the engine.

It bounds every request but those that stream images, events and logs or that
wait for a container to stop. Raise it on hosts whose disks are slow.
"""),
    cfg.StrOpt(
        'cdi_spec_dir', default='/var/run/cdi',
        help="""
Directory for the Container Device Interface specifications of instances.

It must be one of the directories that the engine reads (``cdi-spec-dirs`` in
its configuration; ``docker info`` lists them).
"""),
    cfg.StrOpt(
        'state_dir', default='$state_path/docker',
        help="""
Directory for what the driver keeps of each instance over its own restarts.

The engine's start hook runs from here and writes here, so both see it under
the same path when nova-compute itself runs in a container, and it must not
be mounted noexec.
"""),
    cfg.IntOpt(
        'start_hook_timeout', default=60, min=5, max=600,
        help="""
Seconds that the start of a container waits for its network to be plugged.

Past it the start fails. Starts that happen while nova-compute is down wait
this long for it to come back.
"""),
]

DISK_OPTS = [
    cfg.StrOpt(
        'root_disk', choices=[
            ('engine', 'by the storage option ``size`` of the engine: needs '
             'the storage driver btrfs, zfs, or overlay2 on XFS mounted with '
             'pquota'),
            ('filesystem', 'by a file system of its own under the writable '
             'layer of each container: needs the storage driver overlay2 or '
             'the containerd image store'),
            ('unlimited', 'not at all')],
        help="""
How root disks are held to the size in the flavor.

Unset, ``engine`` is used where it can be, else ``filesystem``; where neither
can, nova-compute refuses to start, and says why. With ``unlimited`` it starts
with a warning: one server can then fill the disk of the host. What a server
was made with it keeps.
"""),
    cfg.StrOpt(
        'disks_dir', default='$state_dir/disks',
        help="""
Directory for the disks of instances that are files.

Its file system is the host's ``DISK_GB`` where root disks are such files. They
are sparse unless ``preallocate_images`` is ``space``. Do not change it while
there are instances on this host.
"""),
]

VOLUME_OPTS = [
    cfg.BoolOpt(
        'volume_use_multipath', default=False,
        help="""
Connect volumes of iSCSI, Fibre Channel and NVMe over all paths there are.

It needs multipathd on this host. Servers that have volumes see the change at
their next hard reboot.
"""),
    cfg.BoolOpt(
        'volume_enforce_multipath', default=False,
        help='Let the connection of a volume fail, rather than use a single '
             'path, when multipathd does not run. Only with '
             '``volume_use_multipath``.'),
    cfg.IntOpt(
        'num_volume_scan_tries', default=5, min=1,
        help='How often this host looks for the device of a volume that it '
             'connects. Raise it where the storage is slow to show it.'),
    cfg.StrOpt(
        'iscsi_iface', default='default',
        help='The interface of open-iscsi for volumes of iSCSI, as '
             '``iscsiadm -m iface`` lists them. Change it for network cards '
             'that do the work of iSCSI.'),
    cfg.ListOpt(
        'volume_filesystems', default=['ext4', 'xfs'],
        item_type=types.String(choices=['ext4', 'xfs']),
        help="""
File systems of volumes that this host mounts.

Users can write to a volume whatever they like, and the kernel of this host
reads it. Leave it empty where they are not to be trusted with that: then
volumes can be attached as block devices only.
"""),
]

SHARE_OPTS = [
    cfg.ListOpt(
        'nfs_mount_options', default=[],
        help="""
Options of mount(8) for shares of NFS, such as ``nfsvers=4.2``.

``nosuid`` and ``nodev`` are always among them. Without ``soft`` or ``softerr``
the programs of a server wait for a storage that does not answer, whatever it
takes, and lose nothing. See nfs(5).
"""),
    cfg.ListOpt(
        'ceph_mount_options', default=[],
        help='The same for shares of CephFS: see mount.ceph(8). The user and '
             'its key come from Manila.'),
    cfg.IntOpt(
        'share_timeout', default=60, min=1,
        help="""
Seconds that mounting or unmounting a share may take.

Past it the start of the server fails, and a share to be unmounted is
detached: it goes when its storage has answered.
"""),
]

GUEST_OPTS = [
    cfg.IntOpt(
        'pids_limit', default=4096, min=16,
        help='Largest number of processes and threads in one instance.'),
    cfg.IntOpt(
        'log_max_size', default=10, min=1,
        help='Largest size, in MiB, of one file of the console log of an '
             'instance.'),
    cfg.IntOpt(
        'log_max_files', default=2, min=1,
        help='Number of files that the console log of an instance keeps.'),
    cfg.IntOpt(
        'console_log_size', default=100, min=1,
        help='KiB of the console log that ``openstack console log show`` '
             'returns at most, counted from its end.'),
    cfg.BoolOpt(
        'system_containers', default=True,
        help="""
Run images that have the property ``docker_system_container=true``.

Their first process is systemd or another init, which may make control groups
below its own. With cgroup v1 the kernel neither counts nor limits these, so
that a server could fill the host's memory with them. Disable it on hosts with
cgroup v1 whose tenants you do not trust; such a server is then built on
another host.
"""),
    cfg.BoolOpt(
        'allow_privileged', default=False,
        help="""
Run servers whose flavor gives them power over this host.

These are ``docker:privileged`` and ``docker:nesting``, the capabilities of
``docker:cap_add`` that reach beyond a container, and each ``unconfined`` of
others. Whoever is root in such a server can become root of this host, unless
the engine remaps users. Enable it on hosts that are for such servers only; the
trait ``CUSTOM_DOCKER_PRIVILEGED`` then leads their flavors here. Elsewhere
they are refused.
"""),
    cfg.ListOpt(
        'allowed_sysctls', default=[
            'kernel.msg*', 'kernel.sem', 'kernel.shm*', 'fs.mqueue.*',
            'net.core.somaxconn', 'net.ipv4.ip_forward',
            'net.ipv4.ip_local_port_range',
            'net.ipv4.ip_local_reserved_ports',
            'net.ipv4.ip_unprivileged_port_start',
            'net.ipv4.ping_group_range', 'net.ipv4.tcp_*',
            'net.ipv6.conf.all.forwarding', 'net.unix.max_dgram_qlen'],
        help="""
Settings of the kernel that flavors may change for their servers.

Names as sysctl(8) has them, with ``*`` for any part, for the extra specs
``docker:sysctl_NAME``. Only those that a container has for itself can be
changed at all.
"""),
    cfg.ListOpt(
        'allowed_devices', default=[],
        help="""
Devices of this host that flavors may give to their servers.

Paths below ``/dev``, with ``*`` for any part, for the extra spec
``docker:devices``. Several servers have the same device then, which has to be
made for that, as ``/dev/fuse`` and ``/dev/net/tun`` are. Never name disks of
this host, ``/dev/mem`` and the like.
"""),
    cfg.ListOpt(
        'allowed_apparmor_profiles', default=['docker-default'],
        help="""
AppArmor profiles of this host that flavors may give to their servers.

Names, with ``*`` for any part, for the extra spec ``docker:apparmor_profile``.
Name those that you have made for servers: others that a host has loaded are
for programs of its own, and some of them hold nothing back.
"""),
    cfg.ListOpt(
        'pci_cdi_devices', default=[],
        item_type=types.String(
            regex=r'^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]='
                  r'[A-Za-z0-9./_-]+=[A-Za-z0-9._:-]+$'),
        help="""
PCI devices that are a vendor's devices of the Container Device Interface, too.

Each is ``ADDRESS=NAME``, such as ``0000:3b:00.0=nvidia.com/gpu=0``. A server
with that PCI device gets what the vendor's specification says, as libraries
of its driver; with any other one it gets the device nodes of the kernel.
"""),
    cfg.ListOpt(
        'vgpu_devices', default=[],
        help="""
Devices of the Container Device Interface that are one ``VGPU`` each.

Parts of GPUs, such as ``nvidia.com/gpu=0:1`` for an instance of MIG. A server
whose flavor has ``resources:VGPU=1`` has one of them for itself.
"""),
    cfg.ListOpt(
        'pgpu_devices', default=[],
        help='The same for whole GPUs and ``resources:PGPU``.'),
    cfg.StrOpt(
        'lxcfs_dir', default='/var/lib/lxcfs',
        help="""
Where lxcfs is mounted on this host, which shows servers their own limits.

Where it is, servers have its ``/proc/meminfo``, ``/proc/cpuinfo`` and others
from their next start on, and the host has the trait ``CUSTOM_DOCKER_LXCFS``.
Change it where lxcfs is elsewhere, and set it to nothing to do without.
"""),
    cfg.StrOpt(
        'seccomp_profiles_dir', default='/etc/nova/seccomp',
        help='Directory of seccomp profiles, ``NAME.json``, for the flavor '
             'extra spec ``docker:seccomp_profile``.'),
    cfg.BoolOpt(
        'cpu_hard_cap', default=True,
        help="""
Limit an instance to the CPU time of its flavor's VCPUs.

Enabled, an instance with two VCPUs never uses more than two CPUs' time.
Disable it to let instances use idle CPUs: then only the weights (CPU shares)
separate them. The extra spec ``quota:cpu_quota`` wins over this option.
"""),
]

SUSPEND_OPTS = [
    cfg.StrOpt(
        'suspend', default='refuse', choices=[
            ('checkpoint', 'the processes and their memory go to the disk of '
             'the engine, and come back from there, also after a reboot of '
             'the host: needs an experimental engine with CRIU'),
            ('freeze', 'the processes stand still and keep their memory; they '
             'are lost when the engine, without its live-restore, or the host '
             'ends'),
            ('refuse', 'it fails, and the server runs on')],
        help="""
What becomes of a server that its user suspends.

With ``checkpoint``, servers can be migrated while they run, too, between
hosts that have it. A server that CRIU can not write down runs on, and its user
is told so; the trait ``CUSTOM_DOCKER_CHECKPOINT`` is there where the host can
do it. Of a server that is suspended already, the resume goes by how it was.
"""),
    cfg.StrOpt(
        'criu', default='criu',
        help="""
The program CRIU, by its path or name, as the engine runs it.

With ``suspend`` set to ``checkpoint``, nova-compute has it check this host's
kernel at its start. Set it to nothing where nova-compute can not run it, as in
a container of its own: then it is trusted to work.
"""),
]

CONSOLE_OPTS = [
    cfg.Opt(
        'vnc_ports', type=types.Range(min=1, max=65535), default='5900-6899',
        help="""
TCP ports of this host for VNC consoles.

A server gets one when its console is asked for, and keeps it. When it goes,
the port rests for ``[consoleauth]token_ttl``. Those of serial consoles are
``[serial_console]port_range``. Let none but the console proxies reach them.
"""),
    cfg.StrOpt(
        'vnc_tls_cert_file',
        help='Certificate that this host shows to nova-novncproxy. Needed '
             'where ``[vnc]auth_schemes`` has ``vencrypt``.'),
    cfg.StrOpt(
        'vnc_tls_key_file',
        help='Private key of ``vnc_tls_cert_file``.'),
    cfg.StrOpt(
        'vnc_tls_ca_file',
        help='CA certificates that sign the certificate of nova-novncproxy '
             '(``[vnc]vencrypt_client_cert``). Unset, everybody who can reach '
             'a console can see it.'),
]

REGISTRY_OPTS = [
    cfg.ListOpt(
        'allowed_registries', default=[],
        help="""
Registries that images may be in, with the image property ``docker_image_ref``.

Each is a host name with its port unless that is 443, as references to images
have it (``docker.io`` for Docker Hub), and may be followed by a path, which
allows no more than what is below it: ``registry.example.org/public``. Every
user can run every image that is allowed, with the credentials of
``registries_file``. Empty, no image may be in a registry.
"""),
    cfg.StrOpt(
        'registries_file',
        help="""
INI file with credentials, CA certificates and further hosts of registries.

See ``etc/nova-docker/registries.ini.sample``. It is needed for registries
that want a password, have a CA of their own, or send clients to other hosts
for tokens or layers. It is read at each download. With a password in it, it
must not be accessible to other users than its owner and group.
"""),
]

MOVE_OPTS = [
    cfg.HostAddressOpt(
        'migration_inbound_addr', default='$my_ip',
        help="""
Address of this host to which other hosts connect to move servers here.

Change it where there is a network for that. It must be an address of this
host that all other compute hosts of nova-docker reach.
"""),
    cfg.Opt(
        'migration_ports', type=types.Range(min=1, max=65535),
        help="""
TCP ports at which this host waits for servers that move here: ``49152-49215``.

Each server needs one as long as its files come. Unset, the kernel chooses any
that is free; set it where there is a firewall between compute hosts.
"""),
    cfg.IntOpt(
        'migration_timeout', default=60, min=5,
        help='Seconds without progress after which the files of a server that '
             'moves are given up, and the server stays where it is. Raise it '
             'where disks or networks are slow.'),
]

_ALL_OPTS = ENGINE_OPTS + (DISK_OPTS + VOLUME_OPTS + SHARE_OPTS +
                           GUEST_OPTS + SUSPEND_OPTS + CONSOLE_OPTS +
                           REGISTRY_OPTS + MOVE_OPTS)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the [docker] options on ``conf`` (idempotent)."""
    conf.register_group(GROUP)
    conf.register_opts(_ALL_OPTS, group=GROUP)


def list_opts() -> list[tuple[
        cfg.OptGroup, collections.abc.Sequence[cfg.Opt]]]:
    """The options by group, for oslo-config-generator and the docs."""
    return [(GROUP, _ALL_OPTS)]
