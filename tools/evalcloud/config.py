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

"""The configuration files of the services, as text. Pure."""

import pathlib
import typing

from evalcloud import criu
from evalcloud import heat
from evalcloud import hosts
from evalcloud import libvirtd
from evalcloud import lvm
from evalcloud import lxcfs
from evalcloud import settings

Sections = dict[str, dict[str, typing.Any]]

_AS_SHIPPED = {
    '': ('glance/glance-api-paste.ini', 'neutron/api-paste.ini',
         'nova/api-paste.ini'), 'heat': ('heat/api-paste.ini',),
    'cinder': ('cinder/api-paste.ini', 'cinder/resource_filters.json')}


def render(cloud: settings.Settings) -> dict[pathlib.Path, str]:
    """Text of each file."""
    files = {
        cloud.etc / 'keystone/keystone.conf': _keystone(cloud),
        cloud.etc / 'placement/placement.conf': _placement(cloud),
        cloud.etc / 'glance/glance-api.conf': _glance(cloud),
        cloud.etc / 'nova/nova.conf': _nova(cloud),
    }
    more = {'cinder': _cinder, 'heat': _heat}
    files |= {cloud.etc / name / f'{name}.conf': more[name](cloud)
              for name in cloud.more}
    for host in cloud.all_hosts:
        files |= {
            host.etc / 'neutron/neutron.conf': _neutron(cloud, host),
            host.etc / 'neutron/ml2_conf.ini': _ml2(cloud, host),
            host.etc / 'neutron/agents.ini': _agents(cloud, host)}
    for host in cloud.nova_hosts:
        files[host.etc / 'nova/nova-compute.conf'] = _nova_compute(cloud, host)
    texts = {file: ini(sections) for file, sections in files.items()}
    # Its own user can not read the leases in the cloud's folder.
    texts |= {_dnsmasq_conf(host): 'user=root\n' for host in cloud.all_hosts}
    for service in ('', *cloud.more):
        for name in _AS_SHIPPED[service]:
            texts[cloud.etc / name] = (cloud.venv / 'etc' / name).read_text()
    return texts


def ini(sections: Sections) -> str:
    """The text of an oslo.config file."""
    lines = []
    for name, options in sections.items():
        lines.append(f'[{name}]')
        lines += [f'{key} = {value}' for key, value in options.items()]
        lines.append('')
    return '\n'.join(lines)


def database_url(cloud: settings.Settings, name: str) -> str:
    """SQLAlchemy URL of a database."""
    return (f'mysql+pymysql://openstack:{cloud.password}@localhost/{name}'
            f'?unix_socket={cloud.mysql_socket}&charset=utf8mb4')


def _database(cloud: settings.Settings, name: str) -> dict[str, typing.Any]:
    return {'connection': database_url(cloud, name),
            'max_pool_size': 5, 'max_overflow': 20}


def _common(cloud: settings.Settings,
            host: hosts.Host) -> dict[str, typing.Any]:
    transport = (f'rabbit://openstack:{cloud.password}@127.0.0.1:'
                 f'{settings.PORTS["rabbitmq"]}/')
    return {'transport_url': transport, 'use_stderr': True,
            'host': host.name}


def _credentials(cloud: settings.Settings,
                 user: str) -> dict[str, typing.Any]:
    return {'auth_url': cloud.url('keystone') + '/v3',
            'auth_type': 'password', 'username': user,
            'password': cloud.password, 'project_name': 'service',
            'user_domain_name': 'Default', 'project_domain_name': 'Default',
            'region_name': settings.REGION}


def _middleware(cloud: settings.Settings, user: str) -> Sections:
    return {'keystone_authtoken': {
        'www_authenticate_uri': cloud.url('keystone') + '/v3',
        'service_token_roles_required': True,
        'service_token_roles': 'service',
        **_credentials(cloud, user)}}


def _oslo(cloud: settings.Settings, host: hosts.Host,
          user: str) -> Sections:
    return {
        **_middleware(cloud, user),
        'service_user': {'send_service_user_token': True,
                         **_credentials(cloud, user)},
        'oslo_concurrency': {'lock_path': host.run / 'lock'},
        'oslo_messaging_notifications': {'driver': 'noop'},
    }


