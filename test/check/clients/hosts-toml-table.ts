/** Owns mistakes in hosts.toml: what hubcap says of each is held against whether a real containerd asks the mirror. */

export interface HostsTomlCase {
  /** MIRROR stands for the mirror's host and port */
  text: string;
  /** of the findings; undefined where nothing is wrong */
  id: string | undefined;
  /** whether containerd asks the mirror for a tag */
  isAsked: boolean;
}

const SERVER = 'server = "https://127.0.0.1:9"\n';
const HOST = '[host."http://MIRROR"]\n';
const BOTH = '  capabilities = ["pull", "resolve"]\n';

export const hostsTomlCases: readonly HostsTomlCase[] = [
  { text: `${SERVER}${HOST}${BOTH}`, id: undefined, isAsked: true },
  { text: `${HOST}${BOTH}`, id: undefined, isAsked: true },
  { text: `${SERVER}${HOST}`, id: undefined, isAsked: true },
  { text: `${SERVER}${HOST}  capabilities = []\n`, id: undefined, isAsked: true },
  { text: `${SERVER}${HOST}  capabilities = ["PULL", "Resolve"]\n`, id: undefined, isAsked: true },
  { text: `${SERVER}[host."http://MIRROR/v2"]\n${BOTH}`, id: undefined, isAsked: true },
  { text: '', id: undefined, isAsked: false },
  { text: SERVER, id: undefined, isAsked: false },
  { text: `${SERVER}${HOST}  capabilities = ["pull"]\n`, id: 'hosts.capabilities', isAsked: false },
  { text: `${SERVER}${HOST}  capabilities = ["push"]\n`, id: 'hosts.capabilities', isAsked: false },
  { text: `${SERVER}${HOST}  capabilities = ["pull", "resolv"]\n`, id: 'hosts.capabilities', isAsked: false },
  { text: `${SERVER}${HOST}  capabilities = "pull"\n`, id: 'hosts.capabilities', isAsked: false },
  { text: `${SERVER}${HOST}  capabilities = [1]\n`, id: 'hosts.capabilities', isAsked: false },
  { text: `${SERVER}[host.http://MIRROR]\n${BOTH}`, id: 'hosts.toml', isAsked: false },
  { text: `${SERVER}[host."http://MIRROR"\n${BOTH}`, id: 'hosts.toml', isAsked: false },
  { text: `${SERVER}[host.“http://MIRROR”]\n${BOTH}`, id: 'hosts.toml', isAsked: false },
  { text: `${SERVER}[hosts."http://MIRROR"]\n${BOTH}`, id: 'hosts.key', isAsked: false },
  { text: `${SERVER}[mirrors."http://MIRROR"]\n${BOTH}`, id: 'hosts.key', isAsked: false },
  { text: `${SERVER}host = "http://MIRROR"\n`, id: 'hosts.table', isAsked: false },
  { text: `${SERVER}host = ["http://MIRROR"]\n`, id: 'hosts.table', isAsked: false },
  { text: `${SERVER}[host."MIRROR"]\n${BOTH}`, id: 'hosts.scheme', isAsked: false },
];
