/** Owns mistakes in registries.conf: what hubcap says of each is held against what a real skopeo does with it. */

export interface RegistriesConfCase {
  text: string;
  /** of the finding; undefined where nothing is wrong */
  id: string | undefined;
}

const hub = '[[registry]]\nlocation = "docker.io"\n';
const mirror = '[[registry.mirror]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n';

export const registriesConfCases: readonly RegistriesConfCase[] = [
  { text: '', id: undefined },
  { text: hub + mirror, id: undefined },
  { text: `unqualified-search-registries = ["docker.io"]\n${hub}${mirror}`, id: undefined },
  { text: '[[registry]]\nprefix = "*.example.com"\n', id: undefined },
  { text: '[[registry]]\nprefix = "docker.io"\nlocation = "127.0.0.1:5000"\n', id: undefined },
  { text: `[registries.search]\nregistries = []\n${hub}`, id: undefined },
  { text: 'short-name-mode = "permissive"\n', id: undefined },
  { text: '[aliases]\n"alpine" = "docker.io/library/alpine"\n', id: undefined },
  { text: `${hub}[[registry.mirror]]\nlocation = "127.0.0.1:5000/hub/"\n`, id: undefined },
  { text: `${hub}${mirror}pull-from-mirror = "digest-only"\n`, id: undefined },
  { text: '[registries.search]\nregistries = ["docker.io"]\n', id: 'podman.version' },
  // refused
  { text: '[[registry]]\nlocation = docker.io\n', id: 'podman.toml' },
  { text: `${hub}location = "docker.io"\n`, id: 'podman.toml' },
  { text: `\ufeff${hub}`, id: 'podman.toml' },
  { text: '[[registry]]\nlocation = “docker.io”\n', id: 'podman.toml' },
  { text: mirror, id: 'podman.registry' },
  { text: '[registry]\nlocation = "docker.io"\n', id: 'podman.registry' },
  { text: '[[registries]]\nlocation = "docker.io"\n', id: 'podman.registry' },
  { text: `${hub}[[registry.mirror]]\nlocation = "http://127.0.0.1:5000"\n`, id: 'podman.location' },
  { text: '[[registry]]\nlocation = "https://docker.io"\n', id: 'podman.location' },
  { text: '[[registry]]\nLocation = "https://docker.io"\n', id: 'podman.location' },
  { text: '[[registry]]\nprefix = "docker.io"\n', id: 'podman.location' },
  { text: '[[registry]]\ninsecure = true\n', id: 'podman.location' },
  { text: `${hub}[[registry.mirror]]\ninsecure = true\n`, id: 'podman.location' },
  {
    text: '[[registry]]\nprefix = "*.example.com/app"\nlocation = "127.0.0.1:5000"\n',
    id: 'podman.location',
  },
  { text: `${hub}insecure = "true"\n`, id: 'podman.switch' },
  {
    text: `${hub}[[registry.mirror]]\nlocation = "127.0.0.1:5000"\ninsecure = "true"\n`,
    id: 'podman.switch',
  },
  { text: `${hub}mirror = "127.0.0.1:5000"\n`, id: 'podman.registry' },
  { text: `${hub}mirror = ["127.0.0.1:5000"]\n`, id: 'podman.registry' },
  { text: `${hub}pull-from-mirror = "all"\n`, id: 'podman.registry' },
  { text: `${hub}${mirror}pull-from-mirror = "never"\n`, id: 'podman.registry' },
  { text: `${hub}mirror-by-digest-only = true\n${mirror}pull-from-mirror = "all"\n`, id: 'podman.registry' },
  { text: `${hub}insecure = true\n${hub}prefix = "hub.example"\n`, id: 'podman.registry' },
  {
    text: `${hub}blocked = true\n[[registry]]\nlocation = "quay.io"\nblocked = true\n[[registry]]\nlocation = "quay.io"\nprefix = "q.example"\n`.replace(
      '"docker.io"',
      '"ghcr.io"',
    ),
    id: 'podman.registry',
  },
  { text: `[registries.search]\nregistries = ["docker.io"]\n${hub}`, id: 'podman.version' },
  { text: 'unqualified-search-registries = "docker.io"\n', id: 'podman.search' },
  { text: 'unqualified-search-registries = ["https://docker.io"]\n', id: 'podman.search' },
  { text: 'unqualified-search-registries = ["docker.io/library"]\n', id: 'podman.search' },
  { text: 'short-name-mode = "nonsense"\n', id: 'podman.search' },
  // taken, and of no use
  { text: `${hub}mirrors = ["127.0.0.1:5000"]\n`, id: 'podman.key' },
  { text: `${hub}blocked = true\n`, id: 'podman.blocked' },
  { text: `${hub}[[registry.mirror]]\nlocation = "127.0.0.1:5000//hub"\n`, id: 'podman.location' },
];