def _keystone(cloud: settings.Settings) -> Sections:
    keys = cloud.data / 'keystone'
    return {
        'DEFAULT': {'use_stderr': True},
        'database': _database(cloud, 'keystone'),
        'token': {'provider': 'fernet', 'expiration': 86400},
        'fernet_tokens': {'key_repository': keys / 'fernet'},
        'fernet_receipts': {'key_repository': keys / 'fernet'},
        'credential': {'key_repository': keys / 'credential'},
        'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
        # The default of 12 costs a quarter of a second of CPU a login.
        'identity': {'password_hash_rounds': 4},
    }


def _placement(cloud: settings.Settings) -> Sections:
    return {
        'DEFAULT': {'use_stderr': True},
        'api': {'auth_strategy': 'keystone'},
        'placement_database': _database(cloud, 'placement'),
        **_middleware(cloud, 'placement'),
    }


def _glance(cloud: settings.Settings) -> Sections:
    data = cloud.data / 'glance'
    return {
        'DEFAULT': {**_common(cloud, cloud.controller), 'workers': 1,
                    'enabled_backends': 'file:file',
                    'node_staging_uri': f'file://{data}/staging'},
        'image_format': {'container_formats': 'bare,docker',
                         'disk_formats': 'raw,qcow2,iso'},
        'database': _database(cloud, 'glance'),
        'glance_store': {'default_backend': 'file'},
        'file': {'filesystem_store_datadir': data / 'images'},
        'os_glance_staging_store': {
            'filesystem_store_datadir': data / 'staging'},
        'os_glance_tasks_store': {
            'filesystem_store_datadir': data / 'tasks'},
        'paste_deploy': {
            'flavor': 'keystone',
            'config_file': cloud.etc / 'glance/glance-api-paste.ini'},
        **_oslo(cloud, cloud.controller, 'glance'),
    }


def _cinder(cloud: settings.Settings) -> Sections:
    etc, backend = cloud.etc / 'cinder', cloud.volumes
    options = lvm.options(cloud) if backend == 'lvm' else {
        'volume_driver': 'evalcloud.inside.loop_driver.LoopDriver'}
    helper = {'helper_command': f'{cloud.venv}/bin/privsep-helper '
                                f'--config-file {etc}/cinder.conf'}
    return {
        'DEFAULT': {
            **_common(cloud, cloud.controller),
            'my_ip': cloud.controller.address,
            'state_path': cloud.data / 'cinder',
            'api_paste_config': etc / 'api-paste.ini',
            'resource_query_filters_file': etc / 'resource_filters.json',
            'default_volume_type': settings.VOLUME_TYPES[0],
            # The default of 10 is one test of many volumes.
            'quota_volumes': 100, 'quota_snapshots': 100,
            'enabled_backends': backend},
        'database': _database(cloud, 'cinder'),
        'nova': _credentials(cloud, 'nova'),
        **_oslo(cloud, cloud.controller, 'cinder'),
        'cinder_sys_admin': helper, 'privsep_osbrick': helper,
        backend: {'volume_backend_name': backend, **options},
    }


def _heat(cloud: settings.Settings) -> Sections:
    return {**heat.sections(cloud, _common(cloud, cloud.controller)),
            'database': _database(cloud, 'heat'),
            **_oslo(cloud, cloud.controller, 'heat')}


def _neutron(cloud: settings.Settings, host: hosts.Host) -> Sections:
    return {
        'DEFAULT': {
            **_common(cloud, host),
            'core_plugin': 'ml2',
            'service_plugins': ('ovn-router' if cloud.network == 'ovn'
                                else 'router') + ',qos,placement,trunk',
            'state_path': host.data / 'neutron',
            'api_paste_config': cloud.etc / 'neutron/api-paste.ini',
            'rpc_workers': 1, 'rpc_state_report_workers': 0,
            'dhcp_agents_per_network': 1,
            # A server waits for its port's event: the default of 2 s opens
            # a window that it would wait out.
            'send_events_interval': 1,
        },
        'agent': _root_helper(),
        'database': _database(cloud, 'neutron'),
        'nova': _credentials(cloud, 'nova'),
        'placement': _credentials(cloud, 'placement'),
        **_oslo(cloud, host, 'neutron'),
    }


def _root_helper() -> dict[str, typing.Any]:
    """All runs as root already."""
    return {'root_helper': 'env', 'root_helper_daemon': ''}


def _ml2(cloud: settings.Settings, host: hosts.Host) -> Sections:
    ovn = cloud.network == 'ovn'
    return {
        'ml2': {'type_drivers': 'local,flat,vxlan,geneve',
                'project_network_types': 'geneve' if ovn else 'vxlan',
                'mechanism_drivers': 'ovn' if ovn else 'openvswitch',
                'extension_drivers': 'port_security,qos'},
        'ml2_type_flat': {'flat_networks': 'public'},
        'ml2_type_vxlan': {'vni_ranges': '1:1000'},
        'ml2_type_geneve': {'vni_ranges': '1:1000', 'max_header_size': 38},
        'securitygroup': {'enable_security_group': True,
                          'firewall_driver': cloud.firewall},
        'ovs': {'datapath_type': 'netdev', 'ovsdb_connection': host.ovsdb,
                'of_listen_address': '127.0.0.1',
                'of_listen_port': settings.PORTS['openflow'],
                'bridge_mappings': '' if host.apart else 'public:br-ex',
                # Without it nothing that a port sends is limited: the datapath
                # in userspace has it before the kernel's policing does.
                'qos_meter_bandwidth': True,
                'resource_provider_bandwidths': (
                    settings.BANDWIDTHS if host in cloud.compute_hosts
                    else ''),
                'resource_provider_default_hypervisor': host.name,
                'local_ip': host.tunnel},
        'agent': {'tunnel_types': 'vxlan', 'extensions': 'qos',
                  **_root_helper()},
        'ovn': {**_ovn(cloud), 'ovn_l3_scheduler': 'leastloaded',
                'ovn_metadata_enabled': True},
    }


def _ovn(cloud: settings.Settings) -> dict[str, typing.Any]:
    return {'ovn_nb_connection': f'unix:{cloud.run}/ovn/ovnnb_db.sock',
            'ovn_sb_connection': f'unix:{cloud.run}/ovn/ovnsb_db.sock'}


def _agents(cloud: settings.Settings, host: hosts.Host) -> Sections:
    return {
        'DEFAULT': {'interface_driver': 'openvswitch',
                    'enable_isolated_metadata': True,
                    'dnsmasq_config_file': _dnsmasq_conf(host),
                    'metadata_proxy_shared_secret': cloud.password,
                    'nova_metadata_host': '127.0.0.1',
                    'nova_metadata_port': settings.PORTS['metadata'],
                    'metadata_workers': 0},
        'ovs': {'datapath_type': 'netdev', 'ovsdb_connection': host.ovsdb},
        'ovn': _ovn(cloud),
    }


def _dnsmasq_conf(host: hosts.Host) -> pathlib.Path:
    return host.etc / 'neutron/dnsmasq.conf'


def _nova_base(cloud: settings.Settings, host: hosts.Host) -> Sections:
    cinder = {'cinder': {**_credentials(cloud, 'nova'),
                         'catalog_info': 'block-storage::publicURL',
                         'os_region_name': settings.REGION}}
    return {
        **(cinder if cloud.volumes else {}),
        'DEFAULT': {**_common(cloud, host), 'my_ip': host.address,
                    'state_path': host.data / 'nova', 'log_options': False,
                    # Else no server of the only host is resized.
                    'allow_resize_to_same_host': cloud.computes == 1,
                    'metadata_listen': '127.0.0.1',
                    # Else the scheduler looks for the host a minute late.
                    'periodic_fuzzy_delay': 0},
        'upgrade_levels': {'compute': 'auto'},
        'placement': _credentials(cloud, 'placement'),
        'neutron': {**_credentials(cloud, 'neutron'),
                    'service_metadata_proxy': True,
                    'metadata_proxy_shared_secret': cloud.password},
        'glance': {'region_name': settings.REGION},
        'vnc': {
            'server_listen': host.address,
            'server_proxyclient_address': host.address,
            'novncproxy_host': '127.0.0.1',
            'novncproxy_port': settings.PORTS['novncproxy'],
            'novncproxy_base_url': cloud.url('novncproxy') +
            '/novnc/vnc_lite.html'},
        'serial_console': {
            'enabled': True,
            'proxyclient_address': host.address,
            'serialproxy_host': '127.0.0.1',
            'serialproxy_port': settings.PORTS['serialproxy'],
            'base_url': cloud.url('serialproxy').replace('http', 'ws') + '/'},
        'spice': {'enabled': False},
        **_oslo(cloud, host, 'nova'),
    }


def _nova(cloud: settings.Settings) -> Sections:
    return {
        **_nova_base(cloud, cloud.controller),
        'api_database': _database(cloud, 'nova_api'),
        'database': _database(cloud, 'nova'),
        'conductor': {'workers': 1},
        'filter_scheduler': {
            'enabled_filters': ','.join(settings.SCHEDULER_FILTERS)},
        'scheduler': {
            'workers': 1, 'discover_hosts_in_cells_interval': 2,
            # See _keep_apart of inside.resources.
            'enable_isolated_aggregate_filtering': bool(cloud.vm_hosts),
            # Else users do not read why the only host refused a server.
            **({'max_attempts': 1} if cloud.computes == 1 else {})},
    }


def _nova_compute(cloud: settings.Settings, host: hosts.Host) -> Sections:
    """nova-compute has no database."""
    sections = _nova_base(cloud, host)
    sections['DEFAULT'] |= {
        'compute_driver': cloud.compute_driver,
        'update_resources_interval': 60,
        # The default of 4 is eight servers on the smallest machine.
        'cpu_allocation_ratio': 16,
        'vif_plugging_timeout': 120,
    }
    if host in cloud.vm_hosts:
        for name, options in libvirtd.options().items():
            sections.setdefault(name, {}).update(options)
    elif cloud.is_docker:
        sections['docker'] = {
            'url': cloud.docker_host(host),
            'cdi_spec_dir': cloud.cdi_dir(host),
            'state_dir': host.data / 'nova' / 'docker',
            'lxcfs_dir': '' if cloud.engine_url else lxcfs.folder(host),
            # For servers with engines of their own.
            'allow_privileged': True,
            **criu.options(own=not cloud.engine_url)}
    sections['os_vif_ovs'] = {'ovsdb_connection': host.ovsdb}
    helper = (f'{cloud.venv}/bin/privsep-helper '
              f'--config-file {host.etc}/nova/nova-compute.conf')
    for context in ('nova_sys_admin', 'vif_plug_ovs_privileged',
                    'vif_plug_linux_bridge_privileged', 'privsep_osbrick',
                    'nova_docker_privileged', 'nova_docker_shares',
                    'nova_docker_moves'):
        sections[context] = {'helper_command': helper}
    return sections


def clouds_yaml(cloud: settings.Settings) -> str:
    """The clouds that a user names with OS_CLOUD."""
    return 'clouds:\n' + ''.join(
        f'  {name}:\n'
        f'    region_name: {settings.REGION}\n'
        f'    auth:\n'
        f'      auth_url: {cloud.url("keystone")}/v3\n'
        f'      username: {user}\n'
        f'      password: {cloud.password}\n'
        f'      project_name: {user}\n'
        f'      user_domain_name: Default\n'
        f'      project_domain_name: Default\n'
        for name, user in (('nova-docker', 'admin'),
                           ('nova-docker-demo', settings.USER)))


def uwsgi(cloud: settings.Settings, module: str, port: int, processes: int,
          threads: int, arguments: str = '') -> str:
    """Configuration of one WSGI service.

    :param arguments: what it finds in sys.argv
    """
    return ini({'uwsgi': {
        **({'pyargv': arguments} if arguments else {}),
        'http-socket': f'127.0.0.1:{port}',
        'module': f'{module}:application', 'virtualenv': cloud.venv,
        'master': 'true', 'processes': processes, 'threads': threads,
        'enable-threads': 'true', 'lazy-apps': 'true', 'need-app': 'true',
        'die-on-term': 'true', 'buffer-size': 65535,
        'add-header': 'Connection: close', 'http-auto-chunked': 'true',
        'http-chunked-input': 'true', 'http-raw-body': 'true',
        # Glance's client sends parts of the default limit, which with their
        # header are over it.
        'chunked-input-limit': 2 << 20,
        'socket-timeout': 60, 'worker-reload-mercy': 5,
        # Neutron tells by it whether its OVN records are of this run.
        'start-time': '%t'}})
